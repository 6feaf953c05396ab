// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContributorProof, IndexNode, IndexRow, NodeProof, RowProof} from "../libraries/IndexTree.sol";
import {ModelId} from "../types/Ids.sol";
import {IDatanetRegistry} from "./IDatanetRegistry.sol";

/// @notice Proofs that a published influence index is wrong. Whoever proves it is paid from the index's bond.
/// @dev A proof shows two things that cannot both be in an honest index, and takes one transaction; it reverts with
/// `NoFault` when nothing is wrong with what it shows. Nodes that are shown must be under the registered root; the
/// ranks of leaves follow from the counts on the way down.
///
/// Two things cannot be shown, that there is no such row and that there is no such leaf, so these are claimed with
/// `claimBond` and wait for an answer:
/// - a row is left out: an exact copy of an earlier row has the same hashes as the row that it copies. The answer is
///   such an earlier row.
/// - no leaf has an ordinal below the declared number of contributors: leaves say their ordinals themselves, as siblings
///   are hashed in order of size. The answer is that leaf. So ordinals have no gap in which somebody could be neither
///   found nor missed.
///
/// Whoever answers gets the bond; a claim that nobody answers strikes the index. The index is not accepted while a claim
/// is open: that is until two `answerPeriod`s after its window at the latest, as claims are made within the window, and
/// no longer than until its last claim is answered. A challenger claims the same thing once at a time. Everybody else
/// may claim it too, each with a bond of their own.
///
/// Not decided here: that the blobs give the root (nobody can show a tree that was withheld; whoever rebuilds it and
/// gets another root can only stay away), and that a row's sketch is what its gradient gives (floats, which validators
/// recompute).
interface IIndexDisputes {
    /// @dev Contributors: two leaves out of order, or with one ordinal or earner. Ordinal: at or past `contributors`.
    /// Node: a node that no tree has. Count: not those of the children. LeafCount: a leaf whose count is not 1. Sums:
    /// not the sum of the children's. Sketch: a leaf's number beyond 127. Range: no such Datanet or row. Row: not the
    /// Datanet's. Canonical: not the first of its cluster. Cluster: two leaves of one. Order: rows that descend.
    /// LeftOut: no leaf of a row that has none before it. MissingOrdinal: no leaf of an ordinal below `contributors`.
    enum Fault {
        Contributors,
        Ordinal,
        Node,
        Count,
        LeafCount,
        Sums,
        Sketch,
        Range,
        Row,
        Canonical,
        Cluster,
        Order,
        LeftOut,
        MissingOrdinal
    }

    /// @dev The sums of a node and its children, each as d big-endian int32.
    struct Sums {
        bytes node;
        bytes left;
        bytes right;
    }

    /// @dev A row of one of the model's Datanet versions.
    /// @param datanet place of the version in `datanetsOf`
    /// @param proof for `IDatanetRegistry.contains`
    struct DatanetRow {
        uint8 datanet;
        IDatanetRegistry.Row row;
        bytes32[] proof;
    }

    /// @dev The neighbours of something that is not there. One is left out if the other is the first or the last.
    /// @param lower empty, or the one before
    /// @param upper empty, or the one after
    struct Gap {
        RowProof[] lower;
        RowProof[] upper;
    }

    /// @param deadline end of the time to answer (seconds)
    /// @param fault what is claimed: LeftOut or MissingOrdinal
    /// @param ordinal whose leaf is missing; 0 for LeftOut
    /// @param row that is left out; zero for MissingOrdinal
    struct Claim {
        ModelId model;
        address challenger;
        uint64 deadline;
        Fault fault;
        uint32 ordinal;
        IndexRow row;
    }

    /// @dev Thrown when what was shown is not wrong.
    error NoFault();
    /// @dev Thrown for a model whose index was not published, is struck, or is accepted.
    error NotDisputable(ModelId model);
    /// @dev Thrown when the bytes given are not those that the hash is of.
    error WrongSums(bytes32 expected, bytes32 given);
    /// @dev Thrown for a coordinate at or past d.
    error CoordinateOutOfRange(uint256 coordinate);
    /// @dev Thrown when a row is not in the Datanet version that it is said to be of.
    error NotInDatanet(uint8 datanet, uint64 rowIndex);
    /// @dev Thrown when neighbours do not enclose what is said to be left out, or are not of that tree.
    error NotAGap();
    /// @dev Thrown when a claim comes without exactly `claimBond` (wei).
    error WrongClaimBond(uint256 given, uint256 claimBond);
    /// @dev Thrown when the caller has the same claim open.
    error ClaimExists(bytes32 claim);
    /// @dev Thrown for a claim of an ordinal that no leaf need have.
    error OrdinalOutOfRange(uint32 ordinal, uint32 contributors);
    /// @dev Thrown when a claim is answered as one of another fault.
    error WrongAnswer(IIndexDisputes.Fault claimed);
    /// @dev Thrown when the leaf that answers has another ordinal than is claimed.
    error WrongOrdinal(uint32 claimed, uint32 given);
    /// @dev Thrown for a claim that was never made or is settled.
    error UnknownClaim(bytes32 claim);
    /// @dev Thrown when a claim is answered at or past its deadline (seconds).
    error TooLate(uint64 deadline);
    /// @dev Thrown when a claim is concluded before its deadline (seconds).
    error TooEarly(uint64 deadline);
    /// @dev Thrown when coins are not taken.
    error PaymentFailed(address to);
    /// @dev Thrown at construction, when there would be no time to answer.
    error ZeroAnswerPeriod();

    event FaultProven(ModelId indexed model, Fault indexed fault, address indexed challenger);
    event LeftOutClaimed(
        ModelId indexed model, bytes32 indexed claim, address indexed challenger, uint64 deadline, IndexRow row
    );
    event LeftOutAnswered(bytes32 indexed claim, address indexed answerer, IndexRow earlier);
    event OrdinalClaimed(
        ModelId indexed model, bytes32 indexed claim, address indexed challenger, uint64 deadline, uint32 ordinal
    );
    event OrdinalAnswered(bytes32 indexed claim, address indexed answerer);

    /// @notice Wei that a claim costs until it is concluded; an answer takes it.
    function claimBond() external view returns (uint256);

    /// @notice Seconds to answer a claim.
    function answerPeriod() external view returns (uint64);

    /// @notice Claims against a model's index that are neither answered nor concluded.
    function openClaims(ModelId model) external view returns (uint256);

    /// @notice An open claim. Reverts with `UnknownClaim`.
    function claimOf(bytes32 claim) external view returns (Claim memory);

    /// @notice Two contributors whose ordinals and earners do not ascend together, or two leaves with one ordinal.
    function proveContributors(ModelId model, ContributorProof calldata a, ContributorProof calldata b) external;

    /// @notice A contributor whose ordinal is at or past the published number of contributors.
    function proveOrdinal(ModelId model, ContributorProof calldata contributor) external;

    /// @notice A node that is wrong alone: below the root without rows; one row and a right child, or no row's hash;
    /// more rows and a child missing; no row and children, or sums that are not zero.
    function proveNode(ModelId model, NodeProof calldata node) external;

    /// @notice A node whose count is not that of its children together, or whose left child does not have the largest
    /// power of two of rows below it.
    function proveCount(ModelId model, NodeProof calldata node, IndexNode calldata left, IndexNode calldata right)
        external;

    /// @notice A node over several rows that has a row where a child should be.
    /// @param isRight which child
    function proveLeafCount(ModelId model, NodeProof calldata node, bool isRight, IndexRow calldata row) external;

    /// @notice A node whose sums are not those of its children together at one coordinate, or are not d numbers.
    /// @param coordinate from 0; not read if the node's sums are not d numbers
    function proveSums(
        ModelId model,
        NodeProof calldata node,
        IndexNode calldata left,
        IndexNode calldata right,
        Sums calldata sums,
        uint256 coordinate
    ) external;

    /// @notice A leaf whose sketch has a number outside -127 to 127, or not d numbers.
    function proveSketch(ModelId model, NodeProof calldata leaf, bytes calldata sketch, uint256 coordinate) external;

    /// @notice A leaf of a Datanet that the model does not have, or of a row at or past the version's `rowCount`.
    function proveRange(ModelId model, RowProof calldata row) external;

    /// @notice A leaf whose row has other hashes in the Datanet, or another contributor.
    /// @param actual the row of the Datanet with the leaf's datanet and index
    function proveRow(ModelId model, RowProof calldata row, DatanetRow calldata actual) external;

    /// @notice A leaf of a row that is not canonical: its hash is not its cluster's.
    function proveNotCanonical(ModelId model, RowProof calldata row) external;

    /// @notice A leaf of a row that comes after another of its cluster.
    function proveEarlier(ModelId model, RowProof calldata row, DatanetRow calldata earlier) external;

    /// @notice Two leaves of one cluster.
    function proveCluster(ModelId model, RowProof calldata a, RowProof calldata b) external;

    /// @notice Two leaves of a contributor of which the one with the lower rank does not have the earlier row.
    function proveOrder(ModelId model, RowProof calldata a, RowProof calldata b) external;

    /// @notice Claims that a canonical row has no leaf in its contributor's tree, with `claimBond`.
    /// @dev Reverts with `NotDisputable`, `NotInDatanet`, `NoFault`, `NotAGap`, `WrongClaimBond`, `ClaimExists`, or
    /// InfluenceIndexes' `WindowOver` once the window for new disputes is over.
    /// @param gap the leaves around the row's place; none if the contributor has no row
    /// @param contributor the contributor of the row
    function claimLeftOutRow(
        ModelId model,
        DatanetRow calldata row,
        ContributorProof calldata contributor,
        Gap calldata gap
    ) external payable returns (bytes32 claim);

    /// @notice Claims that a canonical row's contributor has no leaf at all, with `claimBond`.
    /// @param lower empty, or the contributor before
    /// @param upper empty, or the contributor after
    function claimLeftOutContributor(
        ModelId model,
        DatanetRow calldata row,
        ContributorProof[] calldata lower,
        ContributorProof[] calldata upper
    ) external payable returns (bytes32 claim);

    /// @notice Claims that no leaf has an ordinal below the declared number of contributors, with `claimBond`.
    /// @dev Reverts with `NotDisputable`, `OrdinalOutOfRange`, `WrongClaimBond`, `ClaimExists`, or InfluenceIndexes'
    /// `WindowOver` once the window for new disputes is over.
    function claimMissingOrdinal(ModelId model, uint32 ordinal) external payable returns (bytes32 claim);

    /// @notice Answers a claim of a left-out row with an earlier row of the same cluster, and takes its bond.
    /// @dev Reverts with `UnknownClaim`, `WrongAnswer`, `TooLate`, `NotInDatanet` or `PaymentFailed`.
    function answer(bytes32 claim, DatanetRow calldata earlier) external;

    /// @notice Answers a claim of a missing ordinal with the leaf that has it, and takes its bond.
    /// @dev Reverts with `UnknownClaim`, `WrongAnswer`, `TooLate`, `NotAContributor`, `WrongOrdinal` or `PaymentFailed`.
    function answerOrdinal(bytes32 claim, ContributorProof calldata contributor) external;

    /// @notice Strikes the index of a claim that nobody answered in time; the challenger gets the claim's bond back.
    /// @dev The index is held for another `answerPeriod` after the deadline: conclude within it. If the index was
    /// struck for something else or is accepted, this only gives the bond back. Reverts with `UnknownClaim`, `TooEarly`,
    /// or `PaymentFailed` if the challenger does not take the bond: then others must claim.
    function conclude(bytes32 claim) external;
}

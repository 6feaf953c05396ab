// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {LeafOpening, MissingProof, OrderProof, SpanCommitment} from "../libraries/SpanProofs.sol";
import {ModelId} from "../types/Ids.sol";
import {IDatanetRegistry} from "./IDatanetRegistry.sol";
import {IEarnerRegistry} from "./IEarnerRegistry.sol";
import {IModelRegistry} from "./IModelRegistry.sol";

/// @notice Span indexes of models: whose rows hold what text. A model pays for spans only by an accepted one.
/// @dev An index is a function of the rows of the model's Datanet versions, in the order of `datanetsOf`, and of the
/// model's tokenizer, so whoever has these makes its files and compares the commitment. It is published once per model
/// with a bond, and accepted when its window ends, unless somebody shows before that it is wrong: then the bond goes to
/// the challenger, but for the half that is burned, and no span of the model is paid for ever.
///
/// Who cannot make openings, because the publisher keeps the files to itself, demands leaves: one that is not answered
/// in time strikes the index. A demand's deposit is the publisher's when it answers. An index is accepted only when no
/// demand is open.
///
/// Warning: that the text of a row is what the tokenizer makes of it is not shown here.
interface ISpanIndexes {
    /// @dev The trees of an index.
    enum Tree {
        Text,
        Suffixes,
        Rows
    }

    /// @param commitmentHash SpanProofs' hash of the index's commitment; zero for a model without one
    /// @param publisher who gets the bond back
    /// @param disputableUntil when its window ends (seconds); leaves cannot be demanded later
    /// @param acceptedAt from when it pays: then, or when the last leaf demanded is due
    /// @param demands how many leaves are to be shown; it does not pay before they are
    struct Index {
        bytes32 commitmentHash;
        address publisher;
        uint64 disputableUntil;
        uint64 acceptedAt;
        uint32 demands;
        bool struck;
        uint256 bond;
    }

    /// @dev Thrown when anyone but the model token's owner publishes.
    error NotModelOwner(ModelId model, address caller);
    /// @dev Thrown when a model has an index already, struck or not.
    error AlreadyPublished(ModelId model);
    /// @dev Thrown when a model has no index, or a struck one.
    error NotPublished(ModelId model);
    /// @dev Thrown for a bond or deposit of another amount.
    error WrongBond(uint256 given, uint256 needed);
    /// @dev Thrown when an index has no token, or more tokens or rows than positions.
    error InvalidCommitment();
    /// @dev Thrown when a commitment is not the index's.
    error WrongCommitment(bytes32 hash);
    /// @dev Thrown when the window has ended, or, for the bond, has not.
    error WrongTime(uint64 acceptedAt);
    /// @dev Thrown when a leaf's number is beyond its tree.
    error NoSuchLeaf(Tree tree, uint256 number);
    /// @dev Thrown when a leaf is demanded twice, or answered or called overdue though nobody demands it.
    error WrongDemand(ModelId model, Tree tree, uint256 number);
    /// @dev Thrown when a leaf is shown after its time, called overdue before it, or a bond is taken while leaves are
    /// to be shown.
    error WrongTimeOfDemand(uint64 until);
    /// @dev Thrown when a row is what the Datanet version has.
    error NoFault();
    /// @dev Thrown when a Merkle proof is not of the version's row with the index.
    error WrongRow();
    /// @dev Thrown when a bond has been taken or was lost.
    error NoBond();
    /// @dev Thrown when a payment is refused.
    error PaymentFailed(address to);

    event SpanIndexPublished(
        ModelId indexed model, address indexed publisher, SpanCommitment commitment, uint64 acceptedAt
    );
    event SpanIndexStruck(ModelId indexed model, address indexed challenger, uint256 burned, uint256 paid);
    event LeafDemanded(ModelId indexed model, Tree tree, uint64 number, address indexed by, uint64 until);
    event LeafShown(ModelId indexed model, Tree tree, uint64 number);
    event BondWithdrawn(ModelId indexed model, address indexed publisher, uint256 bond);

    /// @notice Which models there are, and their Datanet versions.
    function models() external view returns (IModelRegistry);

    /// @notice The versions' rows.
    function datanets() external view returns (IDatanetRegistry);

    /// @notice The contributors' indexes.
    function earners() external view returns (IEarnerRegistry);

    /// @notice Wei to publish an index with.
    function bond() external view returns (uint256);

    /// @notice Wei to demand a leaf with.
    function demandDeposit() external view returns (uint256);

    /// @notice Seconds that an index can be disputed.
    function window() external view returns (uint64);

    /// @notice Seconds to show a leaf in.
    function answerPeriod() external view returns (uint64);

    /// @notice A model's index; zeros if it has none.
    function indexOf(ModelId model) external view returns (Index memory);

    /// @notice Whether calls signed at `time` may be paid for spans. Never reverts.
    /// @dev Once `acceptedAt` is past, the answer for a time that is past never changes.
    function isPaying(ModelId model, uint64 time) external view returns (bool);

    /// @notice Publishes a model's index. Token owner only.
    function publish(ModelId model, SpanCommitment calldata commitment) external payable;

    /// @notice Strikes an index whose array is out of order.
    function proveDisorder(ModelId model, SpanCommitment calldata commitment, OrderProof calldata proof) external;

    /// @notice Strikes an index whose array lacks a suffix.
    function proveMissing(ModelId model, SpanCommitment calldata commitment, MissingProof calldata proof) external;

    /// @notice Strikes an index one of whose rows is not what the Datanet version has: another text, contributor or
    /// canonical row, or a row that the version does not have.
    /// @param row number of the row in the index
    /// @param cluster empty, or the row that `row` names as its canonical one; needed unless something else is wrong
    /// @param datanetRow the version's row with the same index; ignored if the version has none
    function proveRow(
        ModelId model,
        SpanCommitment calldata commitment,
        uint32 row,
        LeafOpening calldata opening,
        LeafOpening[] calldata cluster,
        IDatanetRegistry.Row calldata datanetRow,
        bytes32[] calldata datanetProof
    ) external;

    /// @notice Strikes an index one of whose rows names a canonical row that has the text of an earlier one: of rows of
    /// one text, in whatever Datanets, the first is the canonical one.
    /// @param row number of the row in the index
    /// @param cluster the row that it names
    /// @param earlier number of a row before that one, which has the same text
    function proveLaterCopy(
        ModelId model,
        SpanCommitment calldata commitment,
        uint32 row,
        LeafOpening calldata opening,
        LeafOpening calldata cluster,
        uint32 earlier,
        LeafOpening calldata earlierOpening
    ) external;

    /// @notice Asks for a leaf, with a deposit.
    function demand(ModelId model, SpanCommitment calldata commitment, Tree tree, uint64 number) external payable;

    /// @notice Shows a leaf that somebody demands. Whoever shows it, the deposit is the publisher's.
    function answer(
        ModelId model,
        SpanCommitment calldata commitment,
        Tree tree,
        uint64 number,
        LeafOpening calldata opening
    ) external;

    /// @notice Strikes an index of which a leaf was not shown in time. The deposit goes back to whoever demanded the
    /// leaf; of an index that is struck already, that is all.
    function proveUnanswered(ModelId model, Tree tree, uint64 number) external;

    /// @notice Pays the bond of an accepted index back to its publisher.
    function withdrawBond(ModelId model) external;
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DatanetId} from "../types/Ids.sol";

/// @notice Curated data sets. A version is a Merkle root over its rows and never changes.
/// @dev The leaf of a row is `MerkleLeaves.rowLeaf`: keccak256(bytes.concat(keccak256(abi.encode(uint64 index, bytes32
/// rowHash, address contributor, bytes32 clusterHash)))). Level by level, nodes 2i and 2i + 1 are hashed as a sorted
/// pair and an odd last node is promoted unchanged, so OpenZeppelin's `MerkleProof` verifies the proofs.
/// @dev Warning: the owner alone decides what a version holds. The registry does not see the rows: it cannot tell that
/// `rowCount` is true of the root, that clusters are right, or that a contributor agreed. Rows are published off chain,
/// and readers recompute the root.
interface IDatanetRegistry {
    /// @param owner who may publish; it never changes
    /// @param versions how many versions exist; the number of the newest
    /// @param metadataHash keccak256 of the metadata document, zero if there is none
    struct Datanet {
        address owner;
        uint32 versions;
        bytes32 metadataHash;
        string name;
        string licence;
    }

    /// @param rowsRoot Merkle root over the rows
    /// @param rowCount rows in the tree, duplicates included
    /// @param publishedAt seconds
    struct Version {
        bytes32 rowsRoot;
        uint32 rowCount;
        uint64 publishedAt;
    }

    /// @param index position in the version, from 0
    /// @param rowHash keccak256 of the row's text in UTF-8
    /// @param clusterHash `rowHash` of the first registered row of its duplicate cluster; its own if it is that row
    struct Row {
        uint64 index;
        bytes32 rowHash;
        address contributor;
        bytes32 clusterHash;
    }

    /// @dev Thrown when no Datanet has this id.
    error UnknownDatanet(DatanetId datanet);
    /// @dev Thrown for version 0 and for a version above the newest.
    error UnknownVersion(DatanetId datanet, uint32 version);
    /// @dev Thrown when anyone but the owner publishes.
    error NotDatanetOwner(DatanetId datanet, address caller);
    /// @dev Thrown when a version has no rows or a zero root.
    error EmptyVersion();
    /// @dev Thrown when a Datanet has no name.
    error EmptyName();
    /// @dev Thrown when a name or licence is longer than `max` bytes.
    error TextTooLong(uint256 length, uint256 max);
    /// @dev Thrown when the caller has a Datanet of this name already.
    error DatanetExists(DatanetId datanet);

    event DatanetCreated(
        DatanetId indexed datanet, address indexed owner, string name, string licence, bytes32 metadataHash
    );
    event VersionPublished(DatanetId indexed datanet, uint32 indexed version, bytes32 rowsRoot, uint32 rowCount);

    /// @notice The id of `owner`'s Datanet of this name: keccak256(abi.encode(chainid, this, owner, name)). Never
    /// reverts.
    function datanetIdOf(address owner, string calldata name) external view returns (DatanetId datanet);

    /// @notice A Datanet. Reverts with `UnknownDatanet`.
    function datanetOf(DatanetId datanet) external view returns (Datanet memory);

    /// @notice A version, from 1. Reverts with `UnknownDatanet` or `UnknownVersion`.
    function versionOf(DatanetId datanet, uint32 version) external view returns (Version memory);

    /// @notice Whether `row` is in that version. Reverts with `UnknownDatanet` or `UnknownVersion`, never for a wrong
    /// proof.
    /// @dev A row at or past `rowCount` is not in the version, whatever its proof.
    /// @param proof siblings from the leaf up; the levels at which the node was promoted have none
    function contains(DatanetId datanet, uint32 version, Row calldata row, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice Creates a Datanet owned by the caller, without a version; its id is `datanetIdOf(caller, name)`.
    /// @dev Reverts with `EmptyName`, `TextTooLong` (256 bytes each for name and licence) or `DatanetExists`.
    function create(string calldata name, string calldata licence, bytes32 metadataHash)
        external
        returns (DatanetId datanet);

    /// @notice Publishes the next version, starting from 1. Owner only.
    /// @dev Reverts with `UnknownDatanet`, `NotDatanetOwner` or `EmptyVersion`.
    function publish(DatanetId datanet, bytes32 rowsRoot, uint32 rowCount) external returns (uint32 version);
}

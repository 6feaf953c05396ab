// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DatanetId} from "../types/Ids.sol";

/// @notice Curated data sets. A version is a Merkle root over its rows and never changes.
/// @dev Row leaf: keccak256(bytes.concat(keccak256(abi.encode(uint64 rowIndex, bytes32 rowHash, address contributor,
/// bytes32 clusterHash)))), pairs sorted, an odd last node promoted.
interface IDatanetRegistry {
    struct Datanet {
        address owner;
        uint32 versions;
        bytes32 metadataHash;
        string name;
        string licence;
    }

    struct Version {
        bytes32 rowsRoot;
        uint32 rowCount;
        uint64 publishedAt;
    }

    struct Row {
        uint64 index;
        bytes32 rowHash;
        address contributor;
        bytes32 clusterHash;
    }

    error UnknownDatanet(DatanetId datanet);
    error UnknownVersion(DatanetId datanet, uint32 version);
    error NotDatanetOwner(DatanetId datanet, address caller);
    error EmptyVersion();
    error EmptyName();
    error DatanetExists(DatanetId datanet);

    event DatanetCreated(
        DatanetId indexed datanet, address indexed owner, string name, string licence, bytes32 metadataHash
    );
    event VersionPublished(DatanetId indexed datanet, uint32 indexed version, bytes32 rowsRoot, uint32 rowCount);

    function datanetOf(DatanetId datanet) external view returns (Datanet memory);

    function versionOf(DatanetId datanet, uint32 version) external view returns (Version memory);

    /// @notice Whether `row` is in that version.
    function contains(DatanetId datanet, uint32 version, Row calldata row, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice Creates a Datanet owned by the caller; id = keccak256(abi.encode(chainid, this, caller, name)).
    function create(string calldata name, string calldata licence, bytes32 metadataHash)
        external
        returns (DatanetId datanet);

    /// @notice Publishes the next version, starting from 1. Owner only.
    function publish(DatanetId datanet, bytes32 rowsRoot, uint32 rowCount) external returns (uint32 version);
}

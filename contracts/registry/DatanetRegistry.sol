// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IDatanetRegistry} from "../interfaces/IDatanetRegistry.sol";
import {MerkleLeaves} from "../libraries/MerkleLeaves.sol";
import {DatanetId} from "../types/Ids.sol";

/// @title DatanetRegistry
/// @notice Keeps who owns a Datanet and the root of each of its versions.
contract DatanetRegistry is IDatanetRegistry {
    /// @notice Longest name and licence, in bytes.
    uint256 public constant MAX_TEXT_BYTES = 256;

    mapping(DatanetId datanet => Datanet) private _datanets;

    mapping(DatanetId datanet => mapping(uint32 version => Version)) private _versions;

    /// @inheritdoc IDatanetRegistry
    function datanetIdOf(address owner, string calldata name) public view returns (DatanetId datanet) {
        return DatanetId.wrap(keccak256(abi.encode(block.chainid, address(this), owner, name)));
    }

    /// @inheritdoc IDatanetRegistry
    function datanetOf(DatanetId datanet) external view returns (Datanet memory) {
        return _known(datanet);
    }

    /// @inheritdoc IDatanetRegistry
    function versionOf(DatanetId datanet, uint32 version) external view returns (Version memory) {
        return _knownVersion(datanet, version);
    }

    /// @inheritdoc IDatanetRegistry
    function contains(DatanetId datanet, uint32 version, Row calldata row, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        Version storage stored = _knownVersion(datanet, version);

        bytes32 leaf = MerkleLeaves.rowLeaf(row.index, row.rowHash, row.contributor, row.clusterHash);
        return row.index < stored.rowCount && MerkleProof.verifyCalldata(proof, stored.rowsRoot, leaf);
    }

    /// @inheritdoc IDatanetRegistry
    function create(string calldata name, string calldata licence, bytes32 metadataHash)
        external
        returns (DatanetId datanet)
    {
        datanet = datanetIdOf(msg.sender, name);

        require(bytes(name).length != 0, EmptyName());
        require(bytes(name).length <= MAX_TEXT_BYTES, TextTooLong(bytes(name).length, MAX_TEXT_BYTES));
        require(bytes(licence).length <= MAX_TEXT_BYTES, TextTooLong(bytes(licence).length, MAX_TEXT_BYTES));
        require(_datanets[datanet].owner == address(0), DatanetExists(datanet));

        _datanets[datanet] =
            Datanet({owner: msg.sender, versions: 0, metadataHash: metadataHash, name: name, licence: licence});

        emit DatanetCreated(datanet, msg.sender, name, licence, metadataHash);
    }

    /// @inheritdoc IDatanetRegistry
    function publish(DatanetId datanet, bytes32 rowsRoot, uint32 rowCount) external returns (uint32 version) {
        Datanet storage stored = _known(datanet);

        require(stored.owner == msg.sender, NotDatanetOwner(datanet, msg.sender));
        require(rowsRoot != 0 && rowCount != 0, EmptyVersion());

        version = ++stored.versions;
        _versions[datanet][version] =
            Version({rowsRoot: rowsRoot, rowCount: rowCount, publishedAt: uint64(block.timestamp)});

        emit VersionPublished(datanet, version, rowsRoot, rowCount);
    }

    function _known(DatanetId datanet) private view returns (Datanet storage stored) {
        stored = _datanets[datanet];
        require(stored.owner != address(0), UnknownDatanet(datanet));
    }

    function _knownVersion(DatanetId datanet, uint32 version) private view returns (Version storage stored) {
        _known(datanet);
        stored = _versions[datanet][version];
        require(stored.rowCount != 0, UnknownVersion(datanet, version));
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title MerkleLeaves
/// @notice Leaves of the Merkle trees that contracts and nodes agree on.
/// @dev A leaf is keccak256(bytes.concat(keccak256(abi.encode(...)))). Hashed twice, it cannot be mistaken for an inner
/// node, keccak256(min || max) of two children. Level by level, nodes 2i and 2i + 1 are paired and an odd last node is
/// promoted unchanged; OpenZeppelin's `MerkleProof` verifies the proofs. The trees differ in how many words their
/// leaves encode or in where they are committed, so a proof for one is none for another.
library MerkleLeaves {
    /// @notice Leaf of a row of a Datanet version; see `IDatanetRegistry.Row`.
    function rowLeaf(uint64 index, bytes32 rowHash, address contributor, bytes32 clusterHash)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(bytes.concat(keccak256(abi.encode(index, rowHash, contributor, clusterHash))));
    }

    /// @notice Leaf of a contributor of a model's influence index; see `IndexContributor`.
    /// @param ordinal place among the contributors, who ascend by earner, from 0
    /// @param earner index of the contributor
    /// @param acceptedRows its rows in the index, one per duplicate cluster
    /// @param sumsHash keccak256 of its summed sketch T_c, each coordinate as int32 in big-endian two's complement
    /// @param left hash of the left child of its partial-sum tree's root, or of its only row; zero without rows
    /// @param right hash of the right child; zero with at most one row
    function contributorLeaf(
        uint32 ordinal,
        uint32 earner,
        uint32 acceptedRows,
        bytes32 sumsHash,
        bytes32 left,
        bytes32 right
    ) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(ordinal, earner, acceptedRows, sumsHash, left, right))));
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {MerkleLeaves} from "./MerkleLeaves.sol";

/// @dev A contributor's leaf in a model's influence index. (acceptedRows, sumsHash, left, right) is the root of its
/// partial-sum tree.
/// @param ordinal place among the contributors, who ascend by earner, from 0
/// @param earner index of the contributor
/// @param acceptedRows its rows in the index, one per duplicate cluster
/// @param sumsHash keccak256 of its summed sketch T_c, each of the d numbers as int32 in big-endian two's complement
struct IndexContributor {
    uint32 ordinal;
    uint32 earner;
    uint32 acceptedRows;
    bytes32 sumsHash;
    bytes32 left;
    bytes32 right;
}

/// @dev A node of a contributor's partial-sum tree.
/// @param count rows under it; 1 for a leaf
/// @param sumsHash keccak256 of the sum of their sketches, as in `IndexContributor`
/// @param left hash of the left child; for a leaf, of its row
/// @param right hash of the right child; zero for a leaf
struct IndexNode {
    uint32 count;
    bytes32 sumsHash;
    bytes32 left;
    bytes32 right;
}

/// @dev Which row of a Datanet a leaf stands for.
/// @param datanet place of the Datanet version in the model's `datanetsOf`
/// @param rowIndex position in the version
/// @param rowHash keccak256 of the row's text
/// @param clusterHash `rowHash` of the canonical row of its duplicate cluster
struct IndexRow {
    uint8 datanet;
    uint64 rowIndex;
    bytes32 rowHash;
    bytes32 clusterHash;
}

/// @param proof siblings from the contributor's leaf up to the index's root
struct ContributorProof {
    IndexContributor contributor;
    bytes32[] proof;
}

/// @dev A node of a contributor's tree with the way down to it.
/// @param turns bit i is set if path[i] is the right child of the node above it
/// @param path nodes below the contributor's root, from the top; the last one is meant. Empty for the root itself
struct NodeProof {
    ContributorProof contributor;
    uint256 turns;
    IndexNode[] path;
}

/// @param node the leaf that stands for `row`
struct RowProof {
    NodeProof node;
    IndexRow row;
}

/// @notice The trees of an influence index: contributors' leaves under one Merkle root, and under each leaf a tree of
/// partial sums over the contributor's accepted rows.
/// @dev Rows ascend by (datanet, rowIndex). Level by level, nodes 2i and 2i + 1 have a parent and an odd last node is
/// promoted, so the left child of a node over n rows has the largest power of two below n. An inner node's sums are the
/// sums of its children's, each number in int32. A contributor without a row has count 0, sums of zero and no children.
library IndexTree {
    /// @dev Thrown when a contributor's leaf is not under the index's root.
    error NotAContributor();
    /// @dev Thrown when a node of a path is not the child that `turns` says.
    error NotANode(uint256 depth);
    /// @dev Thrown when a node is not the leaf of the row given with it.
    error NotARow();

    /// @notice The root of a contributor's tree.
    function rootOf(IndexContributor memory contributor) internal pure returns (IndexNode memory) {
        return IndexNode(contributor.acceptedRows, contributor.sumsHash, contributor.left, contributor.right);
    }

    /// @notice keccak256(abi.encode(uint32 count, bytes32 sumsHash, bytes32 left, bytes32 right)).
    function hashOf(IndexNode memory node) internal pure returns (bytes32) {
        return keccak256(abi.encode(node));
    }

    /// @notice keccak256(abi.encode(uint8 datanet, uint64 rowIndex, bytes32 rowHash, bytes32 clusterHash)).
    function hashOf(IndexRow memory row) internal pure returns (bytes32) {
        return keccak256(abi.encode(row));
    }

    /// @notice The leaf of a contributor: keccak256(bytes.concat(keccak256(abi.encode(contributor)))).
    function leafOf(IndexContributor memory contributor) internal pure returns (bytes32) {
        return MerkleLeaves.contributorLeaf(
            contributor.ordinal,
            contributor.earner,
            contributor.acceptedRows,
            contributor.sumsHash,
            contributor.left,
            contributor.right
        );
    }

    /// @notice Rows under the left child of a node over `count` rows: the largest power of two below `count`.
    /// @dev `count` is at least 2.
    function leftCount(uint32 count) internal pure returns (uint32 power) {
        power = 1;
        // Never overflows: power < count <= 2^32 - 1 before each doubling, and 2^31 stops at count <= 2^32.
        while (uint256(power) * 2 < count) power *= 2;
    }

    /// @notice Whether row `a` is before row `b` in the order of leaves.
    function isBefore(IndexRow memory a, IndexRow memory b) internal pure returns (bool) {
        return a.datanet != b.datanet ? a.datanet < b.datanet : a.rowIndex < b.rowIndex;
    }

    /// @notice A contributor whose leaf is under an index's root.
    /// @dev Reverts with `NotAContributor`.
    function contributorUnder(bytes32 root, ContributorProof calldata proof)
        internal
        pure
        returns (IndexContributor memory)
    {
        bytes32 leaf = leafOf(proof.contributor);
        require(MerkleProof.verifyCalldata(proof.proof, root, leaf), NotAContributor());
        return proof.contributor;
    }

    /// @notice A node under an index's root.
    /// @dev Reverts with `NotAContributor` or `NotANode`.
    /// @return node the last of the path
    /// @return rank of its first leaf among its contributor's, if counts are right
    function nodeUnder(bytes32 root, NodeProof calldata proof)
        internal
        pure
        returns (IndexNode memory node, uint256 rank)
    {
        node = rootOf(contributorUnder(root, proof.contributor));

        for (uint256 i = 0; i < proof.path.length; i++) {
            // Below a leaf there are rows, which must not be read as nodes.
            require(node.count > 1, NotANode(i));
            bool isRight = proof.turns >> i & 1 == 1;
            if (isRight) rank += leftCount(node.count);
            bytes32 child = isRight ? node.right : node.left;

            node = proof.path[i];
            require(hashOf(node) == child, NotANode(i));
        }
    }

    /// @notice A node under an index's root that has these two as its children.
    /// @dev Reverts with `NotAContributor` or `NotANode`.
    function parentUnder(bytes32 root, NodeProof calldata proof, IndexNode calldata left, IndexNode calldata right)
        internal
        pure
        returns (IndexNode memory node)
    {
        (node,) = nodeUnder(root, proof);
        // A leaf's "children" are not nodes: its row's hash could be read as one.
        require(node.count > 1, NotANode(proof.path.length));
        require(node.left == hashOf(left), NotANode(proof.path.length));
        require(node.right == hashOf(right), NotANode(proof.path.length));
    }

    /// @notice The rank of a row's leaf among its contributor's, under an index's root.
    /// @dev Reverts with `NotAContributor`, `NotANode` or `NotARow`.
    function rowUnder(bytes32 root, RowProof calldata proof) internal pure returns (uint256 rank) {
        IndexNode memory node;
        (node, rank) = nodeUnder(root, proof.node);
        require(node.count == 1 && node.left == hashOf(proof.row), NotARow());
    }
}

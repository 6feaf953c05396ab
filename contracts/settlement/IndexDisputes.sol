// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IIndexDisputes} from "../interfaces/IIndexDisputes.sol";
import {IInfluenceIndexes} from "../interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {
    ContributorProof,
    IndexContributor,
    IndexNode,
    IndexRow,
    IndexTree,
    NodeProof,
    RowProof
} from "../libraries/IndexTree.sol";
import {ModelId} from "../types/Ids.sol";
import {IndexClaims} from "./IndexClaims.sol";
import {IndexEvidence} from "./IndexEvidence.sol";

/// @title IndexDisputes
/// @notice Judges proofs against influence indexes.
contract IndexDisputes is IndexClaims {
    using IndexTree for IndexContributor;

    int256 private constant MAX_SKETCH = 127;

    constructor(
        IInfluenceIndexes indexes_,
        IModelRegistry models_,
        IDatanetRegistry datanets_,
        IEarnerRegistry earners_,
        uint256 claimBond_,
        uint64 answerPeriod_
    ) IndexEvidence(indexes_, models_, datanets_, earners_) IndexClaims(claimBond_, answerPeriod_) {}

    /// @inheritdoc IIndexDisputes
    function proveContributors(ModelId model, ContributorProof calldata a, ContributorProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexContributor memory low = IndexTree.contributorUnder(index.root, a);
        IndexContributor memory high = IndexTree.contributorUnder(index.root, b);
        if (low.ordinal > high.ordinal) (low, high) = (high, low);

        bool sameOrdinal = low.ordinal == high.ordinal && low.leafOf() != high.leafOf();
        _strikeIf(sameOrdinal || (low.ordinal < high.ordinal && low.earner >= high.earner), model, Fault.Contributors);
    }

    /// @inheritdoc IIndexDisputes
    function proveOrdinal(ModelId model, ContributorProof calldata contributor) external {
        IInfluenceIndexes.Index memory index = _disputable(model);

        _strikeIf(
            IndexTree.contributorUnder(index.root, contributor).ordinal >= index.contributors, model, Fault.Ordinal
        );
    }

    /// @inheritdoc IIndexDisputes
    function proveNode(ModelId model, NodeProof calldata proof) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        (IndexNode memory node,) = IndexTree.nodeUnder(index.root, proof);

        bool wrong;
        if (node.count > 1) {
            // Nothing that anyone knows has the hash zero.
            wrong = node.left == 0 || node.right == 0;
        } else if (node.count == 1) {
            wrong = node.left == 0 || node.right != 0;
        } else {
            bytes32 none = keccak256(new bytes(uint256(index.dim) * 4));
            wrong = proof.path.length != 0 || node.left != 0 || node.right != 0 || node.sumsHash != none;
        }
        _strikeIf(wrong, model, Fault.Node);
    }

    /// @inheritdoc IIndexDisputes
    function proveCount(ModelId model, NodeProof calldata proof, IndexNode calldata left, IndexNode calldata right)
        external
    {
        IndexNode memory node = IndexTree.parentUnder(_disputable(model).root, proof, left, right);

        bool adds = uint256(left.count) + right.count == node.count;
        _strikeIf(!adds || left.count != IndexTree.leftCount(node.count), model, Fault.Count);
    }

    /// @inheritdoc IIndexDisputes
    function proveLeafCount(ModelId model, NodeProof calldata proof, bool isRight, IndexRow calldata row) external {
        (IndexNode memory node,) = IndexTree.nodeUnder(_disputable(model).root, proof);

        bytes32 child = isRight ? node.right : node.left;
        _strikeIf(node.count != 1 && child == IndexTree.hashOf(row), model, Fault.LeafCount);
    }

    /// @inheritdoc IIndexDisputes
    function proveSums(
        ModelId model,
        NodeProof calldata proof,
        IndexNode calldata left,
        IndexNode calldata right,
        Sums calldata sums,
        uint256 coordinate
    ) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexNode memory node = IndexTree.parentUnder(index.root, proof, left, right);

        bool wrong = !_hasLength(node.sumsHash, sums.node, index.dim);
        if (!wrong) {
            // Children of another length are faults of their own.
            require(_hasLength(left.sumsHash, sums.left, index.dim), NoFault());
            require(_hasLength(right.sumsHash, sums.right, index.dim), NoFault());
            // In 256 bits, so a sum that int32 cannot hold differs from any node's.
            int256 sum = _at(sums.left, coordinate) + _at(sums.right, coordinate);
            wrong = sum != _at(sums.node, coordinate);
        }
        _strikeIf(wrong, model, Fault.Sums);
    }

    /// @inheritdoc IIndexDisputes
    function proveSketch(ModelId model, NodeProof calldata leaf, bytes calldata sketch, uint256 coordinate) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        (IndexNode memory node,) = IndexTree.nodeUnder(index.root, leaf);
        require(node.count == 1, IndexTree.NotARow());

        bool wrong = !_hasLength(node.sumsHash, sketch, index.dim);
        if (!wrong) {
            int256 value = _at(sketch, coordinate);
            wrong = value > MAX_SKETCH || value < -MAX_SKETCH;
        }
        _strikeIf(wrong, model, Fault.Sketch);
    }

    /// @inheritdoc IIndexDisputes
    function proveRange(ModelId model, RowProof calldata proof) external {
        IndexTree.rowUnder(_disputable(model).root, proof);
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);

        bool wrong = proof.row.datanet >= versions.length;
        if (!wrong) {
            IModelRegistry.DatanetVersion memory at = versions[proof.row.datanet];
            wrong = proof.row.rowIndex >= datanets.versionOf(at.datanet, at.version).rowCount;
        }
        _strikeIf(wrong, model, Fault.Range);
    }

    /// @inheritdoc IIndexDisputes
    function proveRow(ModelId model, RowProof calldata proof, DatanetRow calldata actual) external {
        IndexTree.rowUnder(_disputable(model).root, proof);
        _checkDatanetRow(model, actual);
        IndexRow calldata row = proof.row;
        bool same = actual.datanet == row.datanet && actual.row.index == row.rowIndex;

        bool right = actual.row.rowHash == row.rowHash && actual.row.clusterHash == row.clusterHash
            && _earnerOf(actual.row.contributor) == proof.node.contributor.contributor.earner;
        _strikeIf(same && !right, model, Fault.Row);
    }

    /// @inheritdoc IIndexDisputes
    function proveNotCanonical(ModelId model, RowProof calldata proof) external {
        IndexTree.rowUnder(_disputable(model).root, proof);

        _strikeIf(proof.row.rowHash != proof.row.clusterHash, model, Fault.Canonical);
    }

    /// @inheritdoc IIndexDisputes
    function proveEarlier(ModelId model, RowProof calldata proof, DatanetRow calldata earlier) external {
        IndexTree.rowUnder(_disputable(model).root, proof);
        _checkDatanetRow(model, earlier);

        _strikeIf(_isEarlier(earlier, proof.row), model, Fault.Canonical);
    }

    /// @inheritdoc IIndexDisputes
    function proveCluster(ModelId model, RowProof calldata a, RowProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        uint256 rankA = IndexTree.rowUnder(index.root, a);
        uint256 rankB = IndexTree.rowUnder(index.root, b);

        // Ordinals may repeat in a wrong index, so leaves of different contributors are told apart by their hashes.
        bool different = rankA != rankB
            || IndexTree.leafOf(a.node.contributor.contributor) != IndexTree.leafOf(b.node.contributor.contributor);
        _strikeIf(different && a.row.clusterHash == b.row.clusterHash, model, Fault.Cluster);
    }

    /// @inheritdoc IIndexDisputes
    function proveOrder(ModelId model, RowProof calldata a, RowProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        uint256 rankA = IndexTree.rowUnder(index.root, a);
        uint256 rankB = IndexTree.rowUnder(index.root, b);
        bool sameTree =
            IndexTree.leafOf(a.node.contributor.contributor) == IndexTree.leafOf(b.node.contributor.contributor);

        _strikeIf(sameTree && rankA < rankB && !IndexTree.isBefore(a.row, b.row), model, Fault.Order);
    }

    /// @dev Whether `sums`, whose hash is checked, are `dim` numbers.
    function _hasLength(bytes32 hash, bytes calldata sums, uint32 dim) private pure returns (bool) {
        require(keccak256(sums) == hash, WrongSums(hash, keccak256(sums)));
        return sums.length == uint256(dim) * 4;
    }

    function _at(bytes calldata sums, uint256 coordinate) private pure returns (int256) {
        require(coordinate < sums.length / 4, CoordinateOutOfRange(coordinate));
        return int32(uint32(bytes4(sums[coordinate * 4:coordinate * 4 + 4])));
    }

    function _strikeIf(bool wrong, ModelId model, Fault fault) private {
        require(wrong, NoFault());

        emit FaultProven(model, fault, msg.sender);

        indexes.strike(model, msg.sender);
    }
}

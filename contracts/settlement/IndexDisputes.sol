// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

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
import {EarnerIndex, ModelId} from "../types/Ids.sol";

/// @title IndexDisputes
/// @notice Judges proofs against influence indexes.
contract IndexDisputes is IIndexDisputes {
    using IndexTree for IndexContributor;
    using IndexTree for IndexNode;
    using IndexTree for IndexRow;

    int256 private constant MAX_SKETCH = 127;

    /// @notice What is judged. This contract is one of its arbiters.
    IInfluenceIndexes public immutable indexes;

    /// @notice Which Datanet versions a model was trained on.
    IModelRegistry public immutable models;

    /// @notice The rows of Datanet versions.
    IDatanetRegistry public immutable datanets;

    /// @notice The indexes under which contributors earn.
    IEarnerRegistry public immutable earners;

    /// @inheritdoc IIndexDisputes
    uint256 public immutable claimBond;

    /// @inheritdoc IIndexDisputes
    uint64 public immutable answerPeriod;

    /// @inheritdoc IIndexDisputes
    mapping(ModelId model => uint256 claims) public openClaims;

    mapping(bytes32 claim => Claim) private _claims;

    constructor(
        IInfluenceIndexes indexes_,
        IModelRegistry models_,
        IDatanetRegistry datanets_,
        IEarnerRegistry earners_,
        uint256 claimBond_,
        uint64 answerPeriod_
    ) {
        require(answerPeriod_ != 0, ZeroAnswerPeriod());

        indexes = indexes_;
        models = models_;
        datanets = datanets_;
        earners = earners_;
        claimBond = claimBond_;
        answerPeriod = answerPeriod_;
    }

    /// @inheritdoc IIndexDisputes
    function claimOf(bytes32 claim) external view returns (Claim memory) {
        return _open(claim);
    }

    /// @inheritdoc IIndexDisputes
    function proveContributors(ModelId model, ContributorProof calldata a, ContributorProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexContributor memory low = _contributor(index, a);
        IndexContributor memory high = _contributor(index, b);
        if (low.ordinal > high.ordinal) (low, high) = (high, low);

        bool sameOrdinal = low.ordinal == high.ordinal && low.leafOf() != high.leafOf();
        _strikeIf(sameOrdinal || (low.ordinal < high.ordinal && low.earner >= high.earner), model, Fault.Contributors);
    }

    /// @inheritdoc IIndexDisputes
    function proveOrdinal(ModelId model, ContributorProof calldata contributor) external {
        IInfluenceIndexes.Index memory index = _disputable(model);

        _strikeIf(_contributor(index, contributor).ordinal >= index.contributors, model, Fault.Ordinal);
    }

    /// @inheritdoc IIndexDisputes
    function proveNode(ModelId model, NodeProof calldata proof) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        (IndexNode memory node,) = _node(index, proof);

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
        IndexNode memory node = _parent(_disputable(model), proof, left, right);

        bool adds = uint256(left.count) + right.count == node.count;
        _strikeIf(!adds || left.count != IndexTree.leftCount(node.count), model, Fault.Count);
    }

    /// @inheritdoc IIndexDisputes
    function proveLeafCount(ModelId model, NodeProof calldata proof, bool isRight, IndexRow calldata row) external {
        (IndexNode memory node,) = _node(_disputable(model), proof);

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
        IndexNode memory node = _parent(index, proof, left, right);

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
        (IndexNode memory node,) = _node(index, leaf);
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
        _row(_disputable(model), proof);
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
        _row(_disputable(model), proof);
        _checkDatanetRow(model, actual);
        IndexRow calldata row = proof.row;
        bool same = actual.datanet == row.datanet && actual.row.index == row.rowIndex;

        bool right = actual.row.rowHash == row.rowHash && actual.row.clusterHash == row.clusterHash
            && _earnerOf(actual.row.contributor) == proof.node.contributor.contributor.earner;
        _strikeIf(same && !right, model, Fault.Row);
    }

    /// @inheritdoc IIndexDisputes
    function proveNotCanonical(ModelId model, RowProof calldata proof) external {
        _row(_disputable(model), proof);

        _strikeIf(proof.row.rowHash != proof.row.clusterHash, model, Fault.Canonical);
    }

    /// @inheritdoc IIndexDisputes
    function proveEarlier(ModelId model, RowProof calldata proof, DatanetRow calldata earlier) external {
        _row(_disputable(model), proof);
        _checkDatanetRow(model, earlier);

        _strikeIf(_isEarlier(earlier, proof.row), model, Fault.Canonical);
    }

    /// @inheritdoc IIndexDisputes
    function proveCluster(ModelId model, RowProof calldata a, RowProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        uint256 rankA = _row(index, a);
        uint256 rankB = _row(index, b);

        // Ordinals may repeat in a wrong index, so leaves of different contributors are told apart by their hashes.
        bool different = rankA != rankB || _leaf(a.node.contributor) != _leaf(b.node.contributor);
        _strikeIf(different && a.row.clusterHash == b.row.clusterHash, model, Fault.Cluster);
    }

    /// @inheritdoc IIndexDisputes
    function proveOrder(ModelId model, RowProof calldata a, RowProof calldata b) external {
        IInfluenceIndexes.Index memory index = _disputable(model);
        uint256 rankA = _row(index, a);
        uint256 rankB = _row(index, b);
        bool sameTree = _leaf(a.node.contributor) == _leaf(b.node.contributor);

        _strikeIf(sameTree && rankA < rankB && !IndexTree.isBefore(a.row, b.row), model, Fault.Order);
    }

    /// @inheritdoc IIndexDisputes
    function claimLeftOutRow(
        ModelId model,
        DatanetRow calldata row,
        ContributorProof calldata contributor,
        Gap calldata gap
    ) external payable returns (bytes32 claim) {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexContributor memory leaf = _contributor(index, contributor);
        IndexRow memory place = _canonical(model, row);
        require(_earnerOf(row.row.contributor) == leaf.earner, NoFault());

        _checkGap(index, leaf, place, gap);
        return _claimLeftOut(model, place);
    }

    /// @inheritdoc IIndexDisputes
    function claimLeftOutContributor(
        ModelId model,
        DatanetRow calldata row,
        ContributorProof[] calldata lower,
        ContributorProof[] calldata upper
    ) external payable returns (bytes32 claim) {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexRow memory place = _canonical(model, row);
        uint32 earner = _earnerOf(row.row.contributor);
        // An account without an index cannot be in one.
        require(earner != 0, NoFault());
        require(lower.length < 2 && upper.length < 2 && lower.length + upper.length != 0, NotAGap());

        // As one more than the place before, so that none before is 0.
        uint256 next = 0;
        if (lower.length == 1) {
            IndexContributor memory before = _contributor(index, lower[0]);
            require(before.earner < earner, NotAGap());
            next = uint256(before.ordinal) + 1;
        }
        uint256 end = index.contributors;
        if (upper.length == 1) {
            IndexContributor memory afterwards = _contributor(index, upper[0]);
            require(earner < afterwards.earner, NotAGap());
            end = afterwards.ordinal;
        }
        require(next == end, NotAGap());

        return _claimLeftOut(model, place);
    }

    /// @inheritdoc IIndexDisputes
    function claimMissingOrdinal(ModelId model, uint32 ordinal) external payable returns (bytes32 claim) {
        uint32 contributors = _disputable(model).contributors;
        require(ordinal < contributors, OrdinalOutOfRange(ordinal, contributors));
        claim = keccak256(abi.encode(model, msg.sender, ordinal));
        uint64 deadline = _deadline();

        emit OrdinalClaimed(model, claim, msg.sender, deadline, ordinal);

        IndexRow memory none;
        _claim(claim, Claim(model, msg.sender, deadline, Fault.MissingOrdinal, ordinal, none));
    }

    /// @inheritdoc IIndexDisputes
    function answer(bytes32 claim, DatanetRow calldata earlier) external {
        Claim memory open = _answerable(claim, Fault.LeftOut);
        _checkDatanetRow(open.model, earlier);
        require(_isEarlier(earlier, open.row), NotInDatanet(earlier.datanet, earlier.row.index));

        emit LeftOutAnswered(claim, msg.sender, _place(earlier));

        _answered(claim, open.model);
    }

    /// @inheritdoc IIndexDisputes
    function answerOrdinal(bytes32 claim, ContributorProof calldata contributor) external {
        Claim memory open = _answerable(claim, Fault.MissingOrdinal);
        uint32 ordinal = _contributor(indexes.indexOf(open.model), contributor).ordinal;
        require(ordinal == open.ordinal, WrongOrdinal(open.ordinal, ordinal));

        emit OrdinalAnswered(claim, msg.sender);

        _answered(claim, open.model);
    }

    /// @inheritdoc IIndexDisputes
    function conclude(bytes32 claim) external {
        Claim memory open = _open(claim);
        IInfluenceIndexes.Index memory index = indexes.indexOf(open.model);
        bool isOver = index.struck || block.timestamp >= index.acceptedAt;
        require(isOver || block.timestamp >= open.deadline, TooEarly(open.deadline));

        _close(claim, open.model);

        if (!isOver) {
            emit FaultProven(open.model, open.fault, open.challenger);
            indexes.strike(open.model, open.challenger);
        }
        _pay(open.challenger, claimBond);
    }

    function _claimLeftOut(ModelId model, IndexRow memory row) private returns (bytes32 claim) {
        claim = keccak256(abi.encode(model, msg.sender, row));
        uint64 deadline = _deadline();

        emit LeftOutClaimed(model, claim, msg.sender, deadline, row);

        _claim(claim, Claim(model, msg.sender, deadline, Fault.LeftOut, 0, row));
    }

    /// @dev A claim's id has its challenger in it: were it the first one's alone, a publisher could claim against
    /// itself from an account that takes no coins, whose claims cannot be concluded, and so keep others from it.
    function _claim(bytes32 claim, Claim memory made) private {
        require(msg.value == claimBond, WrongClaimBond(msg.value, claimBond));
        require(_claims[claim].deadline == 0, ClaimExists(claim));

        _claims[claim] = made;
        openClaims[made.model]++;

        // As long again to conclude it before the index is accepted.
        indexes.hold(made.model, made.deadline + answerPeriod);
    }

    function _deadline() private view returns (uint64) {
        return uint64(block.timestamp) + answerPeriod;
    }

    /// @dev A claim that what is shown for `fault` still answers.
    function _answerable(bytes32 claim, Fault fault) private view returns (Claim memory open) {
        open = _open(claim);
        require(open.fault == fault, WrongAnswer(open.fault));
        require(block.timestamp < open.deadline, TooLate(open.deadline));
    }

    function _answered(bytes32 claim, ModelId model) private {
        _close(claim, model);

        // Else one could answer one's own claims at once, and put off every index for nothing.
        if (openClaims[model] == 0 && !indexes.indexOf(model).struck) indexes.release(model);

        _pay(msg.sender, claimBond);
    }

    function _close(bytes32 claim, ModelId model) private {
        delete _claims[claim];
        openClaims[model]--;
    }

    /// @dev The leaves enclose `place` without room for it, or the tree is empty.
    function _checkGap(
        IInfluenceIndexes.Index memory index,
        IndexContributor memory contributor,
        IndexRow memory place,
        Gap calldata gap
    ) private pure {
        require(gap.lower.length < 2 && gap.upper.length < 2, NotAGap());
        bytes32 leaf = contributor.leafOf();

        uint256 next = 0;
        if (gap.lower.length == 1) {
            RowProof calldata lower = gap.lower[0];
            next = _row(index, lower) + 1;
            require(_leaf(lower.node.contributor) == leaf && IndexTree.isBefore(lower.row, place), NotAGap());
        }
        uint256 end = contributor.acceptedRows;
        if (gap.upper.length == 1) {
            RowProof calldata upper = gap.upper[0];
            end = _row(index, upper);
            require(_leaf(upper.node.contributor) == leaf && IndexTree.isBefore(place, upper.row), NotAGap());
        }
        require(next == end, NotAGap());
    }

    /// @dev A row of the model's Datanets whose hash is its cluster's.
    function _canonical(ModelId model, DatanetRow calldata row) private view returns (IndexRow memory place) {
        _checkDatanetRow(model, row);
        place = _place(row);
        require(place.rowHash == place.clusterHash, NoFault());
    }

    function _place(DatanetRow calldata row) private pure returns (IndexRow memory) {
        return IndexRow(row.datanet, row.row.index, row.row.rowHash, row.row.clusterHash);
    }

    /// @dev Whether `earlier` is of the same cluster as `row` and before it.
    function _isEarlier(DatanetRow calldata earlier, IndexRow memory row) private pure returns (bool) {
        IndexRow memory place = _place(earlier);
        return place.clusterHash == row.clusterHash && place.isBefore(row);
    }

    function _checkDatanetRow(ModelId model, DatanetRow calldata row) private view {
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);
        bool known = row.datanet < versions.length;
        if (known) {
            IModelRegistry.DatanetVersion memory at = versions[row.datanet];
            known = datanets.contains(at.datanet, at.version, row.row, row.proof);
        }
        require(known, NotInDatanet(row.datanet, row.row.index));
    }

    function _earnerOf(address contributor) private view returns (uint32) {
        return EarnerIndex.unwrap(earners.earnerOf(contributor, IEarnerRegistry.Role.Contributor));
    }

    /// @dev A node that has these two as its children.
    function _parent(
        IInfluenceIndexes.Index memory index,
        NodeProof calldata proof,
        IndexNode calldata left,
        IndexNode calldata right
    ) private pure returns (IndexNode memory node) {
        (node,) = _node(index, proof);
        // A leaf's "children" are not nodes: its row's hash could be read as one.
        require(node.count > 1, IndexTree.NotANode(proof.path.length));
        require(node.left == IndexTree.hashOf(left), IndexTree.NotANode(proof.path.length));
        require(node.right == IndexTree.hashOf(right), IndexTree.NotANode(proof.path.length));
    }

    /// @return rank of the row's leaf among its contributor's
    function _row(IInfluenceIndexes.Index memory index, RowProof calldata proof) private pure returns (uint256 rank) {
        IndexNode memory node;
        (node, rank) = _node(index, proof.node);
        require(node.count == 1 && node.left == IndexTree.hashOf(proof.row), IndexTree.NotARow());
    }

    /// @return node the last of the path
    /// @return rank of its first leaf among its contributor's, if counts are right
    function _node(IInfluenceIndexes.Index memory index, NodeProof calldata proof)
        private
        pure
        returns (IndexNode memory node, uint256 rank)
    {
        node = _contributor(index, proof.contributor).rootOf();

        for (uint256 i = 0; i < proof.path.length; i++) {
            // Below a leaf there are rows, which must not be read as nodes.
            require(node.count > 1, IndexTree.NotANode(i));
            bool isRight = proof.turns >> i & 1 == 1;
            if (isRight) rank += IndexTree.leftCount(node.count);
            bytes32 child = isRight ? node.right : node.left;

            node = proof.path[i];
            require(node.hashOf() == child, IndexTree.NotANode(i));
        }
    }

    function _contributor(IInfluenceIndexes.Index memory index, ContributorProof calldata proof)
        private
        pure
        returns (IndexContributor memory)
    {
        require(MerkleProof.verifyCalldata(proof.proof, index.root, _leaf(proof)), IndexTree.NotAContributor());
        return proof.contributor;
    }

    function _leaf(ContributorProof calldata proof) private pure returns (bytes32) {
        return IndexTree.leafOf(proof.contributor);
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

    function _disputable(ModelId model) private view returns (IInfluenceIndexes.Index memory index) {
        index = indexes.indexOf(model);
        require(!index.struck && block.timestamp < index.acceptedAt, NotDisputable(model));
    }

    function _open(bytes32 claim) private view returns (Claim memory open) {
        open = _claims[claim];
        require(open.deadline != 0, UnknownClaim(claim));
    }

    function _strikeIf(bool wrong, ModelId model, Fault fault) private {
        require(wrong, NoFault());

        emit FaultProven(model, fault, msg.sender);

        indexes.strike(model, msg.sender);
    }

    function _pay(address to, uint256 amount) private {
        (bool ok,) = to.call{value: amount}("");
        require(ok, PaymentFailed(to));
    }
}

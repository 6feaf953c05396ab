// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IDatanetRegistry} from "../interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ISpanIndexes} from "../interfaces/ISpanIndexes.sol";
import {LeafOpening, MissingProof, OrderProof, SpanCommitment, SpanProofs, SpanRow} from "../libraries/SpanProofs.sol";
import {EarnerIndex, ModelId} from "../types/Ids.sol";

/// @notice Keeps which models' span indexes are published, accepted or struck, and their bonds.
contract SpanIndexes is ISpanIndexes, ReentrancyGuardTransient {
    /// @dev Who demanded a leaf, and until when it is to be shown.
    struct Demand {
        address by;
        uint64 until;
    }

    /// @dev Nobody has its key.
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc ISpanIndexes
    IModelRegistry public immutable models;

    /// @inheritdoc ISpanIndexes
    IDatanetRegistry public immutable datanets;

    /// @inheritdoc ISpanIndexes
    IEarnerRegistry public immutable earners;

    /// @inheritdoc ISpanIndexes
    uint256 public immutable bond;

    /// @inheritdoc ISpanIndexes
    uint256 public immutable demandDeposit;

    /// @inheritdoc ISpanIndexes
    uint64 public immutable window;

    /// @inheritdoc ISpanIndexes
    uint64 public immutable answerPeriod;

    mapping(ModelId model => Index) private _indexes;
    mapping(bytes32 leaf => Demand) private _demands;

    constructor(
        IModelRegistry models_,
        IDatanetRegistry datanets_,
        IEarnerRegistry earners_,
        uint256 bond_,
        uint256 demandDeposit_,
        uint64 window_,
        uint64 answerPeriod_
    ) {
        (models, datanets, earners) = (models_, datanets_, earners_);
        (bond, demandDeposit, window, answerPeriod) = (bond_, demandDeposit_, window_, answerPeriod_);
    }

    /// @inheritdoc ISpanIndexes
    function indexOf(ModelId model) external view returns (Index memory) {
        return _indexes[model];
    }

    /// @inheritdoc ISpanIndexes
    function isPaying(ModelId model, uint64 time) external view returns (bool) {
        Index storage index = _indexes[model];
        bool isAccepted = index.acceptedAt != 0 && index.acceptedAt <= time;
        return isAccepted && !index.struck && index.demands == 0;
    }

    /// @inheritdoc ISpanIndexes
    function publish(ModelId model, SpanCommitment calldata commitment) external payable {
        models.modelOf(model);
        address owner = IERC721(address(models)).ownerOf(uint256(ModelId.unwrap(model)));
        require(owner == msg.sender, NotModelOwner(model, msg.sender));
        require(_indexes[model].acceptedAt == 0, AlreadyPublished(model));
        require(msg.value == bond, WrongBond(msg.value, bond));
        bool isWhole = commitment.tokens != 0 && commitment.rows != 0 && commitment.tokens < commitment.positions;
        require(isWhole, InvalidCommitment());

        uint64 acceptedAt = uint64(block.timestamp) + window;
        _indexes[model] = Index({
            commitmentHash: SpanProofs.hashOf(commitment),
            publisher: msg.sender,
            disputableUntil: acceptedAt,
            acceptedAt: acceptedAt,
            demands: 0,
            struck: false,
            bond: msg.value
        });

        emit SpanIndexPublished(model, msg.sender, commitment, acceptedAt);
    }

    /// @inheritdoc ISpanIndexes
    function proveDisorder(ModelId model, SpanCommitment calldata commitment, OrderProof calldata proof)
        external
        nonReentrant
    {
        _checkDisputable(model, commitment);
        SpanProofs.checkDisorder(commitment, proof);
        _strike(model);
    }

    /// @inheritdoc ISpanIndexes
    function proveMissing(ModelId model, SpanCommitment calldata commitment, MissingProof calldata proof)
        external
        nonReentrant
    {
        _checkDisputable(model, commitment);
        SpanProofs.checkMissing(commitment, proof);
        _strike(model);
    }

    /// @inheritdoc ISpanIndexes
    function proveRow(
        ModelId model,
        SpanCommitment calldata commitment,
        uint32 row,
        LeafOpening calldata opening,
        LeafOpening[] calldata cluster,
        IDatanetRegistry.Row calldata datanetRow,
        bytes32[] calldata datanetProof
    ) external nonReentrant {
        _checkDisputable(model, commitment);
        SpanRow memory given = SpanProofs.rowOf(commitment, row, opening);

        require(_isWrong(model, commitment, given, cluster, datanetRow, datanetProof), NoFault());
        _strike(model);
    }

    /// @inheritdoc ISpanIndexes
    function proveLaterCopy(
        ModelId model,
        SpanCommitment calldata commitment,
        uint32 row,
        LeafOpening calldata opening,
        LeafOpening calldata cluster,
        uint32 earlier,
        LeafOpening calldata earlierOpening
    ) external nonReentrant {
        _checkDisputable(model, commitment);
        uint32 canonical = SpanProofs.rowOf(commitment, row, opening).cluster;
        bytes32 text = SpanProofs.rowOf(commitment, canonical, cluster).rowHash;

        bool isLater = earlier < canonical && SpanProofs.rowOf(commitment, earlier, earlierOpening).rowHash == text;
        require(isLater, NoFault());
        _strike(model);
    }

    /// @inheritdoc ISpanIndexes
    function demand(ModelId model, SpanCommitment calldata commitment, Tree tree, uint64 number) external payable {
        Index storage index = _checkCommitment(model, commitment);
        require(block.timestamp < index.disputableUntil, WrongTime(index.disputableUntil));
        require(msg.value == demandDeposit, WrongBond(msg.value, demandDeposit));
        require(number < _leavesOf(commitment, tree), NoSuchLeaf(tree, number));
        Demand storage asked = _demands[_keyOf(model, tree, number)];
        require(asked.until == 0, WrongDemand(model, tree, number));

        uint64 until = uint64(block.timestamp) + answerPeriod;
        (asked.by, asked.until) = (msg.sender, until);
        ++index.demands;
        index.acceptedAt = uint64(Math.max(index.acceptedAt, until));

        emit LeafDemanded(model, tree, number, msg.sender, until);
    }

    /// @inheritdoc ISpanIndexes
    function answer(
        ModelId model,
        SpanCommitment calldata commitment,
        Tree tree,
        uint64 number,
        LeafOpening calldata opening
    ) external nonReentrant {
        Index storage index = _checkCommitment(model, commitment);
        Demand storage asked = _demands[_keyOf(model, tree, number)];
        require(asked.by != address(0), WrongDemand(model, tree, number));
        require(block.timestamp < asked.until, WrongTimeOfDemand(asked.until));
        SpanProofs.checkLeaf(opening, _sizeOf(tree), _rootOf(commitment, tree), number, _leavesOf(commitment, tree));

        // The time stays: a leaf that was shown is not demanded again.
        asked.by = address(0);
        --index.demands;

        emit LeafShown(model, tree, number);
        _pay(index.publisher, demandDeposit);
    }

    /// @inheritdoc ISpanIndexes
    function proveUnanswered(ModelId model, Tree tree, uint64 number) external nonReentrant {
        Demand storage asked = _demands[_keyOf(model, tree, number)];
        address by = asked.by;
        require(by != address(0), WrongDemand(model, tree, number));
        require(block.timestamp >= asked.until, WrongTimeOfDemand(asked.until));

        asked.by = address(0);

        // Of a struck index nothing can be shown any more: whoever asked must not lose by that.
        if (!_indexes[model].struck) _strike(model);
        _pay(by, demandDeposit);
    }

    /// @inheritdoc ISpanIndexes
    function withdrawBond(ModelId model) external nonReentrant {
        Index storage index = _published(model);
        require(block.timestamp >= index.acceptedAt, WrongTime(index.acceptedAt));
        require(index.demands == 0, WrongTimeOfDemand(index.acceptedAt));
        uint256 amount = index.bond;
        require(amount != 0, NoBond());

        index.bond = 0;

        emit BondWithdrawn(model, index.publisher, amount);
        _pay(index.publisher, amount);
    }

    /// @dev Whether a row of the index is not what the model's Datanet version has.
    function _isWrong(
        ModelId model,
        SpanCommitment calldata commitment,
        SpanRow memory given,
        LeafOpening[] calldata cluster,
        IDatanetRegistry.Row calldata row,
        bytes32[] calldata proof
    ) private view returns (bool) {
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);
        if (given.datanet >= versions.length) return true;
        IModelRegistry.DatanetVersion memory version = versions[given.datanet];
        if (given.rowIndex >= datanets.versionOf(version.datanet, version.version).rowCount) return true;

        bool isThere = row.index == given.rowIndex && datanets.contains(version.datanet, version.version, row, proof);
        require(isThere, WrongRow());
        EarnerIndex earner = earners.earnerOf(row.contributor, IEarnerRegistry.Role.Contributor);
        if (row.rowHash != given.rowHash || EarnerIndex.unwrap(earner) != given.earner) return true;
        if (given.cluster >= commitment.rows) return true;

        require(cluster.length == 1, WrongRow());
        return SpanProofs.rowOf(commitment, given.cluster, cluster[0]).rowHash != row.clusterHash;
    }

    function _checkCommitment(ModelId model, SpanCommitment calldata commitment)
        private
        view
        returns (Index storage index)
    {
        index = _published(model);
        bytes32 hash = SpanProofs.hashOf(commitment);
        require(hash == index.commitmentHash, WrongCommitment(hash));
    }

    function _checkDisputable(ModelId model, SpanCommitment calldata commitment) private view {
        Index storage index = _checkCommitment(model, commitment);
        require(block.timestamp < index.acceptedAt, WrongTime(index.acceptedAt));
    }

    function _published(ModelId model) private view returns (Index storage index) {
        index = _indexes[model];
        require(index.acceptedAt != 0 && !index.struck, NotPublished(model));
    }

    function _strike(ModelId model) private {
        Index storage index = _indexes[model];
        uint256 amount = index.bond;
        (index.struck, index.bond) = (true, 0);
        // Rounded against the challenger, who may be the publisher: striking oneself must cost.
        uint256 paid = amount / 2;

        // A payment that is refused is burned: it must not keep a wrong index alive.
        (bool ok,) = msg.sender.call{value: paid}("");
        if (!ok) paid = 0;
        (bool burned,) = BURNED.call{value: amount - paid}("");
        assert(burned);

        emit SpanIndexStruck(model, msg.sender, amount - paid, paid);
    }

    function _pay(address to, uint256 amount) private {
        (bool ok,) = to.call{value: amount}("");
        require(ok, PaymentFailed(to));
    }

    function _keyOf(ModelId model, Tree tree, uint64 number) private pure returns (bytes32) {
        return keccak256(abi.encode(model, tree, number));
    }

    function _rootOf(SpanCommitment calldata commitment, Tree tree) private pure returns (bytes32) {
        if (tree == Tree.Text) return commitment.textRoot;
        return tree == Tree.Suffixes ? commitment.suffixRoot : commitment.rowRoot;
    }

    function _sizeOf(Tree tree) private pure returns (uint256) {
        return tree == Tree.Rows ? SpanProofs.ROW_BYTES : SpanProofs.LEAF_BYTES;
    }

    function _leavesOf(SpanCommitment calldata commitment, Tree tree) private pure returns (uint256) {
        if (tree == Tree.Text) return Math.ceilDiv(commitment.positions, SpanProofs.LEAF_SYMBOLS);
        if (tree == Tree.Suffixes) return Math.ceilDiv(commitment.tokens, SpanProofs.LEAF_POSITIONS);
        return commitment.rows;
    }
}

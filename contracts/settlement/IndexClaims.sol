// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IIndexDisputes} from "../interfaces/IIndexDisputes.sol";
import {IInfluenceIndexes} from "../interfaces/IInfluenceIndexes.sol";
import {ContributorProof, IndexContributor, IndexRow, IndexTree, RowProof} from "../libraries/IndexTree.sol";
import {ModelId} from "../types/Ids.sol";
import {IndexEvidence} from "./IndexEvidence.sol";

/// @title IndexClaims
/// @notice Claims with a bond that an index lacks something, their answers and their ends.
abstract contract IndexClaims is IndexEvidence {
    using IndexTree for IndexContributor;

    /// @inheritdoc IIndexDisputes
    uint256 public immutable claimBond;

    /// @inheritdoc IIndexDisputes
    uint64 public immutable answerPeriod;

    /// @inheritdoc IIndexDisputes
    mapping(ModelId model => uint256 claims) public openClaims;

    mapping(bytes32 claim => Claim) private _claims;

    constructor(uint256 claimBond_, uint64 answerPeriod_) {
        require(answerPeriod_ != 0, ZeroAnswerPeriod());

        claimBond = claimBond_;
        answerPeriod = answerPeriod_;
    }

    /// @inheritdoc IIndexDisputes
    function claimOf(bytes32 claim) external view returns (Claim memory) {
        return _open(claim);
    }

    /// @inheritdoc IIndexDisputes
    function claimLeftOutRow(
        ModelId model,
        DatanetRow calldata row,
        ContributorProof calldata contributor,
        Gap calldata gap
    ) external payable returns (bytes32 claim) {
        IInfluenceIndexes.Index memory index = _disputable(model);
        IndexContributor memory leaf = IndexTree.contributorUnder(index.root, contributor);
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
            IndexContributor memory before = IndexTree.contributorUnder(index.root, lower[0]);
            require(before.earner < earner, NotAGap());
            next = uint256(before.ordinal) + 1;
        }
        uint256 end = index.contributors;
        if (upper.length == 1) {
            IndexContributor memory afterwards = IndexTree.contributorUnder(index.root, upper[0]);
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
        uint32 ordinal = IndexTree.contributorUnder(indexes.indexOf(open.model).root, contributor).ordinal;
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
            next = IndexTree.rowUnder(index.root, lower) + 1;
            require(
                IndexTree.leafOf(lower.node.contributor.contributor) == leaf && IndexTree.isBefore(lower.row, place),
                NotAGap()
            );
        }
        uint256 end = contributor.acceptedRows;
        if (gap.upper.length == 1) {
            RowProof calldata upper = gap.upper[0];
            end = IndexTree.rowUnder(index.root, upper);
            require(
                IndexTree.leafOf(upper.node.contributor.contributor) == leaf && IndexTree.isBefore(place, upper.row),
                NotAGap()
            );
        }
        require(next == end, NotAGap());
    }

    /// @dev A row of the model's Datanets whose hash is its cluster's.
    function _canonical(ModelId model, DatanetRow calldata row) private view returns (IndexRow memory place) {
        _checkDatanetRow(model, row);
        place = _place(row);
        require(place.rowHash == place.clusterHash, NoFault());
    }

    function _open(bytes32 claim) private view returns (Claim memory open) {
        open = _claims[claim];
        require(open.deadline != 0, UnknownClaim(claim));
    }

    function _pay(address to, uint256 amount) private {
        (bool ok,) = to.call{value: amount}("");
        require(ok, PaymentFailed(to));
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IFeeSchedule} from "../../interfaces/IFeeSchedule.sol";
import {IInfluenceIndexes} from "../../interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../interfaces/IModelRegistry.sol";
import {ICreditFaults} from "../../interfaces/faults/ICreditFaults.sol";
import {CellOpening} from "../../libraries/CellOpenings.sol";
import {DotProduct} from "../../libraries/DotProduct.sol";
import {ContributorProof, IndexTree} from "../../libraries/IndexTree.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {LedgerUses} from "../../libraries/LedgerUses.sol";
import {RecordWitness} from "../../libraries/RecordWitness.sol";
import {BatchId, EarnerIndex, ModelId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @notice Implements ICreditFaults over the registries that it is deployed with.
contract CreditFaults is ICreditFaults, FaultProofs {
    using LedgerRow for LedgerRow.Row;

    /// @notice Which models are registered.
    IModelRegistry public immutable models;

    /// @notice Contributors and their sums.
    IInfluenceIndexes public immutable indexes;

    /// @notice How many credits a call may give.
    IFeeSchedule public immutable fees;

    constructor(IDisputes disputes_, IModelRegistry models_, IInfluenceIndexes indexes_, IFeeSchedule fees_)
        FaultProofs(disputes_)
    {
        models = models_;
        indexes = indexes_;
        fees = fees_;
    }

    /// @inheritdoc ICreditFaults
    function proveScore(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        ContributorProof calldata contributor,
        bytes calldata sums
    ) external {
        Evidence memory e = _open(batch, ledger, 2);
        _checkKind(e, 1, LedgerRow.Kind.Credit);
        LedgerRow.Credit memory credit = e.rows[1].credit();
        _checkAt(e, 1, e.at[0] + LedgerGrammar.POOL_POSITION + 1 + credit.place);
        _checkEarner(contributor, e.rows[1].account);

        int256 score = _scoreOf(_recordOf(e, 0), witness, contributor, sums);
        _strike(batch, Rule.Score, score != credit.score);
    }

    /// @inheritdoc ICreditFaults
    function proveStranger(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof[] calldata lower,
        ContributorProof[] calldata upper
    ) external {
        Evidence memory e = _open(batch, ledger, 1);
        LedgerRow.Row memory row = e.rows[0];
        bool names = row.kind == LedgerRow.Kind.Credit || row.kind == LedgerRow.Kind.Payout;
        require(names || LedgerUses.isUse(row), WrongRow(0, e.at[0]));
        _checkModel(row.account, model);
        // Reverts for a model that is not registered: its id could be anybody's guess at the last bytes.
        models.modelOf(model);

        _checkGap(indexes.indexOf(model), LedgerGrammar.earnerOf(row.account), lower, upper);
        _strike(batch, Rule.Stranger, true);
    }

    /// @inheritdoc ICreditFaults
    function proveWrongRows(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof calldata contributor
    ) external {
        Evidence memory e = _open(batch, ledger, 2);
        _checkKind(e, 0, LedgerRow.Kind.PoolClosing);
        _checkKind(e, 1, LedgerRow.Kind.Payout);
        _checkModel(e.rows[0].account, model);
        _checkModel(e.rows[1].account, model);
        _checkEarner(contributor, e.rows[1].account);
        _checkContributor(indexes.indexOf(model), contributor);

        _strike(batch, Rule.Stranger, e.rows[1].payout().rows != contributor.contributor.acceptedRows);
    }

    /// @inheritdoc ICreditFaults
    function proveLeftOut(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        ContributorProof calldata contributor,
        bytes calldata sums
    ) external {
        Evidence memory e = _open(batch, ledger);
        require(e.rows.length >= 2 && e.rows.length <= 4, WrongRowCount(ledger.indices.length));
        LedgerRow.Record memory record = _recordOf(e, 0);
        LedgerRow.PoolShare memory pool = _poolOf(e);
        for (uint256 i = 2; i < e.rows.length; ++i) {
            _checkKind(e, i, LedgerRow.Kind.Credit);
            _checkAt(e, i, e.at[1] + 1 + e.rows[i].credit().place);
        }

        int64 score = int64(_scoreOf(record, witness, contributor, sums));
        bool isMissing = score != 0 && _isMissing(e, pool.credits, record.time, score, contributor.contributor.earner);
        _strike(batch, Rule.LeftOut, isMissing);
    }

    /// @inheritdoc ICreditFaults
    function proveTooMany(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        LedgerRow.Record memory record = _recordOf(e, 0);

        require(LedgerUses.isPool(e.rows[1]), WrongRow(1, e.at[1]));
        LedgerUses.Pool memory pool = LedgerUses.pool(e.rows[1]);
        _checkAt(e, 1, e.at[0] + pool.position);

        _strike(batch, Rule.TooMany, pool.credits > fees.rulesAt(record.time).maxCredits);
    }

    /// @inheritdoc ICreditFaults
    function proveUnpaid(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof calldata contributor
    ) external {
        Evidence memory e = _open(batch, ledger);
        uint256 count = e.rows.length;
        require(count == 2 || count == 3, WrongRowCount(ledger.indices.length));
        _checkKind(e, 0, LedgerRow.Kind.PoolClosing);
        _checkAt(e, count - 1, e.at[count - 2] + 1);
        _checkModel(e.rows[0].account, model);
        _checkContributor(indexes.indexOf(model), contributor);

        EarnerIndex earner = EarnerIndex.wrap(contributor.contributor.earner);
        uint256 place = LedgerGrammar.payoutPlace(LedgerRow.balanceAccount(model, earner));
        bool isAbsent = LedgerGrammar.closingPlace(e.rows[count - 2]) < place
            && place < LedgerGrammar.closingPlace(e.rows[count - 1]);
        _strike(batch, Rule.Unpaid, contributor.contributor.acceptedRows != 0 && isAbsent);
    }

    /// @dev The second row as the pool of the first.
    function _poolOf(Evidence memory e) private pure returns (LedgerRow.PoolShare memory pool) {
        _checkKind(e, 1, LedgerRow.Kind.PoolShare);
        pool = e.rows[1].poolShare();
        _checkAt(e, 1, e.at[0] + pool.position);
    }

    /// @dev Whether a credit of the score and earner is not where it would be, though it should. The credits behind the
    /// pool row are the one before that place and the one after it, as far as there are any.
    function _isMissing(Evidence memory e, uint256 credits, uint64 time, int64 score, uint32 earner)
        private
        view
        returns (bool)
    {
        uint256 count = e.rows.length;
        if (count == 4) {
            _checkAt(e, 3, e.at[2] + 1);
            return _isBefore(e.rows[2], score, earner) && _isAfter(e.rows[3], score, earner);
        }
        if (count == 3 && e.at[2] == e.at[1] + 1 && _isAfter(e.rows[2], score, earner)) return true;

        // At the end: there must be room for one more.
        bool isEnd = e.at[count - 1] == e.at[1] + credits && (count == 2 || _isBefore(e.rows[2], score, earner));
        return isEnd && credits < fees.rulesAt(time).maxCredits;
    }

    function _isBefore(LedgerRow.Row memory row, int64 score, uint32 earner) private pure returns (bool) {
        return LedgerGrammar.isBefore(row.credit().score, LedgerGrammar.earnerOf(row.account), score, earner);
    }

    function _isAfter(LedgerRow.Row memory row, int64 score, uint32 earner) private pure returns (bool) {
        return LedgerGrammar.isBefore(score, earner, row.credit().score, LedgerGrammar.earnerOf(row.account));
    }

    /// @dev S = <q, T> of the record's sketch and the contributor's sums, which are checked to be that. Below 2^53.
    function _scoreOf(
        LedgerRow.Record memory record,
        bytes calldata witness,
        ContributorProof calldata contributor,
        bytes calldata sums
    ) private view returns (int256) {
        _checkWitness(record, witness);
        ModelId model = RecordWitness.decode(witness).voucher.call.modelId;
        _checkModel(record, model);
        _checkContributor(indexes.indexOf(model), contributor);
        bytes32 hash = keccak256(sums);
        require(hash == contributor.contributor.sumsHash, WrongSums(hash));

        return DotProduct.ofInt8AndInt32(witness[RecordWitness.SKETCH_AT:], sums);
    }

    function _checkEarner(ContributorProof calldata proof, uint256 account) private pure {
        uint32 earner = proof.contributor.earner;
        require(earner == LedgerGrammar.earnerOf(account), WrongEarner(earner));
    }

    function _checkContributor(IInfluenceIndexes.Index memory index, ContributorProof calldata proof) private pure {
        bytes32 leaf = IndexTree.leafOf(proof.contributor);
        require(MerkleProof.verifyCalldata(proof.proof, index.root, leaf), NotAContributor(proof.contributor.earner));
    }

    /// @dev Reverts unless the contributors shown are neighbours, or the first or last, and the earner is not there.
    function _checkGap(
        IInfluenceIndexes.Index memory index,
        uint32 earner,
        ContributorProof[] calldata lower,
        ContributorProof[] calldata upper
    ) private pure {
        require(lower.length <= 1 && upper.length <= 1, NotAGap());

        // Ordinals count from 1 here, so that nobody before the first has 0.
        uint256 below;
        uint256 above = uint256(index.contributors) + 1;
        if (lower.length == 1) {
            _checkContributor(index, lower[0]);
            require(lower[0].contributor.earner < earner, NotAGap());
            below = uint256(lower[0].contributor.ordinal) + 1;
        }
        if (upper.length == 1) {
            _checkContributor(index, upper[0]);
            require(upper[0].contributor.earner > earner, NotAGap());
            above = uint256(upper[0].contributor.ordinal) + 1;
        }
        require(above == below + 1, NotAGap());
    }
}

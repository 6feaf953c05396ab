// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IFeeSchedule} from "../../interfaces/IFeeSchedule.sol";
import {IModelMixes} from "../../interfaces/IModelMixes.sol";
import {IAmountFaults} from "../../interfaces/faults/IAmountFaults.sol";
import {CellOpening} from "../../libraries/CellOpenings.sol";
import {FeeSplit} from "../../libraries/FeeSplit.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {LedgerUses} from "../../libraries/LedgerUses.sol";
import {BatchId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";

/// @notice Implements IAmountFaults over the fee schedule that it is deployed with.
contract AmountFaults is IAmountFaults, FaultProofs {
    using LedgerRow for LedgerRow.Row;

    /// @notice How fees are shared.
    IFeeSchedule public immutable fees;

    /// @notice How models divide what contributors get of it.
    IModelMixes public immutable mixes;

    constructor(IDisputes disputes_, IFeeSchedule fees_, IModelMixes mixes_) FaultProofs(disputes_) {
        fees = fees_;
        mixes = mixes_;
    }

    /// @inheritdoc IAmountFaults
    function proveSplit(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        _checkKind(e, 0, LedgerRow.Kind.Record);
        LedgerRow.Row memory row = e.rows[1];
        LedgerRow.Record memory record = e.rows[0].record();
        FeeSplit.Shares memory shares = _sharesOf(record.time, e.rows[0].value);

        if (LedgerUses.isPool(row)) {
            _checkAt(e, 1, e.at[0] + LedgerUses.pool(row).position);
            bool isModels = LedgerGrammar.modelOf(row.account) == bytes25(record.model);
            IModelMixes.Mix memory mix = mixes.mixAt(record.model, record.time);
            _strike(batch, Rule.Split, !isModels || row.value != _poolOf(row.kind, shares.contributors, mix));
        } else {
            _checkKind(e, 1, LedgerRow.Kind.Share);
            LedgerRow.Share memory share = row.share();
            _checkAt(e, 1, e.at[0] + share.position);
            _strike(batch, Rule.Split, row.value != int256(uint256(_shareOf(share.kind, shares))));
        }
    }

    /// @inheritdoc IAmountFaults
    function proveCredit(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        LedgerUses.Pool memory pool = _poolOf(e);
        _checkKind(e, 1, LedgerUses.creditKind(e.rows[0]));
        LedgerUses.Credit memory credit = LedgerUses.credit(e.rows[1]);
        _checkAt(e, 1, e.at[0] + 1 + credit.place);

        // Division rounds towards zero, as a credit does.
        int256 magnitude = int256(pool.magnitude);
        bool isBroken = magnitude == 0 || e.rows[1].value != int256(e.rows[0].value) * credit.score / magnitude;
        _strike(batch, Rule.Credit, isBroken);
    }

    /// @inheritdoc IAmountFaults
    function proveCreditCount(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger);
        LedgerUses.Pool memory pool = _poolOf(e);
        uint256 last = e.at[0] + pool.credits;

        if (e.rows.length == 1) {
            _strike(batch, Rule.Credit, last >= e.batch.rows);
            return;
        }
        require(e.rows.length == 2, WrongRowCount(ledger.indices.length));
        bool isCredit = e.rows[1].kind == LedgerUses.creditKind(e.rows[0]);
        if (e.at[1] == last + 1) {
            _strike(batch, Rule.Credit, isCredit);
        } else {
            _checkAt(e, 1, last);
            _strike(batch, Rule.Credit, !isCredit || !_isLast(LedgerUses.credit(e.rows[1]), pool));
        }
    }

    /// @inheritdoc IAmountFaults
    function proveFlat(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        _checkKind(e, 0, LedgerRow.Kind.PoolClosing);
        _checkKind(e, 1, LedgerRow.Kind.Payout);
        LedgerRow.Row memory row = e.rows[1];
        require(_isModelOf(e.rows[0], row), WrongRow(1, e.at[1]));

        // A negative net gets nothing, which is a matter of the row alone.
        bool isBroken = row.value <= 0 && row.payout().flat != _flatOf(e.rows[0], row.payout().rows);
        _strike(batch, Rule.Flat, isBroken);
    }

    /// @inheritdoc IAmountFaults
    function proveClosing(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger);
        uint256 count = e.rows.length;
        require(count == 2 || count == 3, WrongRowCount(ledger.indices.length));
        _checkKind(e, 0, LedgerRow.Kind.PoolClosing);
        _checkAt(e, count - 1, e.at[count - 2] + 1);
        LedgerRow.Row memory last = e.rows[count - 2];

        uint256 end = LedgerGrammar.payoutPlace(_lastBalance(e.rows[0].account));
        require(LedgerGrammar.closingPlace(last) <= end, WrongRow(count - 2, e.at[count - 2]));
        require(LedgerGrammar.closingPlace(e.rows[count - 1]) > end, WrongRow(count - 1, e.at[count - 1]));

        LedgerRow.Payout memory sums;
        if (last.kind == LedgerRow.Kind.Payout && _isModelOf(e.rows[0], last)) sums = last.payout();
        LedgerRow.PoolClosing memory closing = e.rows[0].poolClosing();
        bool holds = closing.influence == sums.influenceThrough && closing.flat == sums.flatThrough
            && closing.weight == sums.weightThrough;
        _strike(batch, Rule.Closing, !holds);
    }

    function _sharesOf(uint64 time, int64 fee) private view returns (FeeSplit.Shares memory) {
        // A negative fee is a matter of the row alone.
        require(fee >= 0, NoFault());
        IFeeSchedule.Split memory split = fees.rulesAt(time).split;

        return FeeSplit.split(uint64(fee), split.platformBps, split.modelBps, split.stakersBps, split.contributorsBps);
    }

    function _shareOf(LedgerRow.ShareKind kind, FeeSplit.Shares memory shares) private pure returns (uint64) {
        if (kind == LedgerRow.ShareKind.Treasury) return shares.treasury;
        if (kind == LedgerRow.ShareKind.Owner) return shares.model;
        return shares.stakers;
    }

    /// @dev The first row as that of a pool.
    function _poolOf(Evidence memory e) private pure returns (LedgerUses.Pool memory) {
        require(LedgerUses.isPool(e.rows[0]), WrongRow(0, e.at[0]));
        return LedgerUses.pool(e.rows[0]);
    }

    /// @dev What of the contributors' share a pool of the kind holds: floors, and the rest is by influence.
    function _poolOf(LedgerRow.Kind kind, uint64 contributors, IModelMixes.Mix memory mix)
        private
        pure
        returns (int256)
    {
        uint256 spans = uint256(contributors) * mix.spansBps / LedgerGrammar.FULL_BPS;
        uint256 citations = uint256(contributors) * mix.citationsBps / LedgerGrammar.FULL_BPS;
        if (kind == LedgerRow.Kind.SpanPool) return int256(spans);
        if (kind == LedgerRow.Kind.CitationPool) return int256(citations);
        return int256(contributors - spans - citations);
    }

    function _isLast(LedgerUses.Credit memory credit, LedgerUses.Pool memory pool) private pure returns (bool) {
        return credit.place + 1 == pool.credits && credit.magnitudeThrough == pool.magnitude;
    }

    function _isModelOf(LedgerRow.Row memory closing, LedgerRow.Row memory payout) private pure returns (bool) {
        return LedgerGrammar.modelOf(closing.account) == LedgerGrammar.modelOf(payout.account);
    }

    /// @dev floor((pool - influence) * rows / weight)
    function _flatOf(LedgerRow.Row memory closing, uint32 rows) private pure returns (uint256) {
        LedgerRow.PoolClosing memory sums = closing.poolClosing();
        uint256 pool = LedgerGrammar.magnitude(closing.value);

        // A pool that pays more than it holds is a matter of its closing row alone.
        if (sums.weight == 0 || sums.influence > pool) return 0;
        return (pool - sums.influence) * rows / sums.weight;
    }

    /// @dev The greatest key that a balance of the pool's model can have.
    function _lastBalance(uint256 pool) private pure returns (uint256) {
        uint256 model = uint200(LedgerGrammar.modelOf(pool));
        return uint256(LedgerGrammar.AccountKind.Balance) << 240 | model << 32 | type(uint32).max;
    }
}

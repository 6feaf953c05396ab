// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IFeeSchedule} from "../../../contracts/interfaces/IFeeSchedule.sol";
import {IAmountFaults} from "../../../contracts/interfaces/faults/IAmountFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract AmountFaultsTest is FaultsBase {
    // Split.

    function test_proveSplit_refusesHonestShares() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Record); ++i) {
            for (uint256 position = 1; position <= 4; ++position) {
                _refuses(address(amountFaults), _split(_find(LedgerRow.Kind.Record, i), position));
            }
        }
    }

    function test_proveSplit_strikes_whenAShareIsAnother() public {
        uint256 record = _recordWith(2);
        for (uint256 position = 1; position <= 4; ++position) {
            int256 value = book.rowAt(record + position).value;
            book.setValue(record + position, value + 1);
            _repost();
            _strikesFor(address(amountFaults), _split(record, position), Rule.Split, "proveSplit");
            book.setValue(record + position, value - 1);
            _repost();
            _strikes(address(amountFaults), _split(record, position), Rule.Split);
            book.setValue(record + position, value);
        }
    }

    function test_proveSplit_strikes_whenThePoolIsAnotherModels() public {
        uint256 record = _recordWith(2);
        book.setCell(record + 4, 2, LedgerRow.poolAccount(base));
        _repost();
        _strikes(address(amountFaults), _split(record, 4), Rule.Split);
    }

    /// @dev Calls signed before new rules apply go by the old ones, however late they are disputed.
    function test_proveSplit_goesByTheRulesOfTheCallsTime() public {
        fees.schedule(IFeeSchedule.Rules(IFeeSchedule.Split(4000, 2000, 2000, 2000), 2), START + 7 days);
        vm.warp(START + 8 days);
        _refuses(address(amountFaults), _split(_recordWith(2), 4));

        book.setField(_recordWith(2), 13, 8, START + 7 days);
        _repost();
        _strikes(address(amountFaults), _split(_recordWith(2), 4), Rule.Split);
    }

    function test_proveSplit_reverts_forTheShareOfAnotherRecord() public {
        uint256 share = _find(LedgerRow.Kind.Record, 1) + 1;
        uint256[] memory rows = _rows(_find(LedgerRow.Kind.Record, 0), share);
        _refuses(
            address(amountFaults),
            abi.encodeCall(IAmountFaults.proveSplit, (batch, book.openRows(rows))),
            abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, share)
        );
    }

    // Credit.

    function test_proveCredit_refusesHonestCredits() public {
        uint256 record = _recordWith(2);
        _refuses(address(amountFaults), _credit(record + 4, record + 5));
        _refuses(address(amountFaults), _credit(record + 4, record + 6));
    }

    function test_proveCredit_strikes_whenACreditIsAnother() public {
        uint256 pool = _recordWith(2) + 4;
        for (uint256 i = 1; i <= 2; ++i) {
            int256 value = book.rowAt(pool + i).value;
            book.setValue(pool + i, value + 1);
            _repost();
            _strikesFor(address(amountFaults), _credit(pool, pool + i), Rule.Credit, "proveCredit");
            book.setValue(pool + i, -value);
            _repost();
            _strikes(address(amountFaults), _credit(pool, pool + i), Rule.Credit);
            book.setValue(pool + i, value);
        }
    }

    /// @dev trunc(100 * -1 / 3) is -33, whereas rounding down would give -34.
    function test_proveCredit_roundsTowardsZero() public {
        uint256 pool = _recordWith(2) + 4;
        book.setValue(pool, 100);
        book.setField(pool, 2, 16, 3);
        book.setField(pool + 1, 1, 8, (1 << 63) - 1);
        book.setValue(pool + 1, -33);
        _repost();
        _refuses(address(amountFaults), _credit(pool, pool + 1));

        book.setValue(pool + 1, -34);
        _repost();
        _strikes(address(amountFaults), _credit(pool, pool + 1), Rule.Credit);
    }

    function test_proveCredit_strikes_whenThePoolHasNoMagnitude() public {
        uint256 pool = _recordWith(2) + 4;
        book.setField(pool, 2, 16, 0);
        _repost();
        _strikes(address(amountFaults), _credit(pool, pool + 1), Rule.Credit);
    }

    function test_proveCredit_reverts_forTheCreditOfAnotherPool() public {
        uint256 credit = _recordWith(2) + 5;
        uint256 pool = _find(LedgerRow.Kind.PoolShare, 0);
        if (pool + 1 == credit) return;
        _refuses(
            address(amountFaults),
            _credit(pool, credit),
            abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, credit)
        );
    }

    function test_proveCreditCount_refusesHonestPools() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.PoolShare); ++i) {
            uint256 pool = _find(LedgerRow.Kind.PoolShare, i);
            uint256 credits = LedgerRow.poolShare(book.rowAt(pool)).credits;
            _refuses(address(amountFaults), _creditCount(_rows(pool)));
            _refuses(address(amountFaults), _creditCount(_rows(pool, pool + credits + 1)));
            if (credits != 0) _refuses(address(amountFaults), _creditCount(_rows(pool, pool + credits)));
        }
    }

    function test_proveCreditCount_strikes_whenACreditIsNotCounted() public {
        uint256 pool = _recordWith(2) + 4;
        book.setField(pool, 1, 1, 1);
        _repost();
        _strikesFor(address(amountFaults), _creditCount(_rows(pool, pool + 2)), Rule.Credit, "proveCreditCount");
    }

    function test_proveCreditCount_strikes_whenACreditIsMissing() public {
        uint256 pool = _recordWith(2) + 4;
        book.setField(pool, 1, 1, 3);
        _repost();
        _strikes(address(amountFaults), _creditCount(_rows(pool, pool + 3)), Rule.Credit);
    }

    function test_proveCreditCount_strikes_whenTheMagnitudeIsAnother() public {
        uint256 pool = _recordWith(2) + 4;
        book.setField(pool, 2, 16, LedgerRow.poolShare(book.rowAt(pool)).magnitude - 1);
        _repost();
        _strikes(address(amountFaults), _creditCount(_rows(pool, pool + 2)), Rule.Credit);
    }

    function test_proveCreditCount_strikes_whenCreditsDoNotFit() public {
        uint256 pool = _recordWith(2) + 4;
        book.setField(pool, 1, 1, 200);
        _repost();
        _strikes(address(amountFaults), _creditCount(_rows(pool)), Rule.Credit);
    }

    // Flat.

    function test_proveFlat_refusesHonestPayouts() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Payout); ++i) {
            _refuses(address(amountFaults), _flat(_find(LedgerRow.Kind.Payout, i)));
        }
    }

    function test_proveFlat_strikes_whenFlatPayIsAnother() public {
        uint256 row = _payout(true);
        uint64 flat = LedgerRow.payout(book.rowAt(row)).flat;
        book.setField(row, 9, 8, flat + 1);
        _repost();
        _strikesFor(address(amountFaults), _flat(row), Rule.Flat, "proveFlat");
        book.setField(row, 9, 8, flat - 1);
        _repost();
        _strikes(address(amountFaults), _flat(row), Rule.Flat);
    }

    /// @dev What a negative net is paid is wrong by itself.
    function test_proveFlat_refusesANegativeNet() public {
        book.setField(_payout(false), 9, 8, 5);
        _repost();
        _refuses(address(amountFaults), _flat(_payout(false)));
    }

    function test_proveFlat_refusesAPoolThatPaysMoreThanItHolds() public {
        uint256 closing = _adapterClosing();
        uint256 payout = _payout(true);
        book.setField(closing, 1, 8, type(uint64).max);
        book.setField(payout, 9, 8, 0);
        _repost();
        _refuses(address(amountFaults), _flat(payout));
    }

    function test_proveFlat_strikes_whenNobodyCounts() public {
        book.setField(_adapterClosing(), 17, 8, 0);
        _repost();
        _strikes(address(amountFaults), _flat(_payout(true)), Rule.Flat);
    }

    function test_proveFlat_reverts_forAPayoutOfAnotherModel() public {
        uint256 payout = _payout(true);
        book.setCell(_adapterClosing(), 2, LedgerRow.poolAccount(base));
        _repost();
        _refuses(
            address(amountFaults),
            abi.encodeCall(IAmountFaults.proveFlat, (batch, book.openRows(_rows(_adapterClosing(), payout)))),
            abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, payout)
        );
    }

    // Closing.

    function test_proveClosing_refusesHonestClosings() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.PoolClosing); ++i) {
            _refuses(address(amountFaults), _closing(_find(LedgerRow.Kind.PoolClosing, i)));
        }
    }

    function test_proveClosing_strikes_whenASumIsAnother() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.PoolClosing); ++i) {
            uint256 row = _find(LedgerRow.Kind.PoolClosing, i);
            LedgerRow.PoolClosing memory sums = LedgerRow.poolClosing(book.rowAt(row));
            book.setField(row, 1, 8, sums.influence + 1);
            _strikesClosing(row);
            book.setField(row, 1, 8, sums.influence);
            book.setField(row, 9, 8, sums.flat + 1);
            _strikesClosing(row);
            book.setField(row, 9, 8, sums.flat);
            book.setField(row, 17, 8, sums.weight + 1);
            _strikesClosing(row);
            book.setField(row, 17, 8, sums.weight);
        }
        assertEq(book.count(LedgerRow.Kind.PoolClosing), 2, "with payouts and without");
    }

    /// @dev A model's payouts must not be shown to end early.
    function test_proveClosing_reverts_whenPayoutsDoNotEndThere() public {
        uint256 closing = _adapterClosing();
        uint256 first = _find(LedgerRow.Kind.Payout, 0);
        _refuses(
            address(amountFaults),
            abi.encodeCall(IAmountFaults.proveClosing, (batch, book.openRows(_rows(closing, first, first + 1)))),
            abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 2, first + 1)
        );

        uint256 end = _find(LedgerRow.Kind.FixedPayout, 0);
        _refuses(
            address(amountFaults),
            abi.encodeCall(IAmountFaults.proveClosing, (batch, book.openRows(_rows(closing, end, end + 1)))),
            abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, end)
        );
    }

    function _adapterClosing() private view returns (uint256 row) {
        row = _find(LedgerRow.Kind.PoolClosing, 0);
        if (book.cellsAt(row)[2] == LedgerRow.poolAccount(base)) ++row;
    }

    /// @dev The first payout with flat pay, or with a negative net.
    function _payout(bool isFlat) private view returns (uint256 row) {
        for (row = _find(LedgerRow.Kind.Payout, 0);; ++row) {
            LedgerRow.Row memory payout = book.rowAt(row);
            if (isFlat ? LedgerRow.payout(payout).flat != 0 : payout.value > 0) return row;
        }
    }

    function _split(uint256 record, uint256 position) private view returns (bytes memory) {
        return abi.encodeCall(IAmountFaults.proveSplit, (batch, book.openRows(_rows(record, record + position))));
    }

    function _credit(uint256 pool, uint256 credit) private view returns (bytes memory) {
        return abi.encodeCall(IAmountFaults.proveCredit, (batch, book.openRows(_rows(pool, credit))));
    }

    function _creditCount(uint256[] memory rows) private view returns (bytes memory) {
        return abi.encodeCall(IAmountFaults.proveCreditCount, (batch, book.openRows(rows)));
    }

    function _flat(uint256 payout) private view returns (bytes memory) {
        return abi.encodeCall(IAmountFaults.proveFlat, (batch, book.openRows(_rows(_adapterClosing(), payout))));
    }

    function _closing(uint256 row) private view returns (bytes memory) {
        uint256 last = _find(LedgerRow.Kind.FixedPayout, 0) - 1;
        if (book.cellsAt(row)[2] == LedgerRow.poolAccount(base) && _isBaseFirst()) {
            last = _find(LedgerRow.Kind.Payout, 0) - 1;
        }
        uint256[] memory rows = last == row ? _rows(row, row + 1) : _rows(row, last, last + 1);
        return abi.encodeCall(IAmountFaults.proveClosing, (batch, book.openRows(rows)));
    }

    /// @dev Where the base's payouts would be: before the adapter's or after them.
    function _isBaseFirst() private view returns (bool) {
        return LedgerRow.poolAccount(base) < LedgerRow.poolAccount(adapter);
    }

    function _strikesClosing(uint256 row) private {
        _repost();
        _strikesFor(address(amountFaults), _closing(row), Rule.Closing, "proveClosing");
    }
}

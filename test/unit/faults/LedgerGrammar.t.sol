// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IRowFaults} from "../../../contracts/interfaces/faults/IRowFaults.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {EarnerIndex} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

/// @notice Rules `Row` and `Neighbours`.
contract LedgerGrammarTest is FaultsBase {
    // Row.

    function test_proveRow_refusesEveryHonestRow() public {
        for (uint256 i = 1; i < book.rowCount(); ++i) {
            _refuses(address(rowFaults), _row(i));
        }
        _refuses(address(rowFaults), _row(0), abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, 0));
    }

    function test_proveRow_strikes_whenAPostingRowPays() public {
        uint256 row = _find(LedgerRow.Kind.Credit, 0);
        book.setCell(row, 1, 1);
        _strikesRow(row, "proveRow");
        setUp();
        book.setCell(row, 0, 1);
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenTheRecordIsWrong() public {
        uint256 row = _recordWith(2);
        book.setValue(row, -1);
        _strikesRow(row, "");
        setUp();
        book.setField(row, 13, 8, uint256(EPOCH + 1) * 1 hours);
        _strikesRow(row, "");
        setUp();
        book.setField(row, 13, 8, uint256(EPOCH) * 1 hours - 1);
        _strikesRow(row, "");
        setUp();
        book.setField(row, 21, 8, type(uint64).max);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(1)));
        _strikesRow(row, "");
    }

    function test_proveRow_refusesRecordsAtTheEdges() public {
        uint256 row = _recordWith(2);
        book.setField(row, 13, 8, uint256(EPOCH + 1) * 1 hours - 1);
        book.setField(row, 21, 8, type(uint64).max - book.cellsAt(row)[3] + (1 << 63));
        _repost();
        _refuses(address(rowFaults), _row(row));

        book.setField(row, 13, 8, uint256(EPOCH) * 1 hours);
        book.setValue(row, 0);
        _repost();
        _refuses(address(rowFaults), _row(row));
    }

    function test_proveRow_strikes_whenASharePostsWrongly() public {
        uint256 row = _find(LedgerRow.Kind.Share, 1);
        book.setValue(row, -1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(0)));
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(earners.earnerCount() + 1)));
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.poolAccount(adapter));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenAPoolPostsWrongly() public {
        uint256 row = _recordWith(0) + 4;
        book.setValue(row, -1);
        _strikesRow(row, "");
        setUp();
        book.setField(row, 2, 16, 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, 0);
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenACreditHasNoScoreOrBalance() public {
        uint256 row = _find(LedgerRow.Kind.Credit, 0);
        book.setField(row, 1, 8, 1 << 63);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.poolAccount(adapter));
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(0)));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenACarryIsNotNegative() public {
        uint256 row = _find(LedgerRow.Kind.Carry, 0);
        book.setValue(row, 0);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(1)));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenAPoolDoesNotCloseWhole() public {
        uint256 row = _find(LedgerRow.Kind.PoolClosing, 0);
        book.setCell(row, 1, book.cellsAt(row)[1] + 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 0, 2);
        _strikesRow(row, "");
        setUp();
        book.setField(row, 9, 8, type(uint64).max);
        _strikesRow(row, "");
        setUp();
        book.setValue(row, int256(book.cellsAt(row)[1]));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenAPayoutPaysWrongly() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        book.setCell(row, 1, book.cellsAt(row)[1] + 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 0, 1);
        _strikesRow(row, "");
        setUp();
        // A lower factor than what influence pays of a positive net.
        uint256 paid = row;
        while (book.rowAt(paid).value >= 0) ++paid;
        book.setField(paid, 17, 2, 9999);
        _strikesRow(paid, "");
        setUp();
        // One more by influence and one less by the flat rule.
        book.setField(row, 1, 8, LedgerRow.payout(book.rowAt(row)).influence + 1);
        book.setCell(row, 1, book.cellsAt(row)[1] + 1);
        _strikesRow(row, "");
        setUp();
        // A net of minus a half that is paid flat.
        book.setValue(row, 100);
        book.setField(row, 1, 8, 0);
        book.setField(row, 9, 8, 7);
        book.setCell(row, 1, 7);
        _strikesRow(row, "");
    }

    function test_proveRow_refusesTheLowestValues() public {
        // 2^63 is the largest net that there can be, and its own case in two's complement.
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        book.setValue(row, type(int64).min);
        book.setField(row, 1, 8, 1 << 63);
        book.setField(row, 9, 8, 0);
        book.setCell(row, 1, 1 << 63);
        _repost();
        _refuses(address(rowFaults), _row(row));
    }

    function test_proveRow_strikes_whenAFixedPayoutPaysWrongly() public {
        uint256 row = _find(LedgerRow.Kind.FixedPayout, 0);
        book.setCell(row, 1, book.cellsAt(row)[1] + 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 0, 2);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(1)));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenPaddingSaysAnything() public {
        uint256 row = _find(LedgerRow.Kind.Padding, 0);
        book.setCell(row, 0, 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 1, 1);
        _strikesRow(row, "");
        setUp();
        book.setValue(row, 1);
        _strikesRow(row, "");
        setUp();
        book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(1)));
        _strikesRow(row, "");
    }

    function test_proveRow_strikes_whenTheLedgerStopsEarly() public {
        uint256 last = book.rowCount() - 1;
        book.setCells(last, book.cellsAt(_find(LedgerRow.Kind.Credit, 0)));
        _strikesRow(last, "");
    }

    function test_proveRow_strikes_forASecondHeader() public {
        uint256 row = _find(LedgerRow.Kind.Padding, 0);
        book.setCells(row, book.cellsAt(0));
        _strikesRow(row, "");
    }

    // Neighbours.

    function test_proveNeighbours_refusesAllHonestOnes() public {
        for (uint256 i; i + 1 < book.rowCount(); ++i) {
            _refuses(address(rowFaults), _neighbours(i));
        }
    }

    function test_proveNeighbours_reverts_whenTheyAreNone() public {
        bytes memory proof = abi.encodeCall(IRowFaults.proveNeighbours, (batch, book.openRows(_rows(3, 5))));
        _refuses(address(rowFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, 5));
    }

    /// @dev Leaving a row out, repeating it or exchanging it with the next breaks an order somewhere around it.
    function test_proveNeighbours_strikes_whenAnyRowIsMoved() public {
        uint256 end = _find(LedgerRow.Kind.FixedPayout, 2);
        for (uint256 i = 1; i < end; ++i) {
            uint256[8] memory row = book.cellsAt(i);
            uint256[8] memory next = book.cellsAt(i + 1);
            book.setCells(i, next);
            book.setCells(i + 1, row);
            book.commit();
            _repost();
            _strikes(address(rowFaults), _neighbours(i), Rule.Neighbours);
            book.setCells(i, row);
            book.setCells(i + 1, next);
        }
    }

    function test_proveNeighbours_strikes_whenARowIsRepeated() public {
        uint256 end = _find(LedgerRow.Kind.FixedPayout, 2);
        for (uint256 i = 1; i <= end; ++i) {
            uint256[8] memory next = book.cellsAt(i + 1);
            book.setCells(i + 1, book.cellsAt(i));
            _repost();
            _strikes(address(rowFaults), _neighbours(i), Rule.Neighbours);
            book.setCells(i + 1, next);
        }
    }

    function test_proveNeighbours_strikes_whenPlacesDoNotCount() public {
        uint256 record = _recordWith(2);
        book.setField(record + 1, 10, 1, 2);
        _strikesNeighbours(record, "proveNeighbours");
        setUp();
        book.setField(record + 3, 10, 1, 2);
        _strikesNeighbours(record + 2, "");
        setUp();
        book.setField(record + 4, 18, 1, 5);
        _strikesNeighbours(record + 3, "");
        setUp();
        book.setField(record + 5, 9, 1, 1);
        _strikesNeighbours(record + 4, "");
        setUp();
        book.setField(record + 6, 9, 1, 2);
        _strikesNeighbours(record + 5, "");
    }

    function test_proveNeighbours_strikes_whenSumsThroughAreWrong() public {
        uint256 credit = _recordWith(2) + 5;
        book.setField(credit, 10, 16, 1);
        _strikesNeighbours(credit - 1, "");
        setUp();
        book.setField(credit + 1, 10, 16, 1);
        _strikesNeighbours(credit, "");
        setUp();
        uint256 payout = _find(LedgerRow.Kind.Payout, 0);
        book.setCell(payout, 5, book.cellsAt(payout)[5] + 1);
        _strikesNeighbours(payout - 1, "");
        setUp();
        for (uint256 shift; shift <= 128; shift += 64) {
            book.setCell(payout + 1, 5, book.cellsAt(payout + 1)[5] + (1 << shift));
            _strikesNeighbours(payout, "");
            setUp();
        }
    }

    function test_proveNeighbours_strikes_whenACreditIsOfAnotherModel() public {
        uint256 credit = _recordWith(2) + 5;
        book.setCell(credit, 2, LedgerRow.balanceAccount(base, EarnerIndex.wrap(contributors[0].earner)));
        _strikesNeighbours(credit - 1, "");
        setUp();
        book.setCell(credit + 1, 2, LedgerRow.balanceAccount(base, EarnerIndex.wrap(contributors[0].earner)));
        _strikesNeighbours(credit, "");
    }

    function test_proveNeighbours_strikes_whenTheFirstRecordIsNotTheFirst() public {
        uint256 record = _find(LedgerRow.Kind.Record, 0);
        book.setField(record, 29, 2, 1);
        _strikesNeighbours(record - 1, "");
    }

    function test_proveNeighbours_strikes_whenAShareIsMissing() public {
        uint256 record = _recordWith(2);
        book.removeRow(record + 2);
        _strikesNeighbours(record + 1, "");
    }

    function _row(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveRow, (batch, book.openRows(_rows(row))));
    }

    function _neighbours(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveNeighbours, (batch, book.openRows(_rows(row, row + 1))));
    }

    function _strikesRow(uint256 row, string memory name) private {
        _repost();
        _strikesAs(_row(row), Rule.Row, name);
    }

    function _strikesNeighbours(uint256 row, string memory name) private {
        _repost();
        _strikesAs(_neighbours(row), Rule.Neighbours, name);
    }

    function _strikesAs(bytes memory proof, Rule rule, string memory name) private {
        if (bytes(name).length == 0) _strikes(address(rowFaults), proof, rule);
        else _strikesFor(address(rowFaults), proof, rule, name);
    }
}

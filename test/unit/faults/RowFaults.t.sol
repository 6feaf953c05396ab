// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IRowFaults} from "../../../contracts/interfaces/faults/IRowFaults.sol";
import {CellOpening, CellOpenings} from "../../../contracts/libraries/CellOpenings.sol";
import {Kzg} from "../../../contracts/libraries/Kzg.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {BatchId, EarnerIndex} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract RowFaultsTest is FaultsBase {
    // Evidence.

    function test_reverts_whenTheBatchIsNotPosted() public {
        CellOpening memory opening = book.openRows(_rows(3));
        BatchId unknown = BatchId.wrap("unknown");
        bytes memory error = abi.encodeWithSelector(ISettlement.NotPosted.selector, unknown);
        _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveRow, (unknown, opening)), error);

        ISettlement.Batch memory posted = settlement.batchOf(batch);
        posted.status = ISettlement.Status.Final;
        settlement.set(batch, posted);
        error = abi.encodeWithSelector(ISettlement.NotPosted.selector, batch);
        _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveRow, (batch, opening)), error);
    }

    function test_reverts_whenTheOpeningIsOfAnotherBatch() public {
        CellOpening memory opening = previousBook.openRows(_rows(3));

        bytes memory error = abi.encodeWithSelector(CellOpenings.FalseOpening.selector);
        _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveRow, (batch, opening)), error);
    }

    function test_reverts_whenCellsAreNotWholeRows() public {
        uint32[] memory indices = new uint32[](8);
        for (uint32 i; i < 8; ++i) {
            indices[i] = 25 + i;
        }
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongRowCount.selector, 8);
        bytes memory proof = abi.encodeCall(IRowFaults.proveRow, (batch, book.openCells(indices)));
        _refuses(address(rowFaults), proof, error);

        for (uint32 i; i < 8; ++i) {
            indices[i] = i == 7 ? 32 : 24 + i;
        }
        proof = abi.encodeCall(IRowFaults.proveRow, (batch, book.openCells(indices)));
        _refuses(address(rowFaults), proof, error);

        proof = abi.encodeCall(IRowFaults.proveRow, (batch, book.openRows(_rows(3, 4))));
        error = abi.encodeWithSelector(IFaultProofs.WrongRowCount.selector, 16);
        _refuses(address(rowFaults), proof, error);
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_reverts_whenTheOpeningIsChanged(uint256 field, uint256 delta) public {
        delta = bound(delta, 1, 1e18);
        uint256 row = _recordWith(2);
        book.setValue(row, -5);
        _repost();
        CellOpening memory opening = book.openRows(_rows(row));
        field = bound(field, 0, 9);
        if (field < 8) opening.values[field] = addmod(opening.values[field], delta, Kzg.SCALAR_MODULUS);
        if (field == 8) opening.quotient = Kzg.add(opening.quotient, Kzg.mul(Kzg.generator(), delta));
        if (field == 9) opening.remainder = Kzg.add(opening.remainder, Kzg.mul(Kzg.generator(), delta));

        bytes memory error = abi.encodeWithSelector(CellOpenings.FalseOpening.selector);
        _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveRow, (batch, opening)), error);
    }

    // Malformed.

    function test_proveMalformed_strikes() public {
        uint256 row = _find(LedgerRow.Kind.Credit, 0);
        book.setCell(row, 6, 1);
        _repost();
        _strikesFor(address(rowFaults), _malformed(row), Rule.Malformed, "proveMalformed");
    }

    /// @dev Symbols that are no cells do not decode either.
    function test_proveMalformed_strikes_whenASymbolIsNoCell() public {
        uint256 row = _find(LedgerRow.Kind.Record, 0);
        book.setCell(row, 7, 1 << 248);
        _repost();
        _strikes(address(rowFaults), _malformed(row), Rule.Malformed);
    }

    function test_proveMalformed_strikes_whenRow0DoesNotDecode() public {
        book.setCell(0, 1, 1 << 64);
        _repost();
        _strikes(address(rowFaults), _malformed(0), Rule.Malformed);
    }

    function test_proveMalformed_refusesEveryHonestRow() public {
        for (uint256 i; i < book.rowCount(); ++i) {
            _refuses(address(rowFaults), _malformed(i));
        }
    }

    /// @dev A row that is wrong but well-formed is a matter of another rule.
    function test_proveMalformed_refusesWellFormedNonsense() public {
        book.setValue(_find(LedgerRow.Kind.Record, 0), -5);
        _repost();
        _refuses(address(rowFaults), _malformed(_find(LedgerRow.Kind.Record, 0)));
    }

    /// @dev Whatever gas the challenger gives, an honest row does not become malformed.
    function test_proveMalformed_refusesWithLittleGas() public {
        bytes memory proof = _malformed(3);
        for (uint256 given = 150_000; given < 260_000; given += 1500) {
            (bool ok,) = address(rowFaults).call{gas: given}(proof);
            assertFalse(ok);
        }
        assertEq(disputes.strikes(), 0);
    }

    function test_otherProofsRevert_whenARowDoesNotDecode() public {
        uint256 row = _find(LedgerRow.Kind.Credit, 0);
        book.setCell(row, 6, 1);
        _repost();

        bytes memory error = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.Credit, 6, 1);
        _refuses(address(rowFaults), _row(row), error);
        _refuses(address(rowFaults), _neighbours(row - 1), error);
    }

    // Header.

    function test_proveHeader_strikes() public {
        book.setField(0, 1, 8, block.chainid + 1);
        _strikesHeader("proveHeader");
        setUp();
        book.setField(0, 9, 8, EPOCH + 1);
        _strikesHeader("");
        setUp();
        book.setField(0, 17, 4, 0);
        _strikesHeader("");
        setUp();
        book.setField(0, 21, 4, 2 * book.rowCount());
        _strikesHeader("");
        setUp();
        book.setCell(0, 5, 1);
        _strikesHeader("");
        setUp();
        book.setCell(0, 6, 1);
        _strikesHeader("");
        setUp();
        book.setValue(0, 1);
        _strikesHeader("");
        setUp();
        book.setCell(0, 1, 1);
        _strikesHeader("");
        setUp();
        book.setCell(0, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(1)));
        _strikesHeader("");
    }

    function test_proveHeader_strikes_whenTheTotalIsAnother() public {
        ISettlement.Batch memory posted = settlement.batchOf(batch);
        ++posted.total;
        settlement.set(batch, posted);
        _strikes(address(rowFaults), _header(), Rule.Header);
    }

    function test_proveHeader_strikes_whenRow0IsNoHeader() public {
        book.setCells(0, book.cellsAt(_find(LedgerRow.Kind.Padding, 0)));
        _repost();
        _strikes(address(rowFaults), _header(), Rule.Header);
    }

    function test_proveHeader_strikes_whenThePayloadHeaderIsWrong() public {
        book.setCell(0, 0, 1);
        _repost();
        _strikes(address(rowFaults), _header(), Rule.Header);
    }

    function test_proveHeader_refusesAnHonestOne() public {
        _refuses(address(rowFaults), _header());
    }

    function test_proveHeader_reverts_forAnotherRow() public {
        bytes memory proof = abi.encodeCall(IRowFaults.proveHeader, (batch, book.openRows(_rows(1))));
        _refuses(address(rowFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, 1));
    }

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
        book.setField(row, 17, 2, 9999);
        _strikesRow(row, "");
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

    // Sequence.

    function test_proveSequence_refusesHonestRecords() public {
        for (uint256 i; i + 1 < book.count(LedgerRow.Kind.Record); ++i) {
            _refuses(address(rowFaults), _sequence(i));
        }
    }

    function test_proveSequence_strikes_whenAnOrdinalIsSkipped() public {
        book.setField(_find(LedgerRow.Kind.Record, 2), 29, 2, 3);
        _repost();
        _strikesFor(address(rowFaults), _sequence(1), Rule.Sequence, "proveSequence");
    }

    function test_proveSequence_strikes_whenRecordsAreOutOfOrder() public {
        uint256 record = _find(LedgerRow.Kind.Record, 1);
        uint256 next = _find(LedgerRow.Kind.Record, 2);
        uint256 time = LedgerRow.record(book.rowAt(record)).time;
        book.setField(next, 13, 8, time - 1);
        _repost();
        _strikes(address(rowFaults), _sequence(1), Rule.Sequence);

        // Of one time, vouchers decide; the same one may not come twice.
        book.setField(next, 13, 8, time);
        book.setCell(next, 6, book.cellsAt(record)[6]);
        _repost();
        _strikes(address(rowFaults), _sequence(1), Rule.Sequence);

        book.setCell(next, 6, book.cellsAt(record)[6] - 1);
        _repost();
        _strikes(address(rowFaults), _sequence(1), Rule.Sequence);

        book.setCell(next, 6, book.cellsAt(record)[6] + 1);
        _repost();
        _refuses(address(rowFaults), _sequence(1));
    }

    function test_proveSequence_reverts_whenRowsAreNotTheRecords() public {
        uint256 first = _find(LedgerRow.Kind.Record, 0);
        uint256 third = _find(LedgerRow.Kind.Record, 2);
        bytes memory proof =
            abi.encodeCall(IRowFaults.proveSequence, (batch, book.openRows(_rows(first, first + 4, third))));
        _refuses(address(rowFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 2, third));
    }

    function test_proveRecordCount_strikes() public {
        book.setField(0, 17, 4, 6);
        _repost();
        _strikesFor(address(rowFaults), _recordCount(4), Rule.Sequence, "proveRecordCount");
        book.setField(0, 17, 4, 4);
        _repost();
        _strikes(address(rowFaults), _recordCount(4), Rule.Sequence);
    }

    function test_proveRecordCount_refusesAnHonestOne() public {
        _refuses(address(rowFaults), _recordCount(4));
    }

    /// @dev Only the last record says how many there are.
    function test_proveRecordCount_reverts_whenARecordFollows() public {
        uint256 second = _find(LedgerRow.Kind.Record, 2);
        _refuses(address(rowFaults), _recordCount(1), abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 3, second));
    }

    function _malformed(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveMalformed, (batch, book.openRows(_rows(row))));
    }

    function _header() private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveHeader, (batch, book.openRows(_rows(0))));
    }

    function _row(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveRow, (batch, book.openRows(_rows(row))));
    }

    function _neighbours(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(IRowFaults.proveNeighbours, (batch, book.openRows(_rows(row, row + 1))));
    }

    function _sequence(uint256 n) private view returns (bytes memory) {
        uint256 row = _find(LedgerRow.Kind.Record, n);
        uint256 next = row + 5 + LedgerRow.poolShare(book.rowAt(row + 4)).credits;
        return abi.encodeCall(IRowFaults.proveSequence, (batch, book.openRows(_rows(row, row + 4, next))));
    }

    function _recordCount(uint256 n) private view returns (bytes memory) {
        uint256 row = _find(LedgerRow.Kind.Record, n);
        uint256 next = row + 5 + LedgerRow.poolShare(book.rowAt(row + 4)).credits;
        return abi.encodeCall(IRowFaults.proveRecordCount, (batch, book.openRows(_rows(0, row, row + 4, next))));
    }

    function _strikesHeader(string memory name) private {
        ISettlement.Batch memory posted = settlement.batchOf(batch);
        book.commit();
        posted.ledger = book.commitment();
        settlement.set(batch, posted);
        _strikesAs(_header(), Rule.Header, name);
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

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

    function _strikesAs(bytes memory proof, Rule rule, string memory name) private {
        if (bytes(name).length == 0) _strikes(address(rowFaults), proof, rule);
        else _strikesFor(address(rowFaults), proof, rule, name);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAmountFaults} from "../../../contracts/interfaces/faults/IAmountFaults.sol";
import {ICarryFaults} from "../../../contracts/interfaces/faults/ICarryFaults.sol";
import {ICreditFaults} from "../../../contracts/interfaces/faults/ICreditFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IReceiptFaults} from "../../../contracts/interfaces/faults/IReceiptFaults.sol";
import {IRecordFaults} from "../../../contracts/interfaces/faults/IRecordFaults.sol";
import {IRowFaults} from "../../../contracts/interfaces/faults/IRowFaults.sol";
import {CellOpening} from "../../../contracts/libraries/CellOpenings.sol";
import {ContributorProof} from "../../../contracts/libraries/IndexTree.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {ModelId} from "../../../contracts/types/Ids.sol";
import {BlobBook} from "../../BlobBook.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

/// @notice No rule can be proven broken of an honest batch, at no row and with no evidence that can be made from it.
contract HonestLedgersTest is FaultsBase {
    /// @dev The batches of other tests have rows of every kind to spoil.
    function test_theBatchHasRowsOfEveryKind() public view {
        for (uint8 kind; kind <= uint8(LedgerRow.Kind.FixedPayout); ++kind) {
            assertGt(book.count(LedgerRow.Kind(kind)), 0);
        }
        assertEq(book.count(LedgerRow.Kind.PoolClosing), 2);
        assertEq(book.count(LedgerRow.Kind.Payout), 3);
    }

    /// forge-config: default.fuzz.runs = 8
    /// forge-config: ci.fuzz.runs = 64
    function testFuzz_noRowIsWrong(bytes32 seed, uint256 calls, bool hasPrevious) public {
        _batch(seed, bound(calls, 1, 7), hasPrevious);
        for (uint256 i; i < book.rowCount(); ++i) {
            CellOpening memory row = book.openRows(_rows(i));
            _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveMalformed, (batch, row)));
            if (i == 0) _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveHeader, (batch, row)));
            else _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveRow, (batch, row)));

            if (i + 1 == book.rowCount()) continue;
            CellOpening memory rows = book.openRows(_rows(i, i + 1));
            _refuses(address(rowFaults), abi.encodeCall(IRowFaults.proveNeighbours, (batch, rows)));
        }
        assertEq(disputes.strikes(), 0);
    }

    /// @dev Rows that rules put together, right and wrong ones, with the true witness.
    /// forge-config: default.fuzz.runs = 6
    /// forge-config: ci.fuzz.runs = 48
    function testFuzz_noRecordIsWrong(bytes32 seed, uint256 calls) public {
        _batch(seed, bound(calls, 1, 6), true);
        for (uint256 i; i < witnesses.length; ++i) {
            uint256 row = book.find(LedgerRow.Kind.Record, i);
            CellOpening memory record = book.openRows(_rows(row));
            ModelId model = vouchers[i].call.modelId;
            _refuses(address(recordFaults), abi.encodeCall(IRecordFaults.proveFee, (batch, record, witnesses[i])));
            _refuses(address(recordFaults), abi.encodeCall(IRecordFaults.proveVoucher, (batch, record, witnesses[i])));
            _refuses(address(recordFaults), abi.encodeCall(IRecordFaults.proveOutside, (batch, record, draws)));
            _refuses(address(recordFaults), abi.encodeCall(IRecordFaults.proveNotEarning, (batch, record, model)));
            _refuses(
                address(recordFaults),
                abi.encodeCall(IRecordFaults.proveWitnessMissing, (batch, record, blobCommitments))
            );
            _refuses(
                address(recordFaults),
                abi.encodeCall(
                    IRecordFaults.proveWitness,
                    (batch, record, blobCommitments, BlobBook.openSlot(blobs[i / 3], slotCells, 1 + i % 3))
                )
            );
            _refusesAmounts(row, model);
        }
        assertEq(disputes.strikes(), 0);
    }

    function _refusesAmounts(uint256 row, ModelId model) private {
        uint256 credits = LedgerRow.poolShare(book.rowAt(row + 4)).credits;
        for (uint256 k = 1; k <= 4; ++k) {
            CellOpening memory rows = book.openRows(_rows(row, row + k));
            _refuses(address(amountFaults), abi.encodeCall(IAmountFaults.proveSplit, (batch, rows)));
            if (k < 4) {
                _refuses(address(recordFaults), abi.encodeCall(IRecordFaults.provePayee, (batch, rows, model)));
            } else {
                _refuses(address(creditFaults), abi.encodeCall(ICreditFaults.proveTooMany, (batch, rows)));
            }
        }
        for (uint256 k = 1; k <= credits; ++k) {
            CellOpening memory rows = book.openRows(_rows(row + 4, row + 4 + k));
            _refuses(address(amountFaults), abi.encodeCall(IAmountFaults.proveCredit, (batch, rows)));
        }
        for (uint256 k = credits == 0 ? 1 : credits; k <= credits + 1; ++k) {
            CellOpening memory rows = book.openRows(_rows(row + 4, row + 4 + k));
            _refuses(address(amountFaults), abi.encodeCall(IAmountFaults.proveCreditCount, (batch, rows)));
        }
    }

    /// @dev Everything that names contributors, tried with each of them and all rows that may matter.
    /// forge-config: default.fuzz.runs = 2
    /// forge-config: ci.fuzz.runs = 16
    function testFuzz_noContributorIsWronged(bytes32 seed, uint256 calls) public {
        _batch(seed, bound(calls, 1, 4), true);
        for (uint256 i; i < witnesses.length; ++i) {
            uint256 row = book.find(LedgerRow.Kind.Record, i);
            uint256 credits = LedgerRow.poolShare(book.rowAt(row + 4)).credits;
            for (uint256 who; who < CONTRIBUTORS; ++who) {
                _tryCredits(row, credits, i, who);
            }
        }
        for (uint256 i = _find(LedgerRow.Kind.PoolClosing, 0); i + 1 < book.rowCount(); ++i) {
            for (uint256 j = i + 1; j + 1 < book.rowCount(); ++j) {
                CellOpening memory rows = book.openRows(_rows(i, j));
                _refusesAny(address(amountFaults), abi.encodeCall(IAmountFaults.proveFlat, (batch, rows)));
                _refusesAny(address(amountFaults), abi.encodeCall(IAmountFaults.proveClosing, (batch, rows)));
                rows = book.openRows(_rows(i, j, j + 1));
                _refusesAny(address(amountFaults), abi.encodeCall(IAmountFaults.proveClosing, (batch, rows)));
                if (book.rowAt(j).kind > LedgerRow.Kind.FixedPayout) break;
                if (j > i + 4) break;
                _tryUnpaid(rows);
            }
            if (book.rowAt(i).kind == LedgerRow.Kind.FixedPayout) break;
        }
        assertEq(disputes.strikes(), 0);
    }

    function _tryUnpaid(CellOpening memory rows) private {
        for (uint256 who; who < CONTRIBUTORS; ++who) {
            _refusesAny(
                address(creditFaults), abi.encodeCall(ICreditFaults.proveUnpaid, (batch, rows, adapter, _proofOf(who)))
            );
        }
    }

    function _tryCredits(uint256 row, uint256 credits, uint256 i, uint256 who) private {
        _tryLeftOut(_rows(row, row + 4), i, who);
        for (uint256 a = 1; a <= credits + 1; ++a) {
            _tryLeftOut(_rows(row, row + 4, row + 4 + a), i, who);
            _tryLeftOut(_rows(row, row + 4, row + 4 + a, row + 5 + a), i, who);
            _refusesAny(
                address(creditFaults),
                abi.encodeCall(
                    ICreditFaults.proveScore,
                    (batch, book.openRows(_rows(row, row + 4 + a)), witnesses[i], _proofOf(who), sums[who])
                )
            );
            _tryStranger(row + 4 + a, who);
        }
    }

    function _tryLeftOut(uint256[] memory rows, uint256 i, uint256 who) private {
        _refusesAny(
            address(creditFaults),
            abi.encodeCall(
                ICreditFaults.proveLeftOut, (batch, book.openRows(rows), witnesses[i], _proofOf(who), sums[who])
            )
        );
    }

    function _tryStranger(uint256 row, uint256 who) private {
        ContributorProof[] memory none = new ContributorProof[](0);
        ContributorProof[] memory one = new ContributorProof[](1);
        ContributorProof[] memory next = new ContributorProof[](1);
        (one[0], next[0]) = (_proofOf(who), _proofOf((who + 1) % CONTRIBUTORS));
        CellOpening memory opened = book.openRows(_rows(row));
        bytes[4] memory proofs = [
            abi.encodeCall(ICreditFaults.proveStranger, (batch, opened, adapter, none, none)),
            abi.encodeCall(ICreditFaults.proveStranger, (batch, opened, adapter, one, none)),
            abi.encodeCall(ICreditFaults.proveStranger, (batch, opened, adapter, none, one)),
            abi.encodeCall(ICreditFaults.proveStranger, (batch, opened, adapter, one, next))
        ];
        for (uint256 k; k < 4; ++k) {
            _refusesAny(address(creditFaults), proofs[k]);
        }
    }

    /// @dev Any rows for any rule: whatever a challenger puts together.
    /// forge-config: default.fuzz.runs = 32
    /// forge-config: ci.fuzz.runs = 512
    function testFuzz_nothingIsProvenByAnyRows(uint256 choice, uint256 a, uint256 b, uint256 c) public {
        uint256 last = book.rowCount() - 1;
        (a, b, c) = (bound(a, 0, last - 2), bound(b, 1, last - 1), bound(c, 2, last));
        if (b <= a) b = a + 1;
        if (c <= b) c = b + 1;
        bytes4[14] memory selectors = [
            IRowFaults.proveMalformed.selector,
            IRowFaults.proveHeader.selector,
            IRowFaults.proveRow.selector,
            IRowFaults.proveNeighbours.selector,
            IRowFaults.proveSequence.selector,
            IRowFaults.proveRecordCount.selector,
            IAmountFaults.proveSplit.selector,
            IAmountFaults.proveCredit.selector,
            IAmountFaults.proveCreditCount.selector,
            IAmountFaults.proveFlat.selector,
            IAmountFaults.proveClosing.selector,
            IRecordFaults.proveOverlap.selector,
            ICreditFaults.proveTooMany.selector,
            IRowFaults.proveRow.selector
        ];
        uint256[][5] memory sets = [_rows(a), _rows(a, b), _rows(a, b, c), _rows(0, b, c), _rows(b, c)];
        CellOpening memory opened = book.openRows(sets[choice % 5]);
        for (uint256 i; i < selectors.length; ++i) {
            bytes memory proof = abi.encodeWithSelector(selectors[i], batch, opened);
            if (i < 6) _refusesAny(address(rowFaults), proof);
            else if (i < 11) _refusesAny(address(amountFaults), proof);
            else if (i == 11) _refusesAny(address(recordFaults), proof);
            else if (i == 12) _refusesAny(address(creditFaults), proof);
        }
        CellOpening memory before = previousBook.openRows(_rows(a % 16, a % 16 + 1));
        CellOpening memory one = previousBook.openRows(_rows(b % 32));
        _refusesAny(address(carryFaults), abi.encodeCall(ICarryFaults.proveCarryUnfounded, (batch, opened, before)));
        _refusesAny(address(carryFaults), abi.encodeCall(ICarryFaults.proveCarry, (batch, opened, one)));
        _refusesAny(address(carryFaults), abi.encodeCall(ICarryFaults.proveCarryLeftOut, (batch, opened, one)));
        assertEq(disputes.strikes(), 0);
    }

    function _refusesAny(address faults, bytes memory proof) private {
        (bool ok,) = faults.call(proof);
        assertFalse(ok, "proof accepted");
    }
}

/// @notice What proofs cost with sketches of 4096 dimensions.
contract LargeSketchesTest is FaultsBase {
    function setUp() public override {
        dim = 4096;
        super.setUp();
    }

    function test_gas() public {
        uint256 record = _recordWith(2);
        uint256 i = LedgerRow.record(book.rowAt(record)).ordinal;
        uint256 who;
        while (contributors[who].earner != uint32(book.cellsAt(record + 5)[2])) ++who;
        CellOpening memory opened = book.openRows(_rows(record));

        _measure(
            address(creditFaults),
            abi.encodeCall(
                ICreditFaults.proveScore,
                (batch, book.openRows(_rows(record, record + 5)), witnesses[i], _proofOf(who), sums[who])
            ),
            "proveScore"
        );
        _measure(
            address(creditFaults),
            abi.encodeCall(
                ICreditFaults.proveLeftOut,
                (batch, book.openRows(_rows(record, record + 4, record + 6)), witnesses[i], _proofOf(who), sums[who])
            ),
            "proveLeftOut"
        );
        _measure(
            address(recordFaults),
            abi.encodeCall(IRecordFaults.proveVoucher, (batch, opened, witnesses[i])),
            "proveVoucher"
        );
        _measure(
            address(recordFaults),
            abi.encodeCall(
                IRecordFaults.proveWitness,
                (batch, opened, blobCommitments, BlobBook.openSlot(blobs[i / 3], slotCells, 1 + i % 3))
            ),
            "proveWitness"
        );
    }

    /// @dev Without the strike, because the batch is honest.
    function _measure(address faults, bytes memory proof, string memory name) private {
        _cool(faults);
        (bool ok, bytes memory reason) = faults.call(proof);
        vm.snapshotGasLastCall("FaultsD4096", name);
        vm.snapshotValue("FaultsD4096Calldata", name, proof.length);
        assertFalse(ok);
        assertEq(reason, abi.encodeWithSelector(IFaultProofs.NoFault.selector));
    }
}

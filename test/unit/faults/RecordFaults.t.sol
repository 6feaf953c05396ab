// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../../contracts/interfaces/IEarnerRegistry.sol";
import {IInfluenceIndexes} from "../../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IPaymentChannels} from "../../../contracts/interfaces/IPaymentChannels.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IRecordFaults} from "../../../contracts/interfaces/faults/IRecordFaults.sol";
import {CellOpenings} from "../../../contracts/libraries/CellOpenings.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {RecordWitness} from "../../../contracts/libraries/RecordWitness.sol";
import {EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {BlobBook} from "../../BlobBook.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract RecordFaultsTest is FaultsBase {
    // Fee.

    function test_proveFee_refusesHonestFees() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _fee(i));
        }
    }

    function test_proveFee_strikes_whenTheFeeIsAnother() public {
        uint256 row = _record(0);
        int256 value = book.rowAt(row).value;
        book.setValue(row, value + 1);
        _repost();
        _strikesFor(address(recordFaults), _fee(0), Rule.Fee, "proveFee");
        book.setValue(row, value - 1);
        _repost();
        _strikes(address(recordFaults), _fee(0), Rule.Fee);
    }

    function test_proveFee_strikes_whenThePriceVersionIsUnknown() public {
        book.setField(_record(0), 9, 4, 2);
        _repost();
        _strikes(address(recordFaults), _fee(0), Rule.Fee);
        book.setField(_record(0), 9, 4, 0);
        _repost();
        _strikes(address(recordFaults), _fee(0), Rule.Fee);
    }

    function test_proveFee_strikes_whenTheModelIsNotRegistered() public {
        witnesses[0] = _withModel(witnesses[0], _neighbourOf(_modelOf(0)));
        book.setCell(_record(0), 7, uint256(keccak256(witnesses[0])) >> 8);
        _repost();
        _strikes(address(recordFaults), _fee(0), Rule.Fee);
    }

    /// @dev Above 2^64 gwei, which no fee is.
    function test_proveFee_strikes_whenTheFeeCannotBe() public {
        vm.prank(makeAddr("model owner"));
        models.setPrice(_modelOf(0), IModelRegistry.Price(1e15, 1e15, 1e15));
        uint256 row = _record(0);
        book.setField(row, 1, 4, type(uint32).max);
        book.setField(row, 9, 4, 2);
        _repost();
        _strikes(address(recordFaults), _fee(0), Rule.Fee);
    }

    /// @dev An id that differs in the last byte has the leading 31 bytes of the row, but another hash.
    function test_proveFee_reverts_forAnotherWitness() public {
        bytes memory guess = _withModel(witnesses[0], _neighbourOf(_modelOf(0)));
        bytes memory proof = abi.encodeCall(IRecordFaults.proveFee, (batch, book.openRows(_rows(_record(0))), guess));
        _refuses(
            address(recordFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongWitness.selector, keccak256(guess))
        );
    }

    function test_proveFee_reverts_whenTheWitnessIsOfAnotherModel() public {
        witnesses[0] = _withModel(witnesses[0], ModelId.wrap("another"));
        book.setCell(_record(0), 7, uint256(keccak256(witnesses[0])) >> 8);
        _repost();
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongModel.selector, bytes32("another"));
        _refuses(address(recordFaults), _fee(0), error);
    }

    /// @dev A registry that runs out of gas must not look like one that does not know the model.
    function test_proveFee_refusesWithLittleGas() public {
        bytes memory proof = _fee(0);
        for (uint256 given = 150_000; given < 300_000; given += 1000) {
            (bool ok,) = address(recordFaults).call{gas: given}(proof);
            assertFalse(ok);
        }
        assertEq(disputes.strikes(), 0);
    }

    // Payee.

    function test_provePayee_refusesHonestShares() public {
        for (uint256 i; i < witnesses.length; ++i) {
            for (uint256 position = 1; position <= 3; ++position) {
                _refuses(address(recordFaults), _payee(i, position, _modelOf(i)));
            }
        }
    }

    function test_provePayee_strikes_whenSomebodyElseIsPaid() public {
        for (uint256 position = 1; position <= 3; ++position) {
            uint256 row = _record(0) + position;
            uint256 account = book.cellsAt(row)[2];
            book.setCell(row, 2, LedgerRow.fixedAccount(EarnerIndex.wrap(stranger)));
            _repost();
            _strikesFor(address(recordFaults), _payee(0, position, _modelOf(0)), Rule.Payee, "provePayee");
            book.setCell(row, 2, account);
        }
    }

    function test_provePayee_strikes_whenWeightsAreOthers() public {
        for (uint256 position = 1; position <= 3; ++position) {
            uint256 row = _record(0) + position;
            uint256 head = book.cellsAt(row)[4];
            book.setField(row, 2, 4, 2);
            _repost();
            _strikes(address(recordFaults), _payee(0, position, _modelOf(0)), Rule.Payee);
            book.setCell(row, 4, head);
            book.setField(row, 6, 4, 2);
            _repost();
            _strikes(address(recordFaults), _payee(0, position, _modelOf(0)), Rule.Payee);
            book.setCell(row, 4, head);
        }
    }

    /// @dev The owner at the call's time is paid, whoever owns the model when the batch is disputed.
    function test_provePayee_refusesTheFormerOwner() public {
        address buyer = makeAddr("buyer");
        vm.prank(buyer);
        EarnerIndex earner = earners.register(IEarnerRegistry.Role.ModelOwner);
        uint256 token = uint256(ModelId.unwrap(_modelOf(0)));
        vm.prank(makeAddr("model owner"));
        models.transferFrom(makeAddr("model owner"), buyer, token);
        vm.warp(START + 10 days);
        _refuses(address(recordFaults), _payee(0, 2, _modelOf(0)));

        book.setCell(_record(0) + 2, 2, LedgerRow.fixedAccount(earner));
        _repost();
        _strikes(address(recordFaults), _payee(0, 2, _modelOf(0)), Rule.Payee);
    }

    function test_provePayee_reverts_forAnotherModel() public {
        ModelId other = _modelOf(0) == base ? adapter : base;
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongModel.selector, other);
        _refuses(address(recordFaults), _payee(0, 2, other), error);

        ModelId guess = _neighbourOf(_modelOf(0));
        error = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, guess);
        _refuses(address(recordFaults), _payee(0, 2, guess), error);
    }

    // Overlap.

    function test_proveOverlap_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            for (uint256 j = i + 1; j < witnesses.length; ++j) {
                _refuses(address(recordFaults), _overlap(i, j));
            }
        }
    }

    function test_proveOverlap_strikes_atOneGwei() public {
        (uint256 i, uint256 j) = _sameChannel();
        uint64 from = LedgerRow.record(book.rowAt(_record(j))).from;
        book.setField(_record(j), 21, 8, from - 1);
        _repost();
        _strikesFor(address(recordFaults), _overlap(i, j), Rule.Overlap, "proveOverlap");
    }

    function test_proveOverlap_strikes_whenOneIsInsideTheOther() public {
        (uint256 i, uint256 j) = _sameChannel();
        uint64 from = LedgerRow.record(book.rowAt(_record(i))).from;
        book.setField(_record(j), 21, 8, from + 1);
        book.setValue(_record(j), 1);
        _repost();
        _strikes(address(recordFaults), _overlap(i, j), Rule.Overlap);
    }

    function test_proveOverlap_refusesFreeCallsAndOtherChannels() public {
        (uint256 i, uint256 j) = _sameChannel();
        uint64 from = LedgerRow.record(book.rowAt(_record(i))).from;
        book.setField(_record(j), 21, 8, from + 1);
        book.setValue(_record(j), 0);
        _repost();
        _refuses(address(recordFaults), _overlap(i, j));

        book.setValue(_record(j), 5);
        book.setCell(_record(j), 2, book.cellsAt(_record(j))[2] ^ 1);
        _repost();
        _refuses(address(recordFaults), _overlap(i, j));
    }

    // Outside.

    function test_proveOutside_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _outside(i));
        }
    }

    function test_proveOutside_strikes_belowAndAbove() public {
        (uint256 first,) = _sameChannel();
        uint256 row = _record(first);
        // Intervals of the previous batch come first, so there is room below.
        book.setField(row, 21, 8, LedgerRow.record(book.rowAt(row)).from - 1);
        _repost();
        _strikesFor(address(recordFaults), _outside(first), Rule.Outside, "proveOutside");

        book.setField(row, 21, 8, type(uint32).max);
        _repost();
        _strikes(address(recordFaults), _outside(first), Rule.Outside);
    }

    function test_proveOutside_strikes_whenTheChannelWasNotDrawn() public {
        book.setCell(_record(0), 2, book.cellsAt(_record(0))[2] ^ 1);
        _repost();
        _strikes(address(recordFaults), _outside(0), Rule.Outside);
    }

    function test_proveOutside_refusesFreeCalls() public {
        book.setField(_record(0), 21, 8, type(uint64).max);
        book.setValue(_record(0), 0);
        _repost();
        _refuses(address(recordFaults), _outside(0));
    }

    function test_proveOutside_reverts_forOtherDraws() public {
        bytes memory proof = abi.encodeCall(
            IRecordFaults.proveOutside, (batch, book.openRows(_rows(_record(0))), new IPaymentChannels.Interval[](0))
        );
        _refuses(address(recordFaults), proof, abi.encodeWithSelector(IRecordFaults.WrongDraws.selector));
    }

    // Voucher.

    function test_proveVoucher_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _signed(i));
        }
    }

    function test_proveVoucher_strikes_whenTheRowSaysSomethingElse() public {
        uint256 row = _record(0);
        uint256[8] memory honest = book.cellsAt(row);

        book.setCell(row, 2, honest[2] ^ 1);
        _strikesVoucher(row, honest);
        book.setCell(row, 5, honest[5] ^ 1);
        _strikesVoucher(row, honest);
        book.setCell(row, 6, honest[6] ^ 1);
        _strikesVoucher(row, honest);
        book.setField(row, 9, 4, 2);
        _strikesVoucher(row, honest);
        book.setField(row, 13, 8, LedgerRow.record(book.rowAt(row)).time + 1);
        _strikesVoucher(row, honest);
        book.setField(row, 5, 4, 501);
        _strikesVoucher(row, honest);
        book.setField(row, 21, 8, LedgerRow.record(book.rowAt(row)).from + 1);
        _strikesVoucher(row, honest);
        book.setValue(row, int256(honest[3]) - (1 << 63) + 1);
        _strikesVoucher(row, honest);
    }

    function test_proveVoucher_refusesAsManyTokensAsAllowed() public {
        book.setField(_record(0), 5, 4, 500);
        _repost();
        _refuses(address(recordFaults), _signed(0));
    }

    function test_proveVoucher_strikes_whenSomebodyElseSigned() public {
        bytes memory sketch = _sketchOf(0);
        witnesses[0] = _witness(vouchers[0], operatorKey, sketch);
        book.setCell(_record(0), 7, uint256(keccak256(witnesses[0])) >> 8);
        _repost();
        _strikes(address(recordFaults), _signed(0), Rule.Voucher);
    }

    function test_proveVoucher_refusesWithLittleGas() public {
        bytes memory proof = _signed(0);
        for (uint256 given = 150_000; given < 300_000; given += 1000) {
            (bool ok,) = address(recordFaults).call{gas: given}(proof);
            assertFalse(ok);
        }
        assertEq(disputes.strikes(), 0);
    }

    function test_proveVoucher_reverts_whenTheWitnessIsTooShort() public {
        witnesses[0] = hex"0102";
        book.setCell(_record(0), 7, uint256(keccak256(witnesses[0])) >> 8);
        _repost();
        bytes memory error = abi.encodeWithSelector(RecordWitness.WitnessTooShort.selector, 2);
        _refuses(address(recordFaults), _signed(0), error);
    }

    // Witness.

    function test_proveWitness_refusesHonestSlots() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _slot(i));
        }
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_proveWitness_strikes_whenAByteIsAnother(uint256 at, uint8 flip) public {
        bytes memory witness = witnesses[1];
        at = bound(at, 0, witness.length - 1);
        witness[at] ^= bytes1(uint8(bound(flip, 1, 255)));
        _rewriteSlot(1, witness);
        _strikes(address(recordFaults), _slot(1), Rule.Witness);
    }

    function test_proveWitness_strikes_whenTheSlotIsEmpty() public {
        _rewriteSlot(4, "");
        _strikesFor(address(recordFaults), _slot(4), Rule.Witness, "proveWitness");
    }

    function test_proveWitness_strikes_whenZerosDoNotFollow() public {
        _rewriteSlot(1, abi.encodePacked(witnesses[1], hex"01"));
        _strikes(address(recordFaults), _slot(1), Rule.Witness);
    }

    function test_proveWitness_strikes_whenASymbolIsNoCell() public {
        uint256[] memory symbols = blobs[0].symbols;
        symbols[2] |= 1 << 250;
        _rewriteBlob(0, symbols);
        _strikes(address(recordFaults), _slot(1), Rule.Witness);
    }

    /// @dev A slot that names a model with a longer sketch than the slot has room for.
    function test_proveWitness_strikes_whenTheSlotIsTooSmall() public {
        IInfluenceIndexes.Index memory index;
        index.dim = 8192;
        indexes.set(_modelOf(1), index);
        _strikes(address(recordFaults), _slot(1), Rule.Witness);
    }

    function test_proveWitness_reverts_forAnotherRecordsSlot() public {
        bytes memory proof = abi.encodeCall(
            IRecordFaults.proveWitness,
            (batch, book.openRows(_rows(_record(1))), blobCommitments, BlobBook.openSlot(blobs[0], slotCells, 1))
        );
        _refuses(address(recordFaults), proof, abi.encodeWithSelector(CellOpenings.FalseOpening.selector));
    }

    function test_proveWitnessMissing_strikes() public {
        blobCommitments.pop();
        _repost();
        bytes memory error = abi.encodeWithSelector(IRecordFaults.NoWitnessBlob.selector, 1);
        _refuses(address(recordFaults), _slot(4), error);
        _strikesFor(address(recordFaults), _missing(4), Rule.Witness, "proveWitnessMissing");
    }

    function test_proveWitnessMissing_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _missing(i));
        }
    }

    function test_proveWitnessMissing_reverts_forOtherCommitments() public {
        bytes memory proof = _missing(4);
        blobCommitments.pop();
        bytes memory other = _missing(4);
        _refuses(address(recordFaults), other, abi.encodeWithSelector(IRecordFaults.WrongWitnesses.selector));
        _refuses(address(recordFaults), proof);
    }

    // NotEarning.

    function test_proveNotEarning_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(recordFaults), _notEarning(i, _modelOf(i)));
        }
    }

    function test_proveNotEarning_strikes_whenTheIndexCameLater() public {
        IInfluenceIndexes.Index memory index = indexes.indexOf(_modelOf(0));
        index.acceptedAt = vouchers[0].call.time + 1;
        indexes.set(_modelOf(0), index);
        _strikesFor(address(recordFaults), _notEarning(0, _modelOf(0)), Rule.NotEarning, "proveNotEarning");

        index.acceptedAt = vouchers[0].call.time;
        indexes.set(_modelOf(0), index);
        _refuses(address(recordFaults), _notEarning(0, _modelOf(0)));
    }

    function test_proveNotEarning_reverts_forAModelThatIsNotRegistered() public {
        ModelId guess = _neighbourOf(_modelOf(0));
        IInfluenceIndexes.Index memory index;
        index.acceptedAt = type(uint64).max;
        indexes.set(guess, index);
        bytes memory error = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, guess);
        _refuses(address(recordFaults), _notEarning(0, guess), error);
    }

    function _record(uint256 i) private view returns (uint256) {
        return _find(LedgerRow.Kind.Record, i);
    }

    function _modelOf(uint256 i) private view returns (ModelId) {
        return vouchers[i].call.modelId;
    }

    function _neighbourOf(ModelId model) private pure returns (ModelId) {
        return ModelId.wrap(ModelId.unwrap(model) ^ bytes32(uint256(1)));
    }

    function _withModel(bytes memory witness, ModelId model) private pure returns (bytes memory changed) {
        changed = bytes.concat(witness);
        for (uint256 i; i < 32; ++i) {
            changed[40 + i] = ModelId.unwrap(model)[i];
        }
    }

    function _sketchOf(uint256 i) private view returns (bytes memory sketch) {
        sketch = new bytes(witnesses[i].length - 229);
        for (uint256 k; k < sketch.length; ++k) {
            sketch[k] = witnesses[i][229 + k];
        }
    }

    /// @dev The first two records of one channel.
    function _sameChannel() private view returns (uint256 i, uint256 j) {
        for (j = 1;; ++j) {
            for (i = 0; i < j; ++i) {
                if (book.cellsAt(_record(i))[2] == book.cellsAt(_record(j))[2]) return (i, j);
            }
        }
    }

    function _fee(uint256 i) private view returns (bytes memory) {
        return abi.encodeCall(IRecordFaults.proveFee, (batch, book.openRows(_rows(_record(i))), witnesses[i]));
    }

    function _payee(uint256 i, uint256 position, ModelId model) private view returns (bytes memory) {
        uint256[] memory rows = _rows(_record(i), _record(i) + position);
        return abi.encodeCall(IRecordFaults.provePayee, (batch, book.openRows(rows), model));
    }

    function _overlap(uint256 i, uint256 j) private view returns (bytes memory) {
        return abi.encodeCall(IRecordFaults.proveOverlap, (batch, book.openRows(_rows(_record(i), _record(j)))));
    }

    function _outside(uint256 i) private view returns (bytes memory) {
        return abi.encodeCall(IRecordFaults.proveOutside, (batch, book.openRows(_rows(_record(i))), draws));
    }

    function _signed(uint256 i) private view returns (bytes memory) {
        return abi.encodeCall(IRecordFaults.proveVoucher, (batch, book.openRows(_rows(_record(i))), witnesses[i]));
    }

    function _slot(uint256 i) private view returns (bytes memory) {
        return abi.encodeCall(
            IRecordFaults.proveWitness,
            (
                batch,
                book.openRows(_rows(_record(i))),
                blobCommitments,
                BlobBook.openSlot(blobs[i / 3], slotCells, 1 + i % 3)
            )
        );
    }

    function _missing(uint256 i) private view returns (bytes memory) {
        return
            abi.encodeCall(
                IRecordFaults.proveWitnessMissing, (batch, book.openRows(_rows(_record(i))), blobCommitments)
            );
    }

    function _notEarning(uint256 i, ModelId model) private view returns (bytes memory) {
        return abi.encodeCall(IRecordFaults.proveNotEarning, (batch, book.openRows(_rows(_record(i))), model));
    }

    function _strikesVoucher(uint256 row, uint256[8] memory honest) private {
        _repost();
        _strikesFor(address(recordFaults), _signed(0), Rule.Voucher, "proveVoucher");
        book.setCells(row, honest);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IPaymentChannels} from "../../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {FeeSplit} from "../../../contracts/libraries/FeeSplit.sol";
import {G1Point} from "../../../contracts/libraries/Kzg.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {BatchId} from "../../../contracts/types/Ids.sol";
import {BlobBook} from "../../BlobBook.sol";
import {LedgerBook} from "../../LedgerBook.sol";
import {FaultsWorld} from "./FaultsWorld.t.sol";

/// @notice Honest batches of calls of both models, which tests spoil and prove wrong.
abstract contract FaultsBase is FaultsWorld {
    uint64[2] internal charged;

    BatchId internal batch;
    LedgerBook internal book;
    LedgerBook internal previousBook;
    IPaymentChannels.Voucher[] internal vouchers;
    bytes[] internal witnesses;
    LedgerBook.Record[] private _records;
    LedgerBook.Carry[] private _carries;
    IPaymentChannels.Interval[] internal draws;
    BlobBook.Blob[] internal blobs;
    G1Point[] internal blobCommitments;
    uint32 internal witnessSymbols;
    uint32 internal slotCells;

    function setUp() public virtual override {
        super.setUp();
        _batch("batch", 5, true);
    }

    /// @dev A batch of `count` calls that follow from the seed, on top of a batch of three calls or of none.
    function _batch(bytes32 seed, uint256 count, bool hasPrevious) internal {
        delete _carries;
        charged = [uint64(0), 0];
        BatchId previous;
        if (hasPrevious) {
            previousBook = _build(keccak256(abi.encode(seed, "previous")), 3, EPOCH - 1);
            previous = _idOf(EPOCH - 1);
            _post(previous, previousBook, EPOCH - 1, BatchId.wrap(0));
            _takeCarries();
        }
        book = _build(seed, count, EPOCH);
        batch = _idOf(EPOCH);
        _post(batch, book, EPOCH, previous);
    }

    function _idOf(uint64 epoch) internal pure returns (BatchId) {
        return BatchId.wrap(keccak256(abi.encode("batch", epoch)));
    }

    function _takeCarries() private {
        for (uint256 i; i < previousBook.rowCount(); ++i) {
            LedgerRow.Row memory row = previousBook.rowAt(i);
            if (row.kind == LedgerRow.Kind.Payout && row.value > 0) {
                _carries.push(LedgerBook.Carry(row.account, -row.value));
            }
        }
    }

    function _build(bytes32 seed, uint256 count, uint64 epoch) private returns (LedgerBook built) {
        uint64[2] memory from = charged;
        delete _records;
        delete vouchers;
        delete witnesses;
        for (uint256 i; i < count; ++i) {
            _call(keccak256(abi.encode(seed, i)), epoch * 1 hours + uint64(10 * i + 5));
        }
        delete draws;
        uint64 total;
        for (uint256 i; i < 2; ++i) {
            if (charged[i] == from[i]) continue;
            draws.push(IPaymentChannels.Interval(channelIds[i], from[i], charged[i]));
            total += charged[i] - from[i];
        }

        built = new LedgerBook();
        built.build(LedgerBook.Header(operator, address(settlement), epoch, total), _carries, _records, _weights());
        _writeBlobs(count);
    }

    function _weights() private view returns (LedgerBook.Weight[] memory weights) {
        weights = new LedgerBook.Weight[](CONTRIBUTORS);
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            weights[i] = LedgerBook.Weight(adapter, contributors[i].earner, contributors[i].acceptedRows);
        }
    }

    /// @dev Every third call is of the base model, and every fourth of those of the adapter scores nobody.
    function _call(bytes32 seed, uint64 time) private {
        uint256 payer = uint256(seed) & 1;
        bool isBase = uint256(keccak256(abi.encode(seed, "model"))) % 3 == 0;
        LedgerBook.Record storage r = _records.push();
        r.channel = channelIds[payer];
        r.model = isBase ? base : adapter;
        r.tokensIn = uint32(uint256(keccak256(abi.encode(seed, "in"))) % 1000);
        r.tokensOut = uint32(uint256(keccak256(abi.encode(seed, "out"))) % 500);
        r.priceVersion = 1;
        r.time = time;
        r.from = charged[payer];
        IModelRegistry.Price memory price = models.priceAt(r.model, 1);
        r.fee = FeeSplit.feeOf(r.tokensIn, r.tokensOut, price.inputRate, price.outputRate, price.platformFee);
        charged[payer] += r.fee;
        r.shares = FeeSplit.split(r.fee, 1000, 2000, 2000, 5000);
        (r.owner, r.stakers) = (modelOwner, stakers);

        IPaymentChannels.Voucher memory voucher = _voucher(r, charged[payer]);
        r.voucher = channels.digestOf(voucher);
        bytes memory sketch = isBase ? bytes("") : _sketch(seed);
        bytes memory witness = _witness(voucher, payerKeys[payer], sketch);
        r.hash = keccak256(witness);
        if (!isBase) _credit(r, sketch);
        vouchers.push(voucher);
        witnesses.push(witness);
    }

    function _voucher(LedgerBook.Record memory r, uint64 ceiling)
        internal
        pure
        returns (IPaymentChannels.Voucher memory)
    {
        return IPaymentChannels.Voucher({
            channelId: r.channel,
            ceiling: ceiling,
            call: IPaymentChannels.Call({
                modelId: r.model,
                priceVersion: r.priceVersion,
                promptHash: keccak256("prompt"),
                seed: 7,
                maxTokens: 500,
                time: r.time
            })
        });
    }

    function _witness(IPaymentChannels.Voucher memory v, uint256 key, bytes memory sketch)
        internal
        view
        returns (bytes memory)
    {
        IPaymentChannels.Call memory c = v.call;
        bytes memory head = abi.encodePacked(
            v.channelId, v.ceiling, c.modelId, c.priceVersion, c.promptHash, c.seed, c.maxTokens, c.time
        );
        return abi.encodePacked(head, keccak256("output"), _sign(key, channels.digestOf(v)), sketch);
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _sketch(bytes32 seed) internal view returns (bytes memory sketch) {
        sketch = new bytes(dim);
        if (uint256(keccak256(abi.encode(seed, "empty"))) % 4 == 0) return sketch;
        for (uint256 i; i < dim; ++i) {
            sketch[i] = bytes1(keccak256(abi.encode(seed, i)));
        }
    }

    /// @dev The two contributors with the greatest |score|, ties by earner.
    function _credit(LedgerBook.Record storage r, bytes memory sketch) private {
        int64[] memory scores = new int64[](CONTRIBUTORS);
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            scores[i] = _scoreOf(sketch, i);
        }
        for (uint256 k; k < 2; ++k) {
            uint256 best;
            for (uint256 i = 1; i < CONTRIBUTORS; ++i) {
                if (_magnitude(scores[i]) > _magnitude(scores[best])) best = i;
            }
            if (scores[best] == 0) return;
            r.credits.push(LedgerBook.Credit(contributors[best].earner, scores[best]));
            scores[best] = 0;
        }
    }

    function _magnitude(int64 x) internal pure returns (uint256) {
        return x < 0 ? uint256(-int256(x)) : uint256(int256(x));
    }

    /// @dev Blobs of four slots each, so that a batch has several.
    function _writeBlobs(uint256 records) private {
        slotCells = 8;
        while (31 * uint256(slotCells) < 229 + dim) slotCells *= 2;
        witnessSymbols = 4 * slotCells;
        delete blobs;
        delete blobCommitments;
        for (uint256 first; first < records; first += 3) {
            uint256[] memory symbols = new uint256[](witnessSymbols);
            symbols[0] = uint256(31 * (witnessSymbols - 1)) << 208;
            for (uint256 k; k < 3 && first + k < records; ++k) {
                _writeSlot(symbols, 1 + k, witnesses[first + k]);
            }
            blobs.push(BlobBook.blobOf(symbols));
            blobCommitments.push(BlobBook.commitmentOf(blobs[blobs.length - 1]));
        }
    }

    function _writeSlot(uint256[] memory symbols, uint256 slot, bytes memory witness) internal view {
        for (uint256 j; j < slotCells; ++j) {
            uint256 cell;
            for (uint256 k; k < 31; ++k) {
                uint256 at = 31 * j + k;
                cell = cell << 8 | (at < witness.length ? uint8(witness[at]) : 0);
            }
            symbols[slot + j * (symbols.length / slotCells)] = cell;
        }
    }

    /// @dev Replaces the slot of a record.
    function _rewriteSlot(uint256 ordinal, bytes memory witness) internal {
        uint256[] memory symbols = blobs[ordinal / 3].symbols;
        _writeSlot(symbols, 1 + ordinal % 3, witness);
        _rewriteBlob(ordinal / 3, symbols);
    }

    function _rewriteBlob(uint256 blob, uint256[] memory symbols) internal {
        blobs[blob] = BlobBook.blobOf(symbols);
        blobCommitments[blob] = BlobBook.commitmentOf(blobs[blob]);
        _repost();
    }

    function _post(BatchId id, LedgerBook ledger, uint64 epoch, BatchId previous) internal {
        ISettlement.Batch memory posted;
        posted.operator = operator;
        posted.epoch = epoch;
        posted.total = uint64(ledger.cellsAt(0)[7]);
        posted.rows = ledger.rowCount();
        posted.witnessSymbols = witnessSymbols;
        posted.slotCells = slotCells;
        posted.status = ISettlement.Status.Posted;
        posted.previous = previous;
        posted.witnessesHash = keccak256(abi.encode(blobCommitments));
        posted.drawsHash = keccak256(abi.encode(draws));
        posted.ledger = ledger.commitment();
        settlement.set(id, posted);
    }

    /// @dev Posts the batch with its ledger and blobs as they were spoiled.
    function _repost() internal {
        book.commit();
        _post(batch, book, EPOCH, settlement.batchOf(batch).previous);
    }

    // Rows.

    function _find(LedgerRow.Kind kind, uint256 n) internal view returns (uint256) {
        return book.find(kind, n);
    }

    /// @dev The first record with so many credits, or the first without.
    function _recordWith(uint256 credits) internal view returns (uint256 row) {
        for (uint256 i; i < book.count(LedgerRow.Kind.Record); ++i) {
            row = _find(LedgerRow.Kind.Record, i);
            if (LedgerRow.poolShare(book.rowAt(row + 4)).credits == credits) return row;
        }
        revert("no such record");
    }

    function _rows(uint256 a) internal pure returns (uint256[] memory rows) {
        rows = new uint256[](1);
        rows[0] = a;
    }

    function _rows(uint256 a, uint256 b) internal pure returns (uint256[] memory rows) {
        rows = new uint256[](2);
        (rows[0], rows[1]) = (a, b);
    }

    function _rows(uint256 a, uint256 b, uint256 c) internal pure returns (uint256[] memory rows) {
        rows = new uint256[](3);
        (rows[0], rows[1], rows[2]) = (a, b, c);
    }

    function _rows(uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (uint256[] memory rows) {
        rows = new uint256[](4);
        (rows[0], rows[1], rows[2], rows[3]) = (a, b, c, d);
    }

    // Outcomes.

    function _strikes(address faults, bytes memory proof, Rule rule) internal {
        uint256 before = disputes.strikes();
        (bool ok, bytes memory reason) = faults.call(proof);
        if (!ok) emit log_named_bytes("reason", reason);
        assertTrue(ok, "proof refused");
        assertEq(disputes.strikes(), before + 1, "strikes");
        assertEq(BatchId.unwrap(disputes.batch()), BatchId.unwrap(batch), "batch");
        assertEq(uint8(disputes.rule()), uint8(rule), "rule");
        assertEq(disputes.challenger(), address(this), "challenger");
    }

    /// @dev Records what the proof costs as the first of its transaction, without what Disputes does then.
    function _strikesFor(address faults, bytes memory proof, Rule rule, string memory name) internal {
        vm.mockCall(address(disputes), abi.encodeWithSelector(IDisputes.strike.selector), "");
        _cool(faults);
        (bool ok,) = faults.call(proof);
        vm.snapshotGasLastCall("Faults", name);
        vm.snapshotValue("FaultsCalldata", name, proof.length);
        assertTrue(ok, "proof refused");

        vm.clearMockedCalls();
        _strikes(faults, proof, rule);
    }

    function _cool(address faults) internal {
        vm.cool(faults);
        vm.cool(address(settlement));
        vm.cool(address(disputes));
        vm.cool(address(indexes));
        vm.cool(address(earners));
        vm.cool(address(fees));
        vm.cool(address(models));
        vm.cool(address(channels));
    }

    function _refuses(address faults, bytes memory proof) internal {
        _refuses(faults, proof, abi.encodeWithSelector(IFaultProofs.NoFault.selector));
    }

    function _refuses(address faults, bytes memory proof, bytes memory error) internal {
        (bool ok, bytes memory reason) = faults.call(proof);
        assertFalse(ok, "proof accepted");
        assertEq(reason, error);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FeeSchedule} from "../../../contracts/governance/FeeSchedule.sol";
import {IDisputes, Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../../contracts/interfaces/IEarnerRegistry.sol";
import {IFeeSchedule} from "../../../contracts/interfaces/IFeeSchedule.sol";
import {IInfluenceIndexes} from "../../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IPaymentChannels} from "../../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IStaking} from "../../../contracts/interfaces/IStaking.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {FeeSplit} from "../../../contracts/libraries/FeeSplit.sol";
import {ContributorProof, IndexContributor, IndexTree} from "../../../contracts/libraries/IndexTree.sol";
import {G1Point, G2Point} from "../../../contracts/libraries/Kzg.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {PaymentChannels} from "../../../contracts/payments/PaymentChannels.sol";
import {DatanetRegistry} from "../../../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../../../contracts/registry/EarnerRegistry.sol";
import {ModelRegistry} from "../../../contracts/registry/ModelRegistry.sol";
import {AmountFaults} from "../../../contracts/settlement/faults/AmountFaults.sol";
import {CarryFaults} from "../../../contracts/settlement/faults/CarryFaults.sol";
import {CreditFaults} from "../../../contracts/settlement/faults/CreditFaults.sol";
import {ReceiptFaults} from "../../../contracts/settlement/faults/ReceiptFaults.sol";
import {RecordFaults} from "../../../contracts/settlement/faults/RecordFaults.sol";
import {RowFaults} from "../../../contracts/settlement/faults/RowFaults.sol";
import {BatchId, ChannelId, DatanetId, EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {DevSrs} from "../../DevSrs.sol";
import {BlobBook, LedgerBook} from "../../LedgerBook.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Test} from "forge-std/Test.sol";

/// @dev Batches as Settlement would keep them, set by the test.
contract SettlementDouble {
    uint64 public constant epochSeconds = 1 hours;

    mapping(BatchId batch => ISettlement.Batch) private _batches;

    function set(BatchId id, ISettlement.Batch calldata batch) external {
        _batches[id] = batch;
    }

    function batchOf(BatchId id) external view returns (ISettlement.Batch memory) {
        return _batches[id];
    }

    function tauG2() external pure returns (G2Point memory) {
        return DevSrs.tauG2();
    }
}

/// @dev Remembers the last strike.
contract DisputesDouble {
    address public settlement;
    uint256 public strikes;
    BatchId public batch;
    Rule public rule;
    address public challenger;

    constructor(address settlement_) {
        settlement = settlement_;
    }

    function strike(BatchId batch_, Rule rule_, address challenger_) external {
        (batch, rule, challenger) = (batch_, rule_, challenger_);
        ++strikes;
    }
}

/// @dev Indexes as InfluenceIndexes would keep them, set by the test; models without one are bases.
contract IndexesDouble {
    mapping(ModelId model => IInfluenceIndexes.Index) private _indexes;

    function set(ModelId model, IInfluenceIndexes.Index calldata index) external {
        _indexes[model] = index;
    }

    function indexOf(ModelId model) external view returns (IInfluenceIndexes.Index memory) {
        return _indexes[model];
    }

    function isEarning(ModelId model, uint64 time) external view returns (bool) {
        return _indexes[model].acceptedAt <= time;
    }
}

/// @notice An operator with two payers, a base model and an adapter with an influence index, and honest batches of calls
/// of both, which tests spoil and prove wrong.
abstract contract FaultsBase is Test {
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant EPOCH = START / 1 hours;
    uint32 internal constant TREASURY = 1;
    uint256 internal constant CONTRIBUTORS = 4;

    SettlementDouble internal settlement;
    DisputesDouble internal disputes;
    IndexesDouble internal indexes;
    EarnerRegistry internal earners;
    FeeSchedule internal fees;
    ModelRegistry internal models;
    PaymentChannels internal channels;

    RowFaults internal rowFaults;
    AmountFaults internal amountFaults;
    RecordFaults internal recordFaults;
    ReceiptFaults internal receiptFaults;
    CarryFaults internal carryFaults;
    CreditFaults internal creditFaults;

    address internal operator;
    uint256 internal operatorKey;
    uint32 internal stakers;
    uint32 internal modelOwner;
    /// @dev Registered as contributor between the first and second of the index, and after the last.
    uint32 internal stranger;
    uint32 internal lastStranger;

    ModelId internal base;
    ModelId internal adapter;
    uint256 internal dim = 64;
    IndexContributor[] internal contributors;
    bytes[] internal sums;

    ChannelId[2] internal channelIds;
    uint256[2] internal payerKeys;
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

    function setUp() public virtual {
        vm.warp(START);
        (operator, operatorKey) = makeAddrAndKey("operator");
        settlement = new SettlementDouble();
        disputes = new DisputesDouble(address(settlement));
        indexes = new IndexesDouble();
        fees = new FeeSchedule(address(this), IFeeSchedule.Rules(IFeeSchedule.Split(1000, 2000, 2000, 5000), 2), 7 days);

        _registerEarners();
        _registerModels();
        _openChannels();
        _deployFaults();
        _batch("batch", 5, true);
    }

    function isActive(address) external pure returns (bool) {
        return true;
    }

    function _registerEarners() private {
        earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        earners.setStaking(address(this));
        stakers = EarnerIndex.unwrap(earners.registerStakers(operator));
        modelOwner = _earner("model owner", IEarnerRegistry.Role.ModelOwner);
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            uint32 earner = _earner(string.concat("contributor ", vm.toString(i)), IEarnerRegistry.Role.Contributor);
            if (i == 0) stranger = _earner("stranger", IEarnerRegistry.Role.Contributor);
            _contributor(uint32(i), earner);
        }
        lastStranger = _earner("last stranger", IEarnerRegistry.Role.Contributor);
    }

    function _earner(string memory name, IEarnerRegistry.Role role) private returns (uint32) {
        vm.prank(makeAddr(name));
        return EarnerIndex.unwrap(earners.register(role));
    }

    /// @dev The last contributor has no accepted row.
    function _contributor(uint32 ordinal, uint32 earner) private {
        bool isEmpty = ordinal + 1 == CONTRIBUTORS;
        bytes memory sum = new bytes(4 * dim);
        for (uint256 i; i < dim && !isEmpty; ++i) {
            int32 number = int32(int256(uint256(keccak256(abi.encode(ordinal, i))) % 2_000_001) - 1_000_000);
            for (uint256 k; k < 4; ++k) {
                sum[4 * i + k] = bytes4(uint32(number))[k];
            }
        }
        sums.push(sum);
        contributors.push(
            IndexContributor(
                ordinal,
                earner,
                isEmpty ? 0 : 3 + ordinal,
                keccak256(sum),
                keccak256(abi.encode("left", ordinal)),
                keccak256(abi.encode("right", ordinal))
            )
        );
    }

    function _registerModels() private {
        DatanetRegistry datanets = new DatanetRegistry();
        DatanetId datanet = datanets.create("datanet", "licence", 0);
        datanets.publish(datanet, keccak256("rows"), 100);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        models = new ModelRegistry(earners, datanets);

        vm.startPrank(makeAddr("model owner"));
        base = models.registerBase("base", "base", IModelRegistry.Price(1000, 2000, 30));
        adapter = models.registerAdapter(
            base, "adapter", _root(), "index", versions, "adapter", IModelRegistry.Price(50_000, 90_001, 77)
        );
        vm.stopPrank();

        IInfluenceIndexes.Index memory index;
        index.contributors = uint32(CONTRIBUTORS);
        index.dim = uint32(dim);
        index.acceptedAt = START - 1 hours;
        index.root = _root();
        indexes.set(adapter, index);
    }

    function _openChannels() private {
        channels = new PaymentChannels(IStaking(address(this)), address(settlement), 2 hours);
        for (uint256 i; i < 2; ++i) {
            address payer;
            (payer, payerKeys[i]) = makeAddrAndKey(string.concat("payer ", vm.toString(i)));
            vm.deal(payer, 100 ether);
            vm.prank(payer);
            channelIds[i] = channels.open{value: 100 ether}(operator, 0);
        }
        // Draws come in the order of their channels.
        if (ChannelId.unwrap(channelIds[0]) > ChannelId.unwrap(channelIds[1])) {
            (channelIds[0], channelIds[1]) = (channelIds[1], channelIds[0]);
            (payerKeys[0], payerKeys[1]) = (payerKeys[1], payerKeys[0]);
        }
    }

    function _deployFaults() private {
        IDisputes disputes_ = IDisputes(address(disputes));
        IInfluenceIndexes indexes_ = IInfluenceIndexes(address(indexes));
        rowFaults = new RowFaults(disputes_, earners);
        amountFaults = new AmountFaults(disputes_, fees);
        recordFaults = new RecordFaults(disputes_, models, indexes_, earners, channels);
        receiptFaults = new ReceiptFaults(disputes_, channels);
        carryFaults = new CarryFaults(disputes_);
        creditFaults = new CreditFaults(disputes_, models, indexes_, fees);
    }

    // The index.

    function _leaf(uint256 ordinal) private view returns (bytes32) {
        return IndexTree.leafOf(contributors[ordinal]);
    }

    function _root() internal view returns (bytes32) {
        return Hashes.commutativeKeccak256(
            Hashes.commutativeKeccak256(_leaf(0), _leaf(1)), Hashes.commutativeKeccak256(_leaf(2), _leaf(3))
        );
    }

    function _proofOf(uint256 ordinal) internal view returns (ContributorProof memory proof) {
        proof.contributor = contributors[ordinal];
        proof.proof = new bytes32[](2);
        proof.proof[0] = _leaf(ordinal ^ 1);
        uint256 other = ordinal < 2 ? 2 : 0;
        proof.proof[1] = Hashes.commutativeKeccak256(_leaf(other), _leaf(other + 1));
    }

    /// @dev By the definition, number by number.
    function _scoreOf(bytes memory sketch, uint256 ordinal) internal view returns (int64 score) {
        bytes memory sum = sums[ordinal];
        for (uint256 i; i < dim; ++i) {
            bytes4 number;
            for (uint256 k; k < 4; ++k) {
                number |= bytes4(sum[4 * i + k]) >> 8 * k;
            }
            score += int64(int8(uint8(sketch[i]))) * int32(uint32(number));
        }
    }

    // Honest batches.

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

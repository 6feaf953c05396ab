// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../interfaces/IEarnerRegistry.sol";
import {IInfluenceIndexes} from "../../interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../interfaces/IModelRegistry.sol";
import {IPaymentChannels} from "../../interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IRecordFaults} from "../../interfaces/faults/IRecordFaults.sol";
import {CellOpening, CellOpenings, SlotOpening} from "../../libraries/CellOpenings.sol";
import {FeeSplit} from "../../libraries/FeeSplit.sol";
import {G1Point} from "../../libraries/Kzg.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {RecordWitness} from "../../libraries/RecordWitness.sol";
import {BatchId, EarnerIndex, ModelId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice Implements IRecordFaults over the registries and channels that it is deployed with.
contract RecordFaults is IRecordFaults, FaultProofs {
    using LedgerRow for LedgerRow.Row;

    EarnerIndex private constant TREASURY = EarnerIndex.wrap(1);

    /// @notice Prices and owners.
    IModelRegistry public immutable models;

    /// @notice Which models earn, and the dimensions of their sketches.
    IInfluenceIndexes public immutable indexes;

    /// @notice The stakers of operators.
    IEarnerRegistry public immutable earners;

    /// @notice What payers signed.
    IPaymentChannels public immutable channels;

    constructor(
        IDisputes disputes_,
        IModelRegistry models_,
        IInfluenceIndexes indexes_,
        IEarnerRegistry earners_,
        IPaymentChannels channels_
    ) FaultProofs(disputes_) {
        models = models_;
        indexes = indexes_;
        earners = earners_;
        channels = channels_;
    }

    /// @inheritdoc IRecordFaults
    function proveFee(BatchId batch, CellOpening calldata ledger, bytes calldata witness) external {
        Evidence memory e = _open(batch, ledger, 1);
        LedgerRow.Record memory record = _recordOf(e, 0);
        _checkWitness(record, witness);
        ModelId model = RecordWitness.decode(witness).voucher.call.modelId;
        _checkModel(record, model);

        (bool hasPrice, uint256 fee) = _feeOf(model, record);
        _strike(batch, Rule.Fee, !hasPrice || int256(e.rows[0].value) != int256(fee));
    }

    /// @inheritdoc IRecordFaults
    function provePayee(BatchId batch, CellOpening calldata ledger, ModelId model) external {
        Evidence memory e = _open(batch, ledger, 2);
        LedgerRow.Record memory record = _recordOf(e, 0);
        _checkKind(e, 1, LedgerRow.Kind.Share);
        LedgerRow.Share memory share = e.rows[1].share();
        _checkAt(e, 1, e.at[0] + share.position);

        EarnerIndex payee = TREASURY;
        uint32 weight;
        if (share.kind == LedgerRow.ShareKind.Owner) {
            _checkModel(record, model);
            (payee, weight) = (models.ownerEarnerAt(model, record.time), 1);
        } else if (share.kind == LedgerRow.ShareKind.Stakers) {
            payee = earners.earnerOf(e.batch.operator, IEarnerRegistry.Role.Stakers);
        }
        bool isPaid = e.rows[1].account == LedgerRow.fixedAccount(payee);
        _strike(batch, Rule.Payee, !isPaid || share.weight != weight || share.weights != weight);
    }

    /// @inheritdoc IRecordFaults
    function proveOverlap(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        (uint256 from, uint256 to) = _intervalOf(e, 0);
        (uint256 otherFrom, uint256 otherTo) = _intervalOf(e, 1);

        // An empty interval is in none: from is not below the smaller end.
        uint256 start = from > otherFrom ? from : otherFrom;
        uint256 end = to < otherTo ? to : otherTo;
        _strike(batch, Rule.Overlap, e.rows[0].account == e.rows[1].account && start < end);
    }

    /// @inheritdoc IRecordFaults
    function proveOutside(BatchId batch, CellOpening calldata ledger, IPaymentChannels.Interval[] calldata draws)
        external
    {
        Evidence memory e = _open(batch, ledger, 1);
        require(keccak256(abi.encode(draws)) == e.batch.drawsHash, WrongDraws());
        (uint256 from, uint256 to) = _intervalOf(e, 0);

        _strike(batch, Rule.Outside, from != to && !_isDrawn(e.rows[0].account, from, to, draws));
    }

    /// @inheritdoc IRecordFaults
    function proveVoucher(BatchId batch, CellOpening calldata ledger, bytes calldata witness) external {
        Evidence memory e = _open(batch, ledger, 1);
        _checkWitness(_recordOf(e, 0), witness);

        _strike(batch, Rule.Voucher, !_isVouchedFor(e, RecordWitness.decode(witness)));
    }

    /// @inheritdoc IRecordFaults
    function proveWitness(
        BatchId batch,
        CellOpening calldata ledger,
        G1Point[] calldata witnesses,
        SlotOpening calldata slot
    ) external {
        ISettlement.Batch memory posted = _posted(batch);
        (LedgerRow.Record memory record, uint256 blob, uint256 place) = _placeOf(posted, ledger, witnesses);
        require(blob < witnesses.length, NoWitnessBlob(blob));

        CellOpenings.Equation[] memory equations = new CellOpenings.Equation[](2);
        equations[0] = _equationOf(posted, ledger);
        equations[1] = CellOpenings.ofSlot(witnesses[blob], posted.witnessSymbols, posted.slotCells, place, slot);
        CellOpenings.checkAll(equations, settlement.tauG2());

        _strike(batch, Rule.Witness, !_holdsWitness(slot.values, record.record));
    }

    /// @inheritdoc IRecordFaults
    function proveWitnessMissing(BatchId batch, CellOpening calldata ledger, G1Point[] calldata witnesses) external {
        ISettlement.Batch memory posted = _posted(batch);
        (, uint256 blob,) = _placeOf(posted, ledger, witnesses);
        CellOpenings.check(_equationOf(posted, ledger), settlement.tauG2());

        _strike(batch, Rule.Witness, blob >= witnesses.length);
    }

    /// @inheritdoc IRecordFaults
    function proveNotEarning(BatchId batch, CellOpening calldata ledger, ModelId model) external {
        Evidence memory e = _open(batch, ledger, 1);
        LedgerRow.Record memory record = _recordOf(e, 0);
        _checkModel(record, model);
        // Reverts for a model that is not registered: its id could be anybody's guess at the last byte.
        models.modelOf(model);

        _strike(batch, Rule.NotEarning, !indexes.isEarning(model, record.time));
    }

    /// @return hasPrice whether there is such a price version of such a model
    function _feeOf(ModelId model, LedgerRow.Record memory record) private view returns (bool hasPrice, uint256 fee) {
        try models.priceAt(model, record.priceVersion) returns (IModelRegistry.Price memory price) {
            fee = FeeSplit.exactFeeOf(
                record.tokensIn, record.tokensOut, price.inputRate, price.outputRate, price.platformFee
            );
            return (true, fee);
        } catch (bytes memory reason) {
            // Nothing else is a fault, running out of gas least of all.
            bytes4 selector = bytes4(reason);
            require(
                selector == IModelRegistry.UnknownModel.selector
                    || selector == IModelRegistry.UnknownPriceVersion.selector,
                NoFault()
            );
        }
    }

    /// @dev What the i-th row charges of its channel: cumulative gwei above `from`, up to `to`.
    function _intervalOf(Evidence memory e, uint256 i) private pure returns (uint256 from, uint256 to) {
        from = _recordOf(e, i).from;
        int64 fee = e.rows[i].value;
        // A negative fee is a matter of the row alone.
        to = fee > 0 ? from + uint64(fee) : from;
    }

    function _isDrawn(uint256 account, uint256 from, uint256 to, IPaymentChannels.Interval[] calldata draws)
        private
        pure
        returns (bool)
    {
        for (uint256 i; i < draws.length; ++i) {
            bool isChannel = LedgerRow.drawAccount(draws[i].channel) == account;
            if (isChannel && from >= draws[i].from && to <= draws[i].to) return true;
        }
        return false;
    }

    function _isVouchedFor(Evidence memory e, RecordWitness.Witness memory witness) private view returns (bool) {
        LedgerRow.Record memory record = e.rows[0].record();
        IPaymentChannels.Voucher memory voucher = witness.voucher;
        IPaymentChannels.Call memory call = voucher.call;
        (, uint256 to) = _intervalOf(e, 0);

        return record.model == bytes31(ModelId.unwrap(call.modelId)) && record.priceVersion == call.priceVersion
            && record.time == call.time && e.rows[0].account == LedgerRow.drawAccount(voucher.channelId)
            && record.tokensOut <= call.maxTokens && to <= voucher.ceiling
            && record.voucher == bytes31(channels.digestOf(voucher)) && channels.isSigned(voucher, witness.signature);
    }

    /// @dev The record opened and where its witness should be. The opening is not checked yet.
    function _placeOf(ISettlement.Batch memory posted, CellOpening calldata ledger, G1Point[] calldata witnesses)
        private
        pure
        returns (LedgerRow.Record memory record, uint256 blob, uint256 slot)
    {
        _checkCount(ledger, 1);
        require(keccak256(abi.encode(witnesses)) == posted.witnessesHash, WrongWitnesses());
        (uint256[] memory at, LedgerRow.Row[] memory rows) = _rowsOf(ledger);
        record = _recordOf(Evidence(posted, at, rows), 0);

        (blob, slot) = RecordWitness.placeOf(record.ordinal, posted.witnessSymbols, posted.slotCells);
    }

    /// @dev Whether a slot's cells are a witness with the hash, then zeros.
    function _holdsWitness(uint256[] calldata cells, bytes31 hash) private view returns (bool) {
        for (uint256 i; i < cells.length; ++i) {
            if (cells[i] >> 8 * RecordWitness.CELL_BYTES != 0) return false;
        }

        // The model's id is 32 bytes behind the first 40: 22 bytes of cell 1 and 10 of cell 2. Slots have 8 cells.
        uint256 model = (cells[1] & type(uint176).max) << 80 | cells[2] >> 168;
        uint256 length = RecordWitness.SKETCH_AT + indexes.indexOf(ModelId.wrap(bytes32(model))).dim;
        if (length > cells.length * RecordWitness.CELL_BYTES) return false;

        // Whole cells of zeros are checked one by one: the library goes byte by byte.
        uint256 used = Math.ceilDiv(length, RecordWitness.CELL_BYTES);
        for (uint256 i = used; i < cells.length; ++i) {
            if (cells[i] != 0) return false;
        }
        (bytes memory witness, bool isPadded) = RecordWitness.ofSlot(cells[:used], length);
        return isPadded && hash == bytes31(keccak256(witness));
    }
}

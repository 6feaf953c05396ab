// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../interfaces/IEarnerRegistry.sol";
import {IRowFaults} from "../../interfaces/faults/IRowFaults.sol";
import {CellOpening, CellOpenings} from "../../libraries/CellOpenings.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {LedgerUses} from "../../libraries/LedgerUses.sol";
import {BatchId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";

/// @notice Implements IRowFaults over the registry of earners that it is deployed with.
contract RowFaults is IRowFaults, FaultProofs {
    using LedgerRow for LedgerRow.Row;

    /// @notice Which earner indices there are.
    IEarnerRegistry public immutable earners;

    constructor(IDisputes disputes_, IEarnerRegistry earners_) FaultProofs(disputes_) {
        earners = earners_;
    }

    /// @notice Reads a row, as LedgerRow does.
    function decode(uint256[8] calldata cells) external pure returns (LedgerRow.Row memory) {
        return LedgerRow.decode(cells);
    }

    /// @inheritdoc IRowFaults
    function proveMalformed(BatchId batch, CellOpening calldata ledger) external {
        _checkCount(ledger, 1);
        CellOpenings.check(_equationOf(_posted(batch), ledger), settlement.tauG2());
        (, uint256[8] memory cells) = _cellsOf(ledger, 0);

        _strike(batch, Rule.Malformed, _isMalformed(cells));
    }

    /// @inheritdoc IRowFaults
    function proveHeader(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 1);
        _checkAt(e, 0, 0);

        bool hasPayloadHeader = ledger.values[0] == LedgerRow.payloadHeader(e.batch.rows);
        _strike(batch, Rule.Header, !hasPayloadHeader || !_isHeader(e));
    }

    /// @inheritdoc IRowFaults
    function proveRow(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 1);
        require(e.at[0] != 0, WrongRow(0, 0));

        uint256 epochSeconds = settlement.epochSeconds();
        LedgerGrammar.Bounds memory bounds = LedgerGrammar.Bounds({
            rows: e.batch.rows,
            earners: earners.earnerCount(),
            from: e.batch.epoch * epochSeconds,
            to: (uint256(e.batch.epoch) + 1) * epochSeconds
        });
        _strike(batch, Rule.Row, !LedgerGrammar.isSound(e.rows[0], e.at[0], bounds));
    }

    /// @inheritdoc IRowFaults
    function proveNeighbours(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        _checkAt(e, 1, e.at[0] + 1);

        _strike(batch, Rule.Neighbours, !LedgerGrammar.mayFollow(e.rows[0], e.rows[1]));
    }

    /// @inheritdoc IRowFaults
    function proveSequence(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 3);
        LedgerRow.Record memory record = _recordBefore(e, 0);
        _checkKind(e, 2, LedgerRow.Kind.Record);
        LedgerRow.Record memory next = e.rows[2].record();

        bool isLater = next.time != record.time ? next.time > record.time : next.voucher > record.voucher;
        _strike(batch, Rule.Sequence, !isLater || next.ordinal != uint256(record.ordinal) + 1);
    }

    /// @inheritdoc IRowFaults
    function proveRecordCount(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 4);
        _checkKind(e, 0, LedgerRow.Kind.Header);
        _checkAt(e, 0, 0);
        LedgerRow.Record memory record = _recordBefore(e, 1);
        require(e.rows[3].kind != LedgerRow.Kind.Record, WrongRow(3, e.at[3]));

        _strike(batch, Rule.Sequence, e.rows[0].header().records != uint256(record.ordinal) + 1);
    }

    /// @dev The record at position i, once its pool row and the row after its last credit are found behind it.
    function _recordBefore(Evidence memory e, uint256 i) private pure returns (LedgerRow.Record memory) {
        _checkKind(e, i, LedgerRow.Kind.Record);
        require(LedgerUses.isPool(e.rows[i + 1]), WrongRow(i + 1, e.at[i + 1]));
        LedgerUses.Pool memory pool = LedgerUses.pool(e.rows[i + 1]);
        _checkAt(e, i + 1, e.at[i] + pool.position);
        _checkAt(e, i + 2, e.at[i + 1] + pool.credits + 1);
        // Behind the last of the record's pools.
        require(!LedgerUses.isUsePool(e.rows[i + 2]), WrongRow(i + 2, e.at[i + 2]));

        return e.rows[i].record();
    }

    function _isHeader(Evidence memory e) private view returns (bool) {
        LedgerRow.Row memory row = e.rows[0];
        if (row.kind != LedgerRow.Kind.Header || row.amount != 0 || row.account != 0 || row.value != 0) return false;

        LedgerRow.Header memory header = row.header();
        return header.chainId == block.chainid && header.settlement == address(settlement)
            && header.operator == e.batch.operator && header.epoch == e.batch.epoch && header.rows == e.batch.rows
            && header.total == e.batch.total && header.records != 0;
    }

    function _isMalformed(uint256[8] memory cells) private view returns (bool) {
        try this.decode(cells) returns (LedgerRow.Row memory) {
            return false;
        } catch (bytes memory reason) {
            // A call that runs out of gas has no reason: giving it too little must prove nothing.
            return reason.length != 0;
        }
    }
}

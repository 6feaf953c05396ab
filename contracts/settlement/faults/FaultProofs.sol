// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IFaultProofs} from "../../interfaces/faults/IFaultProofs.sol";
import {CellOpening, CellOpenings} from "../../libraries/CellOpenings.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {BatchId, ModelId} from "../../types/Ids.sol";

/// @notice Opens rows of posted batches and strikes.
abstract contract FaultProofs is IFaultProofs {
    /// @param at number of each row
    struct Evidence {
        ISettlement.Batch batch;
        uint256[] at;
        LedgerRow.Row[] rows;
    }

    /// @inheritdoc IFaultProofs
    ISettlement public immutable settlement;

    /// @inheritdoc IFaultProofs
    IDisputes public immutable disputes;

    constructor(IDisputes disputes_) {
        disputes = disputes_;
        settlement = disputes_.settlement();
    }

    /// @dev The rows of an opening that is checked to be true of a posted batch's ledger.
    function _open(BatchId id, CellOpening calldata ledger) internal view returns (Evidence memory evidence) {
        evidence.batch = _posted(id);
        CellOpenings.check(_equationOf(evidence.batch, ledger), settlement.tauG2());
        (evidence.at, evidence.rows) = _rowsOf(ledger);
    }

    /// @dev The same where there must be exactly `count` rows.
    function _open(BatchId id, CellOpening calldata ledger, uint256 count) internal view returns (Evidence memory) {
        _checkCount(ledger, count);
        return _open(id, ledger);
    }

    function _checkCount(CellOpening calldata ledger, uint256 count) internal pure {
        require(ledger.indices.length == count * LedgerRow.CELLS, WrongRowCount(ledger.indices.length));
    }

    /// @dev A batch that can be struck.
    function _posted(BatchId id) internal view returns (ISettlement.Batch memory batch) {
        batch = settlement.batchOf(id);
        require(batch.status == ISettlement.Status.Posted, ISettlement.NotPosted(id));
    }

    function _equationOf(ISettlement.Batch memory batch, CellOpening calldata ledger)
        internal
        view
        returns (CellOpenings.Equation memory)
    {
        return CellOpenings.ofCells(batch.ledger, batch.rows * LedgerRow.CELLS, ledger);
    }

    function _rowsOf(CellOpening calldata ledger)
        internal
        pure
        returns (uint256[] memory at, LedgerRow.Row[] memory rows)
    {
        uint256 count = ledger.indices.length / LedgerRow.CELLS;
        at = new uint256[](count);
        rows = new LedgerRow.Row[](count);
        for (uint256 i; i < count; ++i) {
            uint256[8] memory cells;
            (at[i], cells) = _cellsOf(ledger, i);
            rows[i] = LedgerRow.decode(cells);
        }
    }

    /// @dev The number and cells of the i-th row opened. Row 0's cell 0 is zero, whatever the blob has in its place.
    function _cellsOf(CellOpening calldata ledger, uint256 i)
        internal
        pure
        returns (uint256 at, uint256[8] memory cells)
    {
        uint32[] calldata indices = ledger.indices;
        uint256 first = i * LedgerRow.CELLS;

        require(indices.length % LedgerRow.CELLS == 0, WrongRowCount(indices.length));
        require(indices[first] % LedgerRow.CELLS == 0, WrongRowCount(indices.length));
        for (uint256 j; j < LedgerRow.CELLS; ++j) {
            require(indices[first + j] == indices[first] + j, WrongRowCount(indices.length));
            cells[j] = ledger.values[first + j];
        }
        if (indices[first] == 0) cells[0] = 0;
        at = indices[first] / LedgerRow.CELLS;
    }

    /// @dev Reverts unless the i-th row is of the kind.
    function _checkKind(Evidence memory evidence, uint256 i, LedgerRow.Kind kind) internal pure {
        require(evidence.rows[i].kind == kind, WrongRow(i, evidence.at[i]));
    }

    /// @dev Reverts unless the i-th row is row `at`.
    function _checkAt(Evidence memory evidence, uint256 i, uint256 at) internal pure {
        require(evidence.at[i] == at, WrongRow(i, evidence.at[i]));
    }

    /// @dev The i-th row as a record.
    function _recordOf(Evidence memory evidence, uint256 i) internal pure returns (LedgerRow.Record memory) {
        _checkKind(evidence, i, LedgerRow.Kind.Record);
        return LedgerRow.record(evidence.rows[i]);
    }

    /// @dev Reverts unless the bytes are the record's witness.
    function _checkWitness(LedgerRow.Record memory record, bytes calldata witness) internal pure {
        bytes32 hash = keccak256(witness);
        require(record.record == bytes31(hash), WrongWitness(hash));
    }

    /// @dev Reverts unless the record is of the model.
    function _checkModel(LedgerRow.Record memory record, ModelId model) internal pure {
        require(record.model == bytes31(ModelId.unwrap(model)), WrongModel(model));
    }

    /// @dev Reverts unless the account is the model's pool or a balance with it.
    function _checkModel(uint256 account, ModelId model) internal pure {
        require(LedgerGrammar.modelOf(account) == bytes25(ModelId.unwrap(model)), WrongModel(model));
    }

    function _strike(BatchId batch, Rule rule, bool isBroken) internal {
        require(isBroken, NoFault());

        disputes.strike(batch, rule, msg.sender);
    }
}

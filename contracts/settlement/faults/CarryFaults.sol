// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {ICarryFaults} from "../../interfaces/faults/ICarryFaults.sol";
import {CellOpening, CellOpenings} from "../../libraries/CellOpenings.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {BatchId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";

/// @notice Implements ICarryFaults.
contract CarryFaults is ICarryFaults, FaultProofs {
    constructor(IDisputes disputes_) FaultProofs(disputes_) {}

    /// @inheritdoc ICarryFaults
    function proveCarry(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external {
        (Evidence memory e, Evidence memory before) = _openBoth(batch, ledger, 1, previous, 1);
        _checkKind(e, 0, LedgerRow.Kind.Carry);
        _checkKind(before, 0, LedgerRow.Kind.Payout);
        require(before.rows[0].account == e.rows[0].account, WrongRow(0, before.at[0]));

        // A payout row posts the opposite of its net.
        _strike(batch, Rule.Carry, int256(e.rows[0].value) != -int256(before.rows[0].value));
    }

    /// @inheritdoc ICarryFaults
    function proveCarryUnfounded(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external {
        if (BatchId.unwrap(_posted(batch).previous) == 0) {
            Evidence memory first = _open(batch, ledger, 1);
            _checkKind(first, 0, LedgerRow.Kind.Carry);
            _strike(batch, Rule.Carry, true);
            return;
        }

        (Evidence memory e, Evidence memory before) = _openBoth(batch, ledger, 1, previous, 2);
        _checkKind(e, 0, LedgerRow.Kind.Carry);
        _checkAt(before, 1, before.at[0] + 1);

        uint256 place = LedgerGrammar.payoutPlace(e.rows[0].account);
        bool isAbsent =
            LedgerGrammar.closingPlace(before.rows[0]) < place && place < LedgerGrammar.closingPlace(before.rows[1]);
        _strike(batch, Rule.Carry, isAbsent);
    }

    /// @inheritdoc ICarryFaults
    function proveCarryLeftOut(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external {
        (Evidence memory e, Evidence memory before) = _openBoth(batch, ledger, 2, previous, 1);
        _checkAt(e, 1, e.at[0] + 1);
        _checkKind(before, 0, LedgerRow.Kind.Payout);

        uint256 place = LedgerGrammar.carryPlace(before.rows[0].account);
        bool isAbsent = LedgerGrammar.carryPlace(e.rows[0]) < place && place < LedgerGrammar.carryPlace(e.rows[1]);
        _strike(batch, Rule.Carry, before.rows[0].value > 0 && isAbsent);
    }

    /// @dev Rows of a batch and of the one before it, both checked by one pairing.
    function _openBoth(
        BatchId batch,
        CellOpening calldata ledger,
        uint256 rows,
        CellOpening calldata previous,
        uint256 previousRows
    ) private view returns (Evidence memory e, Evidence memory before) {
        _checkCount(ledger, rows);
        _checkCount(previous, previousRows);
        e.batch = _posted(batch);
        require(BatchId.unwrap(e.batch.previous) != 0, NoPrevious(batch));
        before.batch = settlement.batchOf(e.batch.previous);

        CellOpenings.Equation[] memory equations = new CellOpenings.Equation[](2);
        equations[0] = _equationOf(e.batch, ledger);
        equations[1] = _equationOf(before.batch, previous);
        CellOpenings.checkAll(equations, settlement.tauG2());

        (e.at, e.rows) = _rowsOf(ledger);
        (before.at, before.rows) = _rowsOf(previous);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../interfaces/IBondedFigures.sol";
import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IFactorFaults} from "../../interfaces/faults/IFactorFaults.sol";
import {CellOpening} from "../../libraries/CellOpenings.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {BatchId, EarnerIndex, ModelId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";

/// @notice Implements IFactorFaults over the figures that it is deployed with.
contract FactorFaults is IFactorFaults, FaultProofs {
    /// @notice What is in force.
    IBondedFigures public immutable figures;

    constructor(IDisputes disputes_, IBondedFigures figures_) FaultProofs(disputes_) {
        figures = figures_;
    }

    /// @inheritdoc IFactorFaults
    function proveFactor(BatchId batch, CellOpening calldata ledger, ModelId model) external {
        Evidence memory e = _open(batch, ledger, 1);
        _checkKind(e, 0, LedgerRow.Kind.Payout);
        uint256 account = e.rows[0].account;
        _checkModel(account, model);
        // Reverts for a model that is not registered: its id could be anybody's guess at the last bytes.
        figures.models().modelOf(model);

        EarnerIndex earner = EarnerIndex.wrap(LedgerGrammar.earnerOf(account));
        uint64 start = uint64(e.batch.epoch * settlement.epochSeconds());
        uint16 factor = figures.factorAt(model, earner, start);
        _strike(batch, Rule.Factor, LedgerRow.payout(e.rows[0]).factorBps != factor);
    }
}

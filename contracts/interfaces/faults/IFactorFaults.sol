// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {BatchId, ModelId} from "../../types/Ids.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of the factors on contributors' positive nets.
interface IFactorFaults is IFaultProofs {
    /// @notice Rule `Factor`: a payout's factor is not that of its model and contributor in force at the first second of
    /// the batch's epoch.
    /// @dev Rows: a Payout. Calls of a batch are signed from that second on, so its factors can be known before them,
    /// and figures are announced long before they are in force, so nobody picks them for calls that were made.
    /// @param model the full id of a registered model whose leading 25 bytes are in the row's account
    function proveFactor(BatchId batch, CellOpening calldata ledger, ModelId model) external;
}

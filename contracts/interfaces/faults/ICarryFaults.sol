// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {BatchId} from "../../types/Ids.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of a batch against the one before it: negative nets that were not taken over.
/// @dev `previous` opens whole rows of the previous batch's ledger, like `ledger` those of the batch.
interface ICarryFaults is IFaultProofs {
    /// @dev Thrown when the batch is its operator's first.
    error NoPrevious(BatchId batch);

    /// @notice Rule `Carry`: a carry is not the net that the previous batch's payout row closed.
    /// @dev Rows: a Carry. Of `previous`: the Payout of the same account.
    function proveCarry(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external;

    /// @notice Rule `Carry`: a carry of an account that the previous batch has no payout row of, or without a previous
    /// batch.
    /// @dev Rows: a Carry. Of `previous`: i, i + 1 between which the account's payout row would be; not read without a
    /// previous batch.
    function proveCarryUnfounded(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external;

    /// @notice Rule `Carry`: a negative net of the previous batch is not carried.
    /// @dev Rows: i, i + 1 between which the carry would be. Of `previous`: a Payout with a negative net.
    function proveCarryLeftOut(BatchId batch, CellOpening calldata ledger, CellOpening calldata previous) external;
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {BatchId, ModelId} from "../../types/Ids.sol";
import {IDisputes} from "../IDisputes.sol";
import {ISettlement} from "../ISettlement.sol";

/// @notice What all contracts have in common that prove faults of posted batches.
/// @dev A proof opens whole rows of the batch's ledger, in ascending order, and whatever else a rule needs. If the rule
/// is broken, the batch is struck through Disputes and the caller is the challenger. Otherwise the call reverts:
/// with `NoFault` if the evidence is true and breaks no rule, with another error if it is no evidence. An honest batch
/// breaks no rule, so no evidence against it can be made.
///
/// Every rule takes for granted that the others hold: rows are what their kinds say, places and ordinals count, the
/// record of a credit is where its place says. If they do not, another rule strikes the batch. Rows that do not decode
/// make a proof revert as LedgerRow does; only `proveMalformed` takes them.
///
/// `ledger` opens 8 cells of each row, 8i to 8i + 7 of row i. Row 0's cell 0 opens to the payload header of the blob
/// and is read as zero. In the rules below "rows" are those of `ledger` in their order.
interface IFaultProofs {
    /// @dev Thrown when the evidence is true and breaks no rule.
    error NoFault();
    /// @dev Thrown when a ledger opening is not of whole rows, or not of as many as the rule needs.
    error WrongRowCount(uint256 cells);
    /// @dev Thrown when the row opened at this position is not of the kind or not where the rule needs it.
    error WrongRow(uint256 position, uint256 row);
    /// @dev Thrown when a record's hash is not that of the witness.
    error WrongWitness(bytes32 hash);
    /// @dev Thrown when a row is not of the model.
    error WrongModel(ModelId model);

    /// @notice Where batches are read.
    function settlement() external view returns (ISettlement);

    /// @notice What strikes batches.
    function disputes() external view returns (IDisputes);
}

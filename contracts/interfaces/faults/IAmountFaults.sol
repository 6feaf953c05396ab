// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {BatchId} from "../../types/Ids.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of amounts that follow from other rows and the fee schedule.
interface IAmountFaults is IFaultProofs {
    /// @notice Rule `Split`: a share or pool is not what the fee gives by the rules of the call's time, or the pool is
    /// another model's.
    /// @dev Rows: a Record, one of its Shares or pools.
    function proveSplit(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Credit`: a credit is not trunc(pool * score / magnitude).
    /// @dev Rows: a PoolShare, SpanPool or CitationPool, one of its credits.
    function proveCredit(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Credit`: the pool row's credits or magnitude are not those of the credits that follow it.
    /// @dev Rows: a pool with credits at row p, and row p + credits, which is no credit of its kind with that place and sum
    /// through; or any pool and row p + credits + 1, which is a credit of its kind; or a pool alone whose credits do not
    /// fit the ledger.
    function proveCreditCount(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Flat`: the flat pay of a contributor whose net is not negative is not floor((pool - influence) *
    /// rows / weight); 0 for a weight of 0.
    /// @dev Rows: a PoolClosing, a Payout of its model.
    function proveFlat(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Closing`: a pool's influence, flat and weight are not the sums through its model's last payout
    /// row, or not 0 without one.
    /// @dev Rows: a PoolClosing; i, i + 1 between which payouts of its model end, or would be. i may be the PoolClosing.
    function proveClosing(BatchId batch, CellOpening calldata ledger) external;
}

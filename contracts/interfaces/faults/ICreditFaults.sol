// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {ContributorProof} from "../../libraries/IndexTree.sol";
import {BatchId, ModelId} from "../../types/Ids.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of credits and weights against the model's influence index.
/// @dev `witness` are the bytes of `RecordWitness`, whose hash's leading 31 bytes are in the record's row; it names the
/// full model id and holds the query's sketch q. `sums` are the bytes of a contributor's T_c, d int32. `model` is the
/// full id of a registered model whose leading 25 bytes are in the row's account.
interface ICreditFaults is IFaultProofs {
    /// @dev Thrown when a contributor is not in the model's index.
    error NotAContributor(uint32 earner);
    /// @dev Thrown when the sums are not the contributor's.
    error WrongSums(bytes32 hash);
    /// @dev Thrown when the earner shown is not the one that the rule needs.
    error WrongEarner(uint32 earner);
    /// @dev Thrown when the contributors shown do not enclose the earner.
    error NotAGap();

    /// @notice Rule `Score`: a credit's score is not the dot product of the call's sketch and the contributor's sums.
    /// @dev Rows: a Record, one of its Credits.
    function proveScore(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        ContributorProof calldata contributor,
        bytes calldata sums
    ) external;

    /// @notice Rule `Stranger`: a credit or payout of an earner who is not in the model's index.
    /// @dev Rows: a Credit, SpanCredit, CitationCredit or Payout.
    /// @param lower empty, or the contributor before the earner
    /// @param upper empty, or the one after; both are empty for a model without index
    function proveStranger(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof[] calldata lower,
        ContributorProof[] calldata upper
    ) external;

    /// @notice Rule `Stranger`: a payout row of a model whose pool closes in the batch has other rows than the index.
    /// @dev Rows: a PoolClosing, a Payout of its model.
    function proveWrongRows(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof calldata contributor
    ) external;

    /// @notice Rule `LeftOut`: a contributor has no credit though its score is not 0 and comes before another credit's
    /// by (|score| descending, earner ascending), or there are fewer credits than the rules allow.
    /// @dev Rows: a Record, its PoolShare, and the rows between which its credit would be: of PoolShare or Credit i, and
    /// i + 1 if it is a Credit of the record, those that are not opened already.
    function proveLeftOut(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        ContributorProof calldata contributor,
        bytes calldata sums
    ) external;

    /// @notice Rule `TooMany`: more credits of a kind than the rules of the call's time allow.
    /// @dev Rows: a Record, one of its pools.
    function proveTooMany(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Unpaid`: a contributor with accepted rows of a model whose pool closes in the batch has no payout
    /// row.
    /// @dev Rows: the PoolClosing; i, i + 1 between which the payout row would be. i may be the PoolClosing.
    function proveUnpaid(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        ContributorProof calldata contributor
    ) external;
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {BatchId} from "../../types/Ids.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of a ledger that need nothing but its rows, and the batch's header.
interface IRowFaults is IFaultProofs {
    /// @notice Rule `Malformed`. Rows: the one that does not decode.
    function proveMalformed(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Header`: row 0 is not the header of this batch, or its cell 0 is not the payload header.
    /// @dev Rows: 0.
    function proveHeader(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Row`: a row that is wrong by itself.
    /// @dev Rows: any but 0. What must hold, by kind:
    ///
    /// any: the last row is FixedPayout or Padding; earners of fixed accounts and balances are from 1 to `earnerCount`
    /// Padding: posts nothing and pays nobody
    /// Header: only row 0 is one
    /// Carry, Record, Share and all pools and credits of records: name no earner and pay nothing
    /// Carry: posts less than 0 to a balance
    /// Record: posts 0 or more to a channel; its time is in the epoch; from + fee < 2^64
    /// Share: posts 0 or more to a fixed account
    /// PoolShare, SpanPool, CitationPool: post 0 or more to a pool; their magnitude is 0 if they have no credits
    /// Credit: posts to a balance; its score is not 0
    /// SpanCredit: posts to a balance; its score is from 1 to 2^63 - 1; its span has 4 tokens or more, ends at 2^14 or
    /// before and occurs 10 times at most; holder < holders <= count, holder <= occurrence < count
    /// CitationCredit: posts to a balance; its score is relevance * uses, and not 0
    /// PoolClosing: closes a pool to earner 1: value = -(amount + influence + flat)
    /// Payout: closes a balance to its earner: amount = influence + flat; influence = floor(max(net, 0) * factor /
    /// 10_000), net = -value; flat is 0 if the net is negative
    /// FixedPayout: closes a fixed account to its earner: amount = -value
    function proveRow(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Neighbours`: a row may not follow the one before it.
    /// @dev Rows: i, i + 1. What may follow:
    ///
    /// Header: Carry; the Record with ordinal 0
    /// Carry: Carry of a greater account; the Record with ordinal 0
    /// Record: Share Treasury at position 1, then Owner at 2, Stakers at 3, PoolShare at 4: each is one more than before
    /// PoolShare without credits: the end of its record, see below
    /// PoolShare with credits: Credit of the model, place 0, magnitudeThrough = |score|
    /// Credit: Credit of the model, place + 1, magnitudeThrough + |score|, after it by (|score| descending, earner
    /// ascending); the end of its record
    /// SpanPool, CitationPool without credits: the end of its record
    /// SpanPool, CitationPool with credits: credit of its kind and the model, place 0, magnitudeThrough = score; of a
    /// SpanCredit holder 0
    /// SpanCredit: SpanCredit of the model, place + 1, magnitudeThrough + score: the next holder of the same span with a
    /// later occurrence, or after the last holder the first of a span with a lower score, or the same and a later start;
    /// after the last holder the end of its record
    /// CitationCredit: CitationCredit of the model, place + 1, magnitudeThrough + score, after it by (score descending,
    /// datanet, row); the end of its record
    /// The end of a record: Record, PoolClosing, or a SpanPool (after influence) or CitationPool (after influence or
    /// spans) of the model. From there on a record's rows have positions, each one more than before
    /// PoolClosing: PoolClosing of a greater account; Payout, sums through its own; FixedPayout
    /// Payout: Payout of a greater account, whose sums through start anew with the model, and add its influence, flat
    /// and, if its net is not negative, rows; FixedPayout
    /// FixedPayout: FixedPayout of a greater account; Padding
    /// Padding: Padding
    function proveNeighbours(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Sequence`: the record after a record does not have the next ordinal, or not a greater (time,
    /// voucher).
    /// @dev Rows: a Record, the last of its pools, the Record after its last credit.
    function proveSequence(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Sequence`: the last record's ordinal + 1 is not the header's number of records.
    /// @dev Rows: 0, a Record, the last of its pools, the row after its last credit, which is not a Record.
    function proveRecordCount(BatchId batch, CellOpening calldata ledger) external;
}

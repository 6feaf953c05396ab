// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {LeafOpening, RowOpening, SpanCommitment, SuffixOpening} from "../../libraries/SpanProofs.sol";
import {BatchId, ModelId} from "../../types/Ids.sol";
import {IDatanetRegistry} from "../IDatanetRegistry.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of credits for spans against the model's span index, and for citations against its Datanets.
/// @dev `model` is the full id of a registered model whose leading 25 bytes are in the row's account. Openings are of
/// the index that the model has published, see SpanProofs; ranks are places in its array.
///
/// What is not shown here: that a span is in the answer, that no longer or rarer one was left out, that a row was cited
/// and how relevant it is. Who has the answer can recompute that, as validators do when they vote on a record.
interface IUseFaults is IFaultProofs {
    /// @param model whose index it is
    /// @param commitment of the index
    struct Corpus {
        ModelId model;
        SpanCommitment commitment;
    }

    /// @dev Thrown when a commitment is not that of the model's index.
    error WrongCommitment(bytes32 hash);
    /// @dev Thrown when a rank or occurrence shown is not one that the rule needs.
    error WrongRank(uint256 rank);
    /// @dev Thrown when other occurrences are shown than the rule needs.
    error WrongOccurrences(uint256 count);
    /// @dev Thrown when a row shown is not the one cited.
    error NotTheRow();

    /// @notice Rule `Span`: a span is credited although no accepted index of the model pays for calls of that time.
    /// @dev Rows: a Record, a SpanCredit of it.
    function proveSpanUnfounded(BatchId batch, CellOpening calldata ledger, ModelId model) external;

    /// @notice Rule `Span`: the ranks go beyond the index.
    /// @dev Rows: a SpanCredit.
    function proveSpanBeyond(BatchId batch, CellOpening calldata ledger, Corpus calldata corpus) external;

    /// @notice Rule `Span`: a suffix within the ranks does not begin with the text of the first, or one just beside them
    /// does, or the text goes beyond the end of its row.
    /// @dev Rows: a SpanCredit.
    /// @param rank from low - 1 to low + count
    /// @param first the suffix at low with the span's text
    /// @param other the suffix at `rank` with as much
    function proveSpanRange(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        uint64 rank,
        SuffixOpening calldata first,
        SuffixOpening calldata other
    ) external;

    /// @notice Rule `Span`: the credit is not of the contributor of the canonical row of its occurrence's cluster.
    /// @dev Rows: a SpanCredit.
    /// @param suffix at low + occurrence, without text
    /// @param row that its position is in
    /// @param canonical the row that `row` names as its cluster
    function proveSpanHolder(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        SuffixOpening calldata suffix,
        RowOpening calldata row,
        LeafOpening calldata canonical
    ) external;

    /// @notice Rule `Span`: an occurrence before that of the credit is of the same cluster.
    /// @dev Rows: a SpanCredit.
    /// @param suffixes at low + `earlier` and low + occurrence
    /// @param rows that their positions are in
    function proveSpanRepeat(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        uint16 earlier,
        SuffixOpening[2] calldata suffixes,
        RowOpening[2] calldata rows
    ) external;

    /// @notice Rule `Span`: the occurrences are not of as many clusters as the credit says.
    /// @dev Rows: a SpanCredit.
    /// @param suffixes of all occurrences, in their order
    /// @param rows that their positions are in
    function proveSpanHolders(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        SuffixOpening[] calldata suffixes,
        RowOpening[] calldata rows
    ) external;

    /// @notice Rule `Span`: the score is not floor(length (log2(tokens) - log2(count)) / holders).
    /// @dev Rows: a SpanCredit.
    function proveSpanScore(BatchId batch, CellOpening calldata ledger, Corpus calldata corpus) external;

    /// @notice Rule `Span`: a span of a record is within another of it.
    /// @dev Rows: two SpanCredits of a record.
    function proveSpanNested(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Span`: a span ends after the answer.
    /// @dev Rows: a Record, a SpanCredit of it.
    function proveSpanOutside(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Citation`: the model's Datanet versions do not have the row cited.
    /// @dev Rows: a CitationCredit.
    function proveCitationUnfounded(BatchId batch, CellOpening calldata ledger, ModelId model) external;

    /// @notice Rule `Citation`: the row cited is a copy of another, or its contributor is not who is credited.
    /// @dev Rows: a CitationCredit.
    function proveCitation(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        IDatanetRegistry.Row calldata row,
        bytes32[] calldata proof
    ) external;
}

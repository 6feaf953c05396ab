// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../../interfaces/IDatanetRegistry.sol";
import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../../interfaces/IModelRegistry.sol";
import {ISpanIndexes} from "../../interfaces/ISpanIndexes.sol";
import {IUseFaults} from "../../interfaces/faults/IUseFaults.sol";
import {CellOpening} from "../../libraries/CellOpenings.sol";
import {LedgerGrammar} from "../../libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {LedgerUses} from "../../libraries/LedgerUses.sol";
import {LeafOpening, RowOpening, SpanCommitment, SpanProofs, SuffixOpening} from "../../libraries/SpanProofs.sol";
import {BatchId, EarnerIndex, ModelId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";

/// @notice Implements IUseFaults over the registries that it is deployed with.
contract UseFaults is IUseFaults, FaultProofs {
    /// @notice Models' span indexes.
    ISpanIndexes public immutable indexes;

    /// @notice Which models are registered, and their Datanet versions.
    IModelRegistry public immutable models;

    /// @notice Rows of Datanet versions.
    IDatanetRegistry public immutable datanets;

    /// @notice Contributors' indexes.
    IEarnerRegistry public immutable earners;

    constructor(IDisputes disputes_, ISpanIndexes indexes_) FaultProofs(disputes_) {
        indexes = indexes_;
        (models, datanets, earners) = (indexes_.models(), indexes_.datanets(), indexes_.earners());
    }

    /// @inheritdoc IUseFaults
    function proveSpanUnfounded(BatchId batch, CellOpening calldata ledger, ModelId model) external {
        Evidence memory e = _open(batch, ledger, 2);
        LedgerRow.Record memory record = _recordOf(e, 0);
        _spanOf(e, 1);
        _checkRecord(e, 1, e.at[0]);
        _checkRegistered(e.rows[1].account, model);

        _strike(batch, Rule.Span, !indexes.isPaying(model, record.time));
    }

    /// @inheritdoc IUseFaults
    function proveSpanBeyond(BatchId batch, CellOpening calldata ledger, Corpus calldata corpus) external {
        (, LedgerUses.Span memory span) = _openSpan(batch, ledger, corpus);

        _strike(batch, Rule.Span, uint256(span.low) + span.count > corpus.commitment.tokens);
    }

    /// @inheritdoc IUseFaults
    function proveSpanRange(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        uint64 rank,
        SuffixOpening calldata first,
        SuffixOpening calldata other
    ) external {
        (, LedgerUses.Span memory span) = _openSpan(batch, ledger, corpus);
        uint256 high = uint256(span.low) + span.count;
        require(uint256(rank) + 1 >= span.low && rank <= high, WrongRank(rank));

        bool agrees = SpanProofs.agree(corpus.commitment, span.length, span.low, first, rank, other);
        _strike(batch, Rule.Span, agrees != (rank >= span.low && rank < high));
    }

    /// @inheritdoc IUseFaults
    function proveSpanHolder(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        SuffixOpening calldata suffix,
        RowOpening calldata row,
        LeafOpening calldata canonical
    ) external {
        (uint256 account, LedgerUses.Span memory span) = _openSpan(batch, ledger, corpus);
        uint32 cluster = _clusterAt(corpus.commitment, span, span.occurrence, suffix, row);
        uint32 earner = SpanProofs.rowOf(corpus.commitment, cluster, canonical).earner;

        _strike(batch, Rule.Span, earner != LedgerGrammar.earnerOf(account));
    }

    /// @inheritdoc IUseFaults
    function proveSpanRepeat(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        uint16 earlier,
        SuffixOpening[2] calldata suffixes,
        RowOpening[2] calldata rows
    ) external {
        (, LedgerUses.Span memory span) = _openSpan(batch, ledger, corpus);
        require(earlier < span.occurrence, WrongRank(earlier));
        uint32 before = _clusterAt(corpus.commitment, span, earlier, suffixes[0], rows[0]);
        uint32 own = _clusterAt(corpus.commitment, span, span.occurrence, suffixes[1], rows[1]);

        _strike(batch, Rule.Span, before == own);
    }

    /// @inheritdoc IUseFaults
    function proveSpanHolders(
        BatchId batch,
        CellOpening calldata ledger,
        Corpus calldata corpus,
        SuffixOpening[] calldata suffixes,
        RowOpening[] calldata rows
    ) external {
        (, LedgerUses.Span memory span) = _openSpan(batch, ledger, corpus);
        require(suffixes.length == span.count && rows.length == span.count, WrongOccurrences(suffixes.length));
        uint256[] memory clusters = new uint256[](span.count);
        uint256 holders;
        for (uint256 i; i < clusters.length; ++i) {
            clusters[i] = _clusterAt(corpus.commitment, span, i, suffixes[i], rows[i]);
            if (!_isAmong(clusters, i)) ++holders;
        }

        _strike(batch, Rule.Span, holders != span.holders);
    }

    /// @inheritdoc IUseFaults
    function proveSpanScore(BatchId batch, CellOpening calldata ledger, Corpus calldata corpus) external {
        Evidence memory e = _open(batch, ledger, 1);
        LedgerUses.Span memory span = _spanOf(e, 0);
        _checkCorpus(e.rows[0].account, corpus);

        uint256 score = LedgerUses.scoreOf(span, corpus.commitment.tokens);
        _strike(batch, Rule.Span, LedgerUses.credit(e.rows[0]).score != int256(score));
    }

    /// @inheritdoc IUseFaults
    function proveSpanNested(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        (LedgerUses.Span memory a, LedgerUses.Span memory b) = (_spanOf(e, 0), _spanOf(e, 1));
        uint256 position = LedgerUses.credit(e.rows[0]).position;
        require(position <= e.at[0], WrongRow(0, e.at[0]));
        _checkRecord(e, 1, e.at[0] - position);

        _strike(batch, Rule.Span, LedgerUses.isNested(a, b));
    }

    /// @inheritdoc IUseFaults
    function proveSpanOutside(BatchId batch, CellOpening calldata ledger) external {
        Evidence memory e = _open(batch, ledger, 2);
        LedgerRow.Record memory record = _recordOf(e, 0);
        LedgerUses.Span memory span = _spanOf(e, 1);
        _checkRecord(e, 1, e.at[0]);

        _strike(batch, Rule.Span, LedgerUses.endOf(span) > record.tokensOut);
    }

    /// @inheritdoc IUseFaults
    function proveCitationUnfounded(BatchId batch, CellOpening calldata ledger, ModelId model) external {
        (, LedgerUses.Citation memory cited) = _openCitation(batch, ledger, model);
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);

        bool isThere = cited.datanet < versions.length;
        if (isThere) {
            IModelRegistry.DatanetVersion memory version = versions[cited.datanet];
            isThere = cited.row < datanets.versionOf(version.datanet, version.version).rowCount;
        }
        _strike(batch, Rule.Citation, !isThere);
    }

    /// @inheritdoc IUseFaults
    function proveCitation(
        BatchId batch,
        CellOpening calldata ledger,
        ModelId model,
        IDatanetRegistry.Row calldata row,
        bytes32[] calldata proof
    ) external {
        (uint256 account, LedgerUses.Citation memory cited) = _openCitation(batch, ledger, model);
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);
        require(cited.datanet < versions.length && row.index == cited.row, NotTheRow());
        IModelRegistry.DatanetVersion memory version = versions[cited.datanet];
        require(datanets.contains(version.datanet, version.version, row, proof), NotTheRow());

        EarnerIndex earner = earners.earnerOf(row.contributor, IEarnerRegistry.Role.Contributor);
        bool isOther = EarnerIndex.unwrap(earner) != LedgerGrammar.earnerOf(account);
        _strike(batch, Rule.Citation, isOther || row.rowHash != row.clusterHash);
    }

    /// @dev The account and span of a row that is checked to be of the corpus's model.
    function _openSpan(BatchId batch, CellOpening calldata ledger, Corpus calldata corpus)
        private
        view
        returns (uint256 account, LedgerUses.Span memory span)
    {
        Evidence memory e = _open(batch, ledger, 1);
        span = _spanOf(e, 0);
        account = e.rows[0].account;
        _checkCorpus(account, corpus);
    }

    function _openCitation(BatchId batch, CellOpening calldata ledger, ModelId model)
        private
        view
        returns (uint256 account, LedgerUses.Citation memory cited)
    {
        Evidence memory e = _open(batch, ledger, 1);
        _checkKind(e, 0, LedgerRow.Kind.CitationCredit);
        account = e.rows[0].account;
        _checkRegistered(account, model);
        cited = LedgerUses.citation(e.rows[0]);
    }

    function _spanOf(Evidence memory e, uint256 i) private pure returns (LedgerUses.Span memory) {
        _checkKind(e, i, LedgerRow.Kind.SpanCredit);
        return LedgerUses.span(e.rows[i]);
    }

    /// @dev Reverts unless the i-th row, a credit for a use, is of the record at row `record`.
    function _checkRecord(Evidence memory e, uint256 i, uint256 record) private pure {
        _checkAt(e, i, record + LedgerUses.credit(e.rows[i]).position);
    }

    /// @dev Reverts for a model that is not registered too: its id could be anybody's guess at the last bytes.
    function _checkRegistered(uint256 account, ModelId model) private view {
        _checkModel(account, model);
        models.modelOf(model);
    }

    function _checkCorpus(uint256 account, Corpus calldata corpus) private view {
        _checkModel(account, corpus.model);
        bytes32 hash = SpanProofs.hashOf(corpus.commitment);
        require(hash == indexes.indexOf(corpus.model).commitmentHash, WrongCommitment(hash));
    }

    /// @dev The cluster of the row that an occurrence of a span is in.
    function _clusterAt(
        SpanCommitment calldata index,
        LedgerUses.Span memory span,
        uint256 occurrence,
        SuffixOpening calldata suffix,
        RowOpening calldata row
    ) private pure returns (uint32) {
        uint256 position = SpanProofs.positionAt(index, uint256(span.low) + occurrence, suffix);
        return SpanProofs.rowAt(index, position, row).cluster;
    }

    /// @dev Whether the i-th is among those before it.
    function _isAmong(uint256[] memory numbers, uint256 i) private pure returns (bool) {
        for (uint256 j; j < i; ++j) {
            if (numbers[j] == numbers[i]) return true;
        }
        return false;
    }
}

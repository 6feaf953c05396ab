// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISpanVerifier} from "../interfaces/ISpanVerifier.sol";
import {
    CountProof,
    LeafOpening,
    LongestProof,
    MissingProof,
    OrderProof,
    RowOpening,
    SpanCommitment,
    SpanProofs,
    SpanRow,
    SuffixOpening
} from "../libraries/SpanProofs.sol";

/// @notice Implements ISpanVerifier.
contract SpanVerifier is ISpanVerifier {
    /// @inheritdoc ISpanVerifier
    function hashOf(SpanCommitment calldata index) external pure returns (bytes32) {
        return SpanProofs.hashOf(index);
    }

    /// @inheritdoc ISpanVerifier
    function count(SpanCommitment calldata index, uint32[] calldata ngram, CountProof calldata proof)
        external
        pure
        returns (uint256)
    {
        return SpanProofs.count(index, ngram, proof);
    }

    /// @inheritdoc ISpanVerifier
    function longest(SpanCommitment calldata index, uint32[] calldata text, LongestProof calldata proof)
        external
        pure
        returns (uint256 tokens, uint256 occurrences)
    {
        return SpanProofs.longest(index, text, proof);
    }

    /// @inheritdoc ISpanVerifier
    function checkDisorder(SpanCommitment calldata index, OrderProof calldata proof) external pure {
        SpanProofs.checkDisorder(index, proof);
    }

    /// @inheritdoc ISpanVerifier
    function checkMissing(SpanCommitment calldata index, MissingProof calldata proof) external pure {
        SpanProofs.checkMissing(index, proof);
    }

    /// @inheritdoc ISpanVerifier
    function positionAt(SpanCommitment calldata index, uint64 rank, SuffixOpening calldata opening)
        external
        pure
        returns (uint256)
    {
        return SpanProofs.positionAt(index, rank, opening);
    }

    /// @inheritdoc ISpanVerifier
    function agree(
        SpanCommitment calldata index,
        uint64 tokens,
        uint64 rank,
        SuffixOpening calldata opening,
        uint64 otherRank,
        SuffixOpening calldata other
    ) external pure returns (bool) {
        return SpanProofs.agree(index, tokens, rank, opening, otherRank, other);
    }

    /// @inheritdoc ISpanVerifier
    function rowOf(SpanCommitment calldata index, uint32 row, LeafOpening calldata opening)
        external
        pure
        returns (SpanRow memory)
    {
        return SpanProofs.rowOf(index, row, opening);
    }

    /// @inheritdoc ISpanVerifier
    function rowAt(SpanCommitment calldata index, uint64 position, RowOpening calldata opening)
        external
        pure
        returns (SpanRow memory)
    {
        return SpanProofs.rowAt(index, position, opening);
    }
}

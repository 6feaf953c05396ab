// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {
    CountProof,
    LeafOpening,
    LongestProof,
    MissingProof,
    OrderProof,
    RowOpening,
    SpanCommitment,
    SpanRow,
    SuffixOpening
} from "../libraries/SpanProofs.sol";

/// @notice Checks what is claimed of a span index, from its commitment alone.
/// @dev Stateless: it says nothing of whose commitment it is. Every function reverts with SpanProofs'
/// `InvalidSpanProof` naming the rule that the proof breaks. `count` and `longest` are true of an array in order;
/// `checkDisorder` and `checkMissing` succeed only where it is not one that holds every token's suffix once.
///
/// Warning: no proof shows that the text is what a tokenizer makes of the rows. Whoever has the rows recomputes it.
interface ISpanVerifier {
    /// @notice What stands for a commitment.
    function hashOf(SpanCommitment calldata index) external pure returns (bytes32);

    /// @notice How often an n-gram occurs.
    function count(SpanCommitment calldata index, uint32[] calldata ngram, CountProof calldata proof)
        external
        pure
        returns (uint256);

    /// @notice Tokens of the longest prefix of a text that occurs, and how often it does.
    function longest(SpanCommitment calldata index, uint32[] calldata text, LongestProof calldata proof)
        external
        pure
        returns (uint256 tokens, uint256 occurrences);

    /// @notice Succeeds if two neighbours of the array are not in order, are the same, or the first is of no token.
    function checkDisorder(SpanCommitment calldata index, OrderProof calldata proof) external pure;

    /// @notice Succeeds if the array lacks the suffix of a token.
    function checkMissing(SpanCommitment calldata index, MissingProof calldata proof) external pure;

    /// @notice The position of the suffix at a rank; the opening needs no text.
    function positionAt(SpanCommitment calldata index, uint64 rank, SuffixOpening calldata opening)
        external
        pure
        returns (uint256);

    /// @notice Whether the suffixes at two ranks begin with the same `tokens` tokens, within a row.
    function agree(
        SpanCommitment calldata index,
        uint64 tokens,
        uint64 rank,
        SuffixOpening calldata opening,
        uint64 otherRank,
        SuffixOpening calldata other
    ) external pure returns (bool);

    /// @notice A row of the index, by its number.
    function rowOf(SpanCommitment calldata index, uint32 row, LeafOpening calldata opening)
        external
        pure
        returns (SpanRow memory);

    /// @notice The row that a position is in.
    function rowAt(SpanCommitment calldata index, uint64 position, RowOpening calldata opening)
        external
        pure
        returns (SpanRow memory);
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {LedgerRow} from "./LedgerRow.sol";

/// @title LedgerUses
/// @notice Rows of a ledger that pay for uses of contributors' rows: for spans of an answer that they hold word for
/// word, and for being cited. See LedgerRow for how a row is written.
/// @dev Rows given here are of a kind that the function is named after, or of one of those.
library LedgerUses {
    /// @param credits number of credit rows that follow
    /// @param magnitude sum of |score| over them
    /// @param position rows since the record's first, which is at this row minus `position`
    struct Pool {
        uint256 credits;
        uint256 magnitude;
        uint256 position;
    }

    /// @param place among the section's credits, from 0: its pool row is at this row minus 1 minus `place`
    /// @param magnitudeThrough sum of the scores of the section's credits up to this one
    /// @param position rows since the record's first; 0 in a credit by influence, which does not say it
    struct Credit {
        int256 score;
        uint256 place;
        uint256 magnitudeThrough;
        uint256 position;
    }

    /// @dev A span of an answer, and one of the duplicate clusters whose rows hold it. Its text is that of the suffixes
    /// of ranks `low` to before `low + count` of the model's span index.
    /// @param start the span's first token in the answer
    /// @param length its tokens
    /// @param low first rank of the suffixes that start with it
    /// @param count how many of them there are
    /// @param holders duplicate clusters of their rows
    /// @param holder which of them this is, from 0, in the order of their first occurrences
    /// @param occurrence the cluster's first: its rank minus `low`
    struct Span {
        uint16 start;
        uint16 length;
        uint64 low;
        uint16 count;
        uint16 holders;
        uint16 holder;
        uint16 occurrence;
    }

    /// @dev A row that an answer cites.
    /// @param datanet place of its Datanet version in the model's `datanetsOf`
    /// @param row its index in the version
    /// @param relevance how much it has to do with the question; any scale, the same for a whole answer
    /// @param uses how often the answer cites it
    struct Citation {
        uint8 datanet;
        uint64 row;
        uint32 relevance;
        uint16 uses;
    }

    /// @notice Fewest tokens, most occurrences and last end of a span.
    uint256 internal constant MIN_SPAN_TOKENS = 4;
    uint256 internal constant MAX_SPAN_COUNT = 10;
    uint256 internal constant MAX_SPAN_END = 1 << 14;

    uint256 private constant FRACTION_BITS = 16;

    /// @notice Whether a row is of a pool: of influence, spans or citations.
    function isPool(LedgerRow.Row memory row) internal pure returns (bool) {
        return row.kind == LedgerRow.Kind.PoolShare || isUsePool(row);
    }

    /// @notice Whether a row is of a pool of spans or citations.
    function isUsePool(LedgerRow.Row memory row) internal pure returns (bool) {
        return row.kind == LedgerRow.Kind.SpanPool || row.kind == LedgerRow.Kind.CitationPool;
    }

    /// @notice Whether a row is a credit for a span or citation.
    function isUse(LedgerRow.Row memory row) internal pure returns (bool) {
        return row.kind == LedgerRow.Kind.SpanCredit || row.kind == LedgerRow.Kind.CitationCredit;
    }

    /// @notice The kind of credits of a pool.
    function creditKind(LedgerRow.Row memory pool_) internal pure returns (LedgerRow.Kind) {
        return LedgerRow.Kind(uint256(pool_.kind) + 1);
    }

    /// @notice What a row of a pool says.
    function pool(LedgerRow.Row memory row) internal pure returns (Pool memory p) {
        uint256 head = row.info[0];
        p.credits = uint8(head >> 232);
        p.magnitude = uint128(head >> 104);
        p.position = isUsePool(row) ? uint16(head >> 88) : uint8(head >> 96);
    }

    /// @notice What a row of a credit says.
    function credit(LedgerRow.Row memory row) internal pure returns (Credit memory c) {
        uint256 head = row.info[0];
        uint64 score = uint64(head >> 176);
        c.place = uint8(head >> 168);
        c.magnitudeThrough = uint128(head >> 40);
        if (isUse(row)) {
            c.score = int256(uint256(score));
            c.position = uint16(head >> 24);
        } else {
            // Minus 2^63: in two's complement that flips the leading bit.
            c.score = int64(score ^ 1 << 63);
        }
    }

    /// @notice What a row of kind SpanCredit says of its span.
    function span(LedgerRow.Row memory row) internal pure returns (Span memory s) {
        uint256 cell = row.info[1];
        s.start = uint16(cell >> 144);
        s.length = uint16(cell >> 128);
        s.low = uint64(cell >> 64);
        s.count = uint16(cell >> 48);
        s.holders = uint16(cell >> 32);
        s.holder = uint16(cell >> 16);
        s.occurrence = uint16(cell);
    }

    /// @notice What a row of kind CitationCredit says of the row cited.
    function citation(LedgerRow.Row memory row) internal pure returns (Citation memory c) {
        uint256 cell = row.info[1];
        c.datanet = uint8(cell >> 112);
        c.row = uint64(cell >> 48);
        c.relevance = uint32(cell >> 16);
        c.uses = uint16(cell);
    }

    /// @notice Whether a credit's numbers can be those of one, whatever answer, index and Datanet are.
    function isSound(LedgerRow.Row memory row) internal pure returns (bool) {
        int256 score = credit(row).score;
        if (score <= 0 || score > type(int64).max) return false;
        if (row.kind == LedgerRow.Kind.SpanCredit) return _isSoundSpan(span(row));

        Citation memory c = citation(row);
        return uint256(score) == uint256(c.relevance) * c.uses;
    }

    /// @notice Whether a credit may be the first of its section.
    function isFirst(LedgerRow.Row memory row) internal pure returns (bool) {
        return row.kind == LedgerRow.Kind.CitationCredit || span(row).holder == 0;
    }

    /// @notice Whether a credit is not followed by another holder of its span.
    function isLastHolder(LedgerRow.Row memory row) internal pure returns (bool) {
        if (row.kind == LedgerRow.Kind.CitationCredit) return true;
        Span memory s = span(row);
        return uint256(s.holder) + 1 == s.holders;
    }

    /// @notice Whether credit `b` may come directly after credit `a` of the same kind and section: the greatest score
    /// first, then by span and holder, or by Datanet and row; a span's holders together.
    function follows(LedgerRow.Row memory a, LedgerRow.Row memory b) internal pure returns (bool) {
        bool continues = isLastHolder(a);
        if (b.kind == LedgerRow.Kind.SpanCredit) {
            (Span memory x, Span memory y) = (span(a), span(b));
            if (y.holder != 0) {
                continues = isSameSpan(x, y) && uint256(x.holder) + 1 == y.holder && x.occurrence < y.occurrence;
            }
        }
        (int256 score, int256 next) = (credit(a).score, credit(b).score);
        return continues && (score != next ? score > next : _placeOf(a) < _placeOf(b));
    }

    /// @notice Whether both are of one span of an answer.
    function isSameSpan(Span memory a, Span memory b) internal pure returns (bool) {
        return
            a.start == b.start && a.length == b.length && a.low == b.low && a.count == b.count && a.holders == b.holders;
    }

    /// @notice Whether one of two spans of an answer is within the other.
    function isNested(Span memory a, Span memory b) internal pure returns (bool) {
        return !isSameSpan(a, b) && (_isWithin(a, b) || _isWithin(b, a));
    }

    /// @notice The token after a span's last.
    function endOf(Span memory s) internal pure returns (uint256) {
        return uint256(s.start) + s.length;
    }

    /// @notice floor(length (log2(tokens) - log2(count)) / holders) in units of 2^-16 bits.
    /// @param tokens of the span index
    function scoreOf(Span memory s, uint64 tokens) internal pure returns (uint256) {
        (uint256 all, uint256 some) = (log2(tokens), log2(s.count));
        if (s.holders == 0 || all < some) return 0;
        return s.length * (all - some) / s.holders;
    }

    /// @notice Binary logarithm in units of 2^-16, rounded down; 0 of 0.
    /// @dev With x = m 2^k, 1 <= m < 2, the integer part is k. Squaring m doubles its logarithm: if the square is 2 or
    /// more the next bit is 1 and the square is halved. m has 63 bits after the point, and squares are cut to them.
    function log2(uint64 x) internal pure returns (uint256 bits) {
        if (x == 0) return 0;
        while (x >> bits > 1) ++bits;

        uint256 mantissa = uint256(x) << (63 - bits);
        for (uint256 i; i < FRACTION_BITS; ++i) {
            uint256 square = mantissa * mantissa;
            uint256 doubled = square >> 127;
            bits = bits << 1 | doubled;
            mantissa = square >> (63 + doubled);
        }
    }

    function _isSoundSpan(Span memory s) private pure returns (bool) {
        return s.length >= MIN_SPAN_TOKENS && endOf(s) <= MAX_SPAN_END && s.count <= MAX_SPAN_COUNT
            && s.holders <= s.count && s.holder < s.holders && s.holder <= s.occurrence && s.occurrence < s.count;
    }

    function _isWithin(Span memory inner, Span memory outer) private pure returns (bool) {
        return outer.start <= inner.start && endOf(inner) <= endOf(outer);
    }

    function _placeOf(LedgerRow.Row memory row) private pure returns (uint256) {
        if (row.kind == LedgerRow.Kind.CitationCredit) return row.info[1] >> 48;
        Span memory s = span(row);
        return uint256(s.start) << 16 | s.holder;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @dev A leaf's bytes with its siblings from the leaf up, none where a node has none.
/// @param leaf 256 bytes of text or suffixes, or the 57 bytes of a row
struct LeafOpening {
    bytes leaf;
    bytes32[] siblings;
}

/// @dev The suffix at a rank and the text that it starts with.
/// @param pointer the leaf of the array that holds the rank
/// @param text leaves from the suffix's position on, as many as the claim reads
struct SuffixOpening {
    LeafOpening pointer;
    LeafOpening[] text;
}

/// @dev What a span index of one shard is committed to by.
/// @param tokens its tokens, and so its suffixes
/// @param positions its tokens and ends of rows
struct SpanCommitment {
    uint64 tokens;
    uint64 positions;
    uint32 rows;
    bytes32 textRoot;
    bytes32 suffixRoot;
    bytes32 rowRoot;
}

/// @dev Proof that exactly the ranks from `low` to before `high` start with an n-gram.
/// @param before the suffix at `low - 1`; empty if `low` is 0
/// @param ends the suffixes at `low` and `high - 1`; empty if there are none
/// @param afterwards the suffix at `high`; empty if that is the number of tokens
struct CountProof {
    uint64 low;
    uint64 high;
    SuffixOpening[] before;
    SuffixOpening[] ends;
    SuffixOpening[] afterwards;
}

/// @dev Proof of the longest prefix of a text that occurs.
/// @param tokens of the prefix
/// @param found how often it occurs
/// @param longer that one token more occurs nowhere; empty if it is the whole text
struct LongestProof {
    uint64 tokens;
    CountProof found;
    CountProof[] longer;
}

/// @dev Proof that the suffixes at `rank` and `rank + 1` are not in order.
/// @param second the suffix at `rank + 1`; empty if there is none, or if the first is no suffix of a token
struct OrderProof {
    uint64 rank;
    SuffixOpening first;
    SuffixOpening[] second;
}

/// @dev Proof that an array in order lacks the suffix at a position.
/// @param text leaves from the position on
/// @param rank suffixes before it
/// @param before the suffix at `rank - 1`; empty if `rank` is 0
/// @param afterwards the suffix at `rank`; empty if that is the number of tokens
struct MissingProof {
    uint64 position;
    LeafOpening[] text;
    uint64 rank;
    SuffixOpening[] before;
    SuffixOpening[] afterwards;
}

/// @dev The row that a position is in.
/// @param next the row after it; empty if it is the last
struct RowOpening {
    uint32 row;
    LeafOpening entry;
    LeafOpening[] next;
}

/// @dev A row of a Datanet version that the index holds.
/// @param start its first token's position
/// @param datanet place of the Datanet version in the model's `datanetsOf`
/// @param rowIndex position in the version
/// @param rowHash keccak256 of the row's text
/// @param earner index of its contributor
/// @param cluster number of the canonical row of its duplicate cluster, in the index
struct SpanRow {
    uint64 start;
    uint8 datanet;
    uint64 rowIndex;
    bytes32 rowHash;
    uint32 earner;
    uint32 cluster;
}

/// @title SpanProofs
/// @notice What can be shown of a span index to somebody who knows its commitment only.
/// @dev The index is a text and a suffix array over it. The text is the rows' tokens, each as token id plus 1, with 0
/// after every row that has any. The array holds the positions of all tokens in the order of what follows them up to
/// and with the end of the row, and then of position. `ranks` are places in it, from 0.
///
/// Three trees: of the text, in leaves of 64 symbols of 4 bytes; of the array, in leaves of 32 positions of 8 bytes; of
/// the rows, in leaves of `start u64 | datanet u8 | row index u64 | row hash | earner u32 | cluster u32`. Numbers are
/// big-endian, what is left of a last leaf is zeros. A leaf's hash is keccak256(keccak256(bytes)), an inner node's
/// keccak256(left || right), a last node without a sibling is its own parent: so a leaf's number decides its path.
///
/// Where the array is in order, the suffixes that start with an n-gram have neighbouring ranks, and their number is
/// shown by the suffixes at both ends and those just outside. Where it is not, two neighbours are not, and if one is
/// missing two neighbours enclose it. Whoever shows either has proven the commitment wrong.
library SpanProofs {
    /// @notice The rule that a proof breaks. Rust names them in the same order.
    enum Rule {
        /// Ranks must ascend up to the number of tokens.
        Ranks,
        /// Suffixes at and beside the ends must be opened.
        Beside,
        /// Exactly the suffixes within the ranks must start with the n-gram.
        Within,
        /// A match must not be longer than the text.
        Length,
        /// A match must occur.
        Occurs,
        /// A longer match must not occur.
        Longer,
        /// The next longer match must be shown, if there is one.
        NextLonger,
        /// The suffix is that of a token.
        IsToken,
        /// The suffixes are in order.
        InOrder,
        /// Suffixes beside the place must be opened.
        BesidePlace,
        /// The missing suffix must be that of a token.
        NoToken,
        /// The suffix is not between the two.
        NotBetween,
        /// An opened leaf must be the committed one.
        Committed,
        /// Every symbol that a claim reads must be opened.
        Opened,
        /// The next row must be opened, if there is one.
        NextRow,
        /// A position must be in its row.
        InRow
    }

    /// @dev A text from a position on, whose leaves are the committed ones.
    struct Text {
        uint256 position;
        uint256 positions;
        LeafOpening[] leaves;
    }

    /// @dev Thrown when a proof does not show what it claims.
    error InvalidSpanProof(Rule rule);

    uint256 internal constant LEAF_BYTES = 256;
    uint256 internal constant LEAF_SYMBOLS = 64;
    uint256 internal constant LEAF_POSITIONS = 32;
    uint256 internal constant ROW_BYTES = 57;

    /// @dev A symbol that no honest text has.
    uint256 private constant ABSENT = type(uint32).max;

    /// @notice What stands for a commitment: keccak256 of its ABI encoding.
    function hashOf(SpanCommitment memory index) internal pure returns (bytes32) {
        return keccak256(abi.encode(index));
    }

    /// @notice How often an n-gram occurs, if the array is in order.
    function count(SpanCommitment memory index, uint32[] memory ngram, CountProof memory proof)
        internal
        pure
        returns (uint256)
    {
        (uint256 low, uint256 high) = (proof.low, proof.high);
        _check(low <= high && high <= index.tokens, Rule.Ranks);
        _check(_isOne(proof.before, low > 0) && _isOne(proof.afterwards, high < index.tokens), Rule.Beside);
        _check(proof.ends.length == (low < high ? 2 : 0), Rule.Beside);

        if (low > 0) _check(_compare(_suffix(index, low - 1, proof.before[0]), ngram) < 0, Rule.Within);
        if (low < high) {
            _check(_compare(_suffix(index, low, proof.ends[0]), ngram) == 0, Rule.Within);
            _check(_compare(_suffix(index, high - 1, proof.ends[1]), ngram) == 0, Rule.Within);
        }
        if (high < index.tokens) _check(_compare(_suffix(index, high, proof.afterwards[0]), ngram) > 0, Rule.Within);
        return high - low;
    }

    /// @notice Tokens of the longest prefix of `text` that occurs and how often it does, if the array is in order.
    function longest(SpanCommitment memory index, uint32[] memory text, LongestProof memory proof)
        internal
        pure
        returns (uint256 tokens, uint256 occurrences)
    {
        tokens = proof.tokens;
        _check(tokens <= text.length, Rule.Length);
        occurrences = count(index, _prefix(text, tokens), proof.found);
        _check(occurrences > 0 || tokens == 0, Rule.Occurs);
        _check(proof.longer.length == (tokens < text.length ? 1 : 0), Rule.NextLonger);
        if (tokens < text.length) {
            _check(count(index, _prefix(text, tokens + 1), proof.longer[0]) == 0, Rule.Longer);
        }
    }

    /// @notice Reverts unless the array is shown to be wrong: a position of no token, or two neighbours that do not
    /// strictly ascend.
    function checkDisorder(SpanCommitment memory index, OrderProof memory proof) internal pure {
        Text memory first = _suffix(index, proof.rank, proof.first);
        if (first.position >= index.positions || _symbol(first, 0) == 0) return;

        _check(proof.second.length == 1, Rule.IsToken);
        _check(!_ascends(first, _suffix(index, uint256(proof.rank) + 1, proof.second[0])), Rule.InOrder);
    }

    /// @notice Reverts unless the array is shown to lack the suffix of a token, if it is in order.
    function checkMissing(SpanCommitment memory index, MissingProof memory proof) internal pure {
        uint256 rank = proof.rank;
        bool isBeside =
            rank <= index.tokens && _isOne(proof.before, rank > 0) && _isOne(proof.afterwards, rank < index.tokens);
        _check(isBeside, Rule.BesidePlace);
        Text memory missing = _textAt(index, proof.position, proof.text);
        _check(proof.position < index.positions && _symbol(missing, 0) != 0, Rule.NoToken);

        bool isBetween = true;
        if (rank > 0) isBetween = _ascends(_suffix(index, rank - 1, proof.before[0]), missing);
        if (rank < index.tokens) {
            bool isBefore = _ascends(missing, _suffix(index, rank, proof.afterwards[0]));
            isBetween = isBetween && isBefore;
        }
        _check(isBetween, Rule.NotBetween);
    }

    /// @notice The position of the suffix at a rank.
    function positionAt(SpanCommitment memory index, uint256 rank, SuffixOpening memory opening)
        internal
        pure
        returns (uint256)
    {
        return _suffix(index, rank, opening).position;
    }

    /// @notice Whether the suffixes at two ranks begin with the same `tokens` tokens.
    function agree(
        SpanCommitment memory index,
        uint256 tokens,
        uint256 rank,
        SuffixOpening memory opening,
        uint256 otherRank,
        SuffixOpening memory other
    ) internal pure returns (bool) {
        Text memory a = _suffix(index, rank, opening);
        Text memory b = _suffix(index, otherRank, other);
        for (uint256 at; at < tokens; ++at) {
            uint256 symbol = _symbol(a, at);
            if (symbol != _symbol(b, at) || symbol == 0) return false;
        }
        return true;
    }

    /// @notice Reverts unless an opening is that of leaf `number` of `leaves` under a root, of `size` bytes each.
    function checkLeaf(LeafOpening memory opening, uint256 size, bytes32 root, uint256 number, uint256 leaves)
        internal
        pure
    {
        _check(_opens(opening, size, root, number, leaves), Rule.Committed);
    }

    /// @notice A row of the index.
    function rowOf(SpanCommitment memory index, uint256 row, LeafOpening memory opening)
        internal
        pure
        returns (SpanRow memory r)
    {
        _check(_opens(opening, ROW_BYTES, index.rowRoot, row, index.rows), Rule.Committed);
        bytes memory leaf = opening.leaf;
        (uint256 head, uint256 tail) = (_word(leaf, 0), _word(leaf, 25));

        r.start = uint64(head >> 192);
        r.datanet = uint8(head >> 184);
        r.rowIndex = uint64(head >> 120);
        r.rowHash = bytes32(_word(leaf, 17));
        r.earner = uint32(tail >> 32);
        r.cluster = uint32(tail);
    }

    /// @notice The row that a position is in.
    function rowAt(SpanCommitment memory index, uint256 position, RowOpening memory opening)
        internal
        pure
        returns (SpanRow memory r)
    {
        uint256 row = opening.row;
        r = rowOf(index, row, opening.entry);
        bool isLast = row + 1 == index.rows;
        _check(opening.next.length == (isLast ? 0 : 1), Rule.NextRow);

        uint256 end = isLast ? index.positions : rowOf(index, row + 1, opening.next[0]).start;
        _check(r.start <= position && position < end, Rule.InRow);
    }

    function _check(bool holds, Rule rule) private pure {
        require(holds, InvalidSpanProof(rule));
    }

    function _isOne(SuffixOpening[] memory openings, bool isThere) private pure returns (bool) {
        return openings.length == (isThere ? 1 : 0);
    }

    function _prefix(uint32[] memory text, uint256 tokens) private pure returns (uint32[] memory prefix) {
        if (tokens == text.length) return text;

        prefix = new uint32[](tokens);
        for (uint256 at; at < tokens; ++at) {
            prefix[at] = text[at];
        }
    }

    /// @dev The suffix at a rank, once its leaves are found to be the committed ones.
    function _suffix(SpanCommitment memory index, uint256 rank, SuffixOpening memory opening)
        private
        pure
        returns (Text memory)
    {
        uint256 leaves = _ceil(index.tokens, LEAF_POSITIONS);
        bool isCommitted =
            rank < index.tokens && _opens(opening.pointer, LEAF_BYTES, index.suffixRoot, rank / LEAF_POSITIONS, leaves);
        _check(isCommitted, Rule.Committed);

        return _textAt(index, _word(opening.pointer.leaf, 8 * (rank % LEAF_POSITIONS)) >> 192, opening.text);
    }

    function _textAt(SpanCommitment memory index, uint256 position, LeafOpening[] memory opened)
        private
        pure
        returns (Text memory)
    {
        uint256 leaves = _ceil(index.positions, LEAF_SYMBOLS);
        for (uint256 i; i < opened.length; ++i) {
            bool isCommitted = _opens(opened[i], LEAF_BYTES, index.textRoot, position / LEAF_SYMBOLS + i, leaves);
            _check(isCommitted, Rule.Committed);
        }
        return Text(position, index.positions, opened);
    }

    /// @dev The symbol `at` symbols after the text's first; 0 beyond the end.
    function _symbol(Text memory text, uint256 at) private pure returns (uint256) {
        uint256 position = text.position + at;
        if (position >= text.positions) return 0;
        uint256 leaf = position / LEAF_SYMBOLS - text.position / LEAF_SYMBOLS;
        _check(leaf < text.leaves.length, Rule.Opened);

        return _word(text.leaves[leaf].leaf, 4 * (position % LEAF_SYMBOLS)) >> 224;
    }

    /// @dev Compares the text, cut to the n-gram's length, with the n-gram: -1, 0 or 1.
    function _compare(Text memory text, uint32[] memory ngram) private pure returns (int256) {
        for (uint256 at; at < ngram.length; ++at) {
            uint256 expected = ngram[at] == ABSENT ? ABSENT : uint256(ngram[at]) + 1;
            uint256 symbol = _symbol(text, at);
            if (symbol != expected) return symbol < expected ? -1 : int256(1);
        }
        return 0;
    }

    /// @dev Whether text `a` comes before text `b`.
    function _ascends(Text memory a, Text memory b) private pure returns (bool) {
        (uint256 x, uint256 y) = (_symbol(a, 0), _symbol(b, 0));
        // Ends when a row does, or at a leaf that was not opened.
        for (uint256 at = 1; x == y && x != 0; ++at) {
            (x, y) = (_symbol(a, at), _symbol(b, at));
        }
        return x != y ? x < y : a.position < b.position;
    }

    function _opens(LeafOpening memory opening, uint256 size, bytes32 root, uint256 number, uint256 leaves)
        private
        pure
        returns (bool)
    {
        if (opening.leaf.length != size || number >= leaves) return false;

        bytes32 node = keccak256(bytes.concat(keccak256(opening.leaf)));
        uint256 used;
        for (uint256 width = leaves; width > 1; width = _ceil(width, 2)) {
            if (number ^ 1 < width) {
                if (used == opening.siblings.length) return false;
                bytes32 sibling = opening.siblings[used++];
                node = number % 2 == 0 ? _pair(node, sibling) : _pair(sibling, node);
            }
            number /= 2;
        }
        return used == opening.siblings.length && node == root;
    }

    function _pair(bytes32 left, bytes32 right) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
            hash := keccak256(0, 64)
        }
    }

    /// @dev 32 bytes from `at` on. What is beyond the end of the bytes is not meant to be used.
    function _word(bytes memory data, uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), at))
        }
    }

    function _ceil(uint256 x, uint256 y) private pure returns (uint256) {
        return (x + y - 1) / y;
    }
}

use super::{
    ArrayFault, CountProof, LEAF_BYTES, LEAF_POSITIONS, LEAF_SYMBOLS, LeafOpening, LongestProof,
    MissingProof, OrderProof, RowOpening, ShardCommitment, SuffixOpening, tree::Tree,
};
use crate::spans::{SpanIndex, shard::Shard};

/// A shard with its trees, which take about 3 bytes of memory a token and 64 a row.
#[derive(Debug)]
pub struct CommittedShard<'a> {
    index: &'a SpanIndex,
    shard: &'a Shard,
    text: Tree,
    suffixes: Tree,
    rows: Tree,
}

impl SpanIndex {
    /// Reads a whole shard to commit to it; nothing if there is none of this number.
    #[must_use]
    pub fn commit(&self, shard: usize) -> Option<CommittedShard<'_>> {
        let shard = self.shards().get(shard)?;
        let leaves = |count: u64, each: u64| 0..count.div_ceil(each);
        let text = leaves(shard.header().positions, LEAF_SYMBOLS);
        let suffixes = leaves(shard.header().tokens, LEAF_POSITIONS);
        let text = Tree::new(text.map(|number| text_leaf(shard, number)));
        let suffixes = Tree::new(suffixes.map(|number| suffix_leaf(shard, number)));
        let rows = Tree::new((0..shard.header().rows).map(|row| shard.row_bytes(row)));
        Some(CommittedShard { index: self, shard, text, suffixes, rows })
    }
}

impl CommittedShard<'_> {
    /// What proofs are checked against.
    #[must_use]
    pub fn commitment(&self) -> ShardCommitment {
        ShardCommitment {
            tokens: self.shard.header().tokens,
            positions: self.shard.header().positions,
            text_root: self.text.root(),
            rows: self.shard.header().rows,
            suffix_root: self.suffixes.root(),
            row_root: self.rows.root(),
        }
    }

    /// Proves how often an n-gram occurs in the shard.
    #[must_use]
    pub fn prove_count(&self, ngram: &[u32]) -> CountProof {
        let found = self.shard.find(&self.index.symbols(ngram));
        let (low, high) = (found.start, found.end);
        let open = |rank| self.open(rank, ngram.len() as u64);
        CountProof {
            low,
            high,
            before: low.checked_sub(1).map(open),
            ends: (low < high).then(|| [open(low), open(high - 1)]),
            after: (high < self.shard.header().tokens).then(|| open(high)),
        }
    }

    /// Proves the longest prefix of a text that occurs in the shard.
    #[must_use]
    pub fn prove_longest(&self, text: &[u32]) -> LongestProof {
        let tokens = self.shard.longest(&self.index.symbols(text));
        let longer = (tokens < text.len()).then(|| self.prove_count(&text[..=tokens]));
        LongestProof { tokens, found: self.prove_count(&text[..tokens]), longer }
    }

    /// Opens what shows that the suffixes at a rank and the next are, or are not, in order. The rank
    /// is below the number of tokens.
    #[must_use]
    pub fn prove_order(&self, rank: u64) -> OrderProof {
        let next = (rank + 1 < self.shard.header().tokens).then_some(rank + 1);
        let at = self.shard.suffix(rank);
        let shared = next.map_or(0, |next| self.shared(at, self.shard.suffix(next)));
        let open = |rank| self.open(rank, shared + 1);
        OrderProof { rank, first: open(rank), second: next.map(open) }
    }

    /// Opens what shows that the suffix at a position is, or is not, where the order has it. The
    /// position is that of a token.
    #[must_use]
    pub fn prove_missing(&self, position: u64) -> MissingProof {
        let rank = self.rank_of(position);
        let beside = |rank: u64| {
            let shared = self.shared(position, self.shard.suffix(rank));
            (shared + 1, self.open(rank, shared + 1))
        };
        let before = rank.checked_sub(1).map(beside);
        let after = (rank < self.shard.header().tokens).then(|| beside(rank));
        let read = [&before, &after].into_iter().flatten().map(|(symbols, _)| *symbols).max();
        let text = self.open_text(position, read.unwrap_or(1));
        let opening = |beside: Option<(u64, SuffixOpening)>| beside.map(|(_, opening)| opening);
        MissingProof { position, text, rank, before: opening(before), after: opening(after) }
    }

    /// Suffixes before the one at a position, if the array is in order.
    fn rank_of(&self, position: u64) -> u64 {
        let (mut low, mut high) = (0, self.shard.header().tokens);
        while low < high {
            let middle = low + (high - low) / 2;
            let other = self.shard.suffix(middle);
            let shared = self.shared(other, position);
            let next = |from: u64| self.shard.symbol(from + shared);
            if (next(other), other) < (next(position), position) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Opens the position of the suffix at a rank, below the number of tokens, and its first
    /// `tokens` tokens.
    #[must_use]
    pub fn open_suffix(&self, rank: u64, tokens: u64) -> SuffixOpening {
        self.open(rank, tokens)
    }

    /// Opens a leaf of the text's tree, by a number below `positions / 64`, rounded up.
    #[must_use]
    pub fn open_text_leaf(&self, number: u64) -> LeafOpening {
        opened(&self.text, text_leaf(self.shard, number), number)
    }

    /// Opens a leaf of the suffixes' tree, by a number below `tokens / 32`, rounded up.
    #[must_use]
    pub fn open_suffix_leaf(&self, number: u64) -> LeafOpening {
        opened(&self.suffixes, suffix_leaf(self.shard, number), number)
    }

    /// What is wrong with the array by itself, whatever the text should be: the first rank that is
    /// not followed by a greater suffix, or else a token whose suffix is nowhere. Takes one bit of
    /// memory a position.
    #[must_use]
    pub fn array_fault(&self) -> Option<ArrayFault> {
        let (tokens, positions) = (self.shard.header().tokens, self.shard.header().positions);
        let mut seen = vec![0_u64; usize::try_from(positions.div_ceil(64)).ok()?];
        let place = |at: u64| (usize::try_from(at / 64).expect("a mapped file"), 1 << (at % 64));
        for rank in 0..tokens {
            let at = self.shard.suffix(rank);
            let next = (rank + 1 < tokens).then(|| self.shard.suffix(rank + 1));
            if self.shard.symbol(at) == 0 || next.is_some_and(|next| !self.ascends(at, next)) {
                return Some(ArrayFault::Disorder { rank });
            }
            let (word, bit) = place(at);
            seen[word] |= bit;
        }
        let is_missing = |&at: &u64| {
            let (word, bit) = place(at);
            self.shard.symbol(at) != 0 && seen[word] & bit == 0
        };
        (0..positions).find(is_missing).map(|position| ArrayFault::Missing { position })
    }

    /// Whether the suffix at one position comes before that at another.
    fn ascends(&self, a: u64, b: u64) -> bool {
        let shared = self.shared(a, b);
        let next = |from: u64| self.symbol(from, shared);
        (next(a), a) < (next(b), b)
    }

    /// Opens a row of the shard, below the number of rows.
    #[must_use]
    pub fn open_row(&self, row: u32) -> LeafOpening {
        self.rows.open(&self.shard.row_bytes(row), row as usize)
    }

    /// Opens the row that a position is in.
    #[must_use]
    pub fn open_row_at(&self, position: u64) -> RowOpening {
        let row = self.shard.row_at(position);
        let next = (row + 1 < self.shard.header().rows).then(|| self.open_row(row + 1));
        RowOpening { row, entry: self.open_row(row), next }
    }

    /// Symbols that the texts at two positions share, to the end of the row at most.
    fn shared(&self, a: u64, b: u64) -> u64 {
        let differ = |&at: &u64| {
            let (a, b) = (self.symbol(a, at), self.symbol(b, at));
            a != b || a == 0
        };
        (0..).find(differ).expect("text ends with zeros")
    }

    fn symbol(&self, from: u64, at: u64) -> u32 {
        self.shard.symbol(from.saturating_add(at))
    }

    /// The suffix at a rank with the leaves of its first `symbols` symbols.
    fn open(&self, rank: u64, symbols: u64) -> SuffixOpening {
        let number = rank / LEAF_POSITIONS;
        let pointer = opened(&self.suffixes, suffix_leaf(self.shard, number), number);
        SuffixOpening { pointer, text: self.open_text(self.shard.suffix(rank), symbols) }
    }

    /// The leaves of so many symbols from a position on.
    fn open_text(&self, start: u64, symbols: u64) -> Vec<LeafOpening> {
        let end = start.saturating_add(symbols).min(self.shard.header().positions);
        let leaves = start / LEAF_SYMBOLS..end.div_ceil(LEAF_SYMBOLS);
        leaves.map(|number| opened(&self.text, text_leaf(self.shard, number), number)).collect()
    }
}

fn opened(tree: &Tree, leaf: [u8; LEAF_BYTES], number: u64) -> LeafOpening {
    tree.open(&leaf, usize::try_from(number).expect("a leaf of a file that is mapped"))
}

fn text_leaf(shard: &Shard, number: u64) -> [u8; LEAF_BYTES] {
    let mut leaf = [0; LEAF_BYTES];
    for (position, bytes) in (number * LEAF_SYMBOLS..).zip(leaf.as_chunks_mut().0) {
        *bytes = shard.symbol(position).to_be_bytes();
    }
    leaf
}

fn suffix_leaf(shard: &Shard, number: u64) -> [u8; LEAF_BYTES] {
    let mut leaf = [0; LEAF_BYTES];
    for (rank, bytes) in (number * LEAF_POSITIONS..).zip(leaf.as_chunks_mut().0) {
        *bytes = shard.suffix(rank).to_be_bytes();
    }
    leaf
}

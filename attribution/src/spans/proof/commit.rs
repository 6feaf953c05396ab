use super::{
    CountProof, LEAF_BYTES, LEAF_POSITIONS, LEAF_SYMBOLS, LeafOpening, LongestProof, OrderProof,
    ShardCommitment, SuffixOpening, tree::Tree,
};
use crate::spans::{SpanIndex, shard::Shard};

/// A shard with its trees, which take about 3 bytes of memory a token.
#[derive(Debug)]
pub struct CommittedShard<'a> {
    index: &'a SpanIndex,
    shard: &'a Shard,
    text: Tree,
    suffixes: Tree,
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
        Some(CommittedShard { index: self, shard, text, suffixes })
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
            suffix_root: self.suffixes.root(),
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

    /// Symbols that the texts at two positions share, to the end of the row at most.
    fn shared(&self, a: u64, b: u64) -> u64 {
        let differ = |&at: &u64| {
            let (a, b) = (self.shard.symbol(a + at), self.shard.symbol(b + at));
            a != b || a == 0
        };
        (0..).find(differ).expect("text ends with zeros")
    }

    /// The suffix at a rank with the leaves of its first `symbols` symbols.
    fn open(&self, rank: u64, symbols: u64) -> SuffixOpening {
        let number = rank / LEAF_POSITIONS;
        let pointer = opened(&self.suffixes, suffix_leaf(self.shard, number), number);
        let start = self.shard.suffix(rank);
        let end = start.saturating_add(symbols).min(self.shard.header().positions);
        let leaves = start / LEAF_SYMBOLS..end.div_ceil(LEAF_SYMBOLS);
        let text = leaves.map(|number| opened(&self.text, text_leaf(self.shard, number), number));
        SuffixOpening { pointer, text: text.collect() }
    }
}

fn opened(tree: &Tree, leaf: [u8; LEAF_BYTES], number: u64) -> LeafOpening {
    tree.open(leaf, usize::try_from(number).expect("a leaf of a file that is mapped"))
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

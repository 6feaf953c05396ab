//! Proofs about a shard that a contract can check: how often an n-gram occurs, the longest match of
//! a text, and that a committed suffix array is out of order.
//!
//! A shard is committed to as [`ShardCommitment`]: its counts and the roots of three trees. Leaves
//! of the first two are of 256 bytes, 64 symbols (u32) of the text and 32 positions (u64) of the
//! suffix array, both big-endian and filled up with zeros; a leaf of the third is a row as the file
//! of rows has it, 57 bytes. A symbol is a token id plus 1, or 0 at the end of a row. A leaf's hash is `keccak256(keccak256(bytes))`, an inner node `keccak256(left || right)`, a last node
//! without a sibling is its own parent; so a leaf's number decides its path.
//!
//! If the array is in order, the ranks of the suffixes that start with an n-gram are an interval,
//! and it is proved by the suffixes at its two ends and the two just outside. If it is not in order,
//! two neighbours are ([`OrderProof`]); if it is and lacks a suffix, two neighbours enclose it
//! ([`MissingProof`]). Either strikes the commitment out. An array without a fault of these kinds has
//! every token's suffix once. Order: by the symbols up to and with the end of the row, then by
//! position. What no proof here shows is that the text is what a tokenizer makes of the rows: whoever
//! has the rows recomputes that.

mod commit;
mod tree;
mod verify;

pub use self::commit::CommittedShard;
use crate::settle::{Hash, keccak};

/// Bytes of a leaf.
pub const LEAF_BYTES: usize = 256;
/// Symbols of a leaf of the text's tree.
pub const LEAF_SYMBOLS: u64 = 64;
/// Positions of a leaf of the suffixes' tree.
pub const LEAF_POSITIONS: u64 = 32;

/// What is known of a shard without its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCommitment {
    /// Its tokens, and so its suffixes.
    pub tokens: u64,
    /// Its tokens and ends of rows.
    pub positions: u64,
    /// Its rows.
    pub rows: u32,
    /// Root of the text's tree; zeros without a position.
    pub text_root: Hash,
    /// Root of the suffixes' tree; zeros without a token.
    pub suffix_root: Hash,
    /// Root of the rows' tree; zeros without a row.
    pub row_root: Hash,
}

impl ShardCommitment {
    /// `keccak256(abi.encode(uint64 tokens, uint64 positions, uint32 rows, bytes32 text_root, bytes32
    /// suffix_root, bytes32 row_root))`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let word = |number: u64| {
            let mut word = [0; 32];
            word[24..].copy_from_slice(&number.to_be_bytes());
            word
        };
        let counts = [self.tokens, self.positions, self.rows.into()].map(word);
        let [tokens, positions, rows] = &counts;
        keccak(&[tokens, positions, rows, &self.text_root, &self.suffix_root, &self.row_root])
    }
}

/// A leaf's bytes with the siblings on its way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafOpening {
    /// The leaf: [`LEAF_BYTES`] of text or suffixes, or a row.
    pub leaf: Vec<u8>,
    /// Siblings from the leaf up, none where a node has none.
    pub siblings: Vec<Hash>,
}

/// The suffix at a rank and the text that it starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuffixOpening {
    /// The leaf of the array that holds the rank.
    pub pointer: LeafOpening,
    /// Leaves of the text from the suffix's position on, as many as the claim reads.
    pub text: Vec<LeafOpening>,
}

/// Proof that exactly the ranks from `low` to before `high` start with an n-gram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountProof {
    /// The first rank.
    pub low: u64,
    /// The rank after the last.
    pub high: u64,
    /// The suffix at `low - 1`, unless `low` is 0.
    pub before: Option<SuffixOpening>,
    /// The suffixes at `low` and `high - 1`, if there are any.
    pub ends: Option<[SuffixOpening; 2]>,
    /// The suffix at `high`, unless that is the number of tokens.
    pub after: Option<SuffixOpening>,
}

/// Proof of the longest prefix of a text that occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongestProof {
    /// Tokens of the prefix.
    pub tokens: usize,
    /// How often it occurs.
    pub found: CountProof,
    /// That one token more occurs nowhere, unless it is the whole text.
    pub longer: Option<CountProof>,
}

/// Proof that the suffixes at `rank` and `rank + 1` are in the wrong order, or the same, or that the
/// first is no suffix of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderProof {
    /// The first rank.
    pub rank: u64,
    /// The suffix there.
    pub first: SuffixOpening,
    /// The suffix after it, unless it is the last.
    pub second: Option<SuffixOpening>,
}

/// Proof that an array in order lacks the suffix at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingProof {
    /// Where the suffix begins.
    pub position: u64,
    /// Leaves of the text from there on, as many as the comparisons read.
    pub text: Vec<LeafOpening>,
    /// Suffixes before it.
    pub rank: u64,
    /// The suffix at `rank - 1`, unless `rank` is 0.
    pub before: Option<SuffixOpening>,
    /// The suffix at `rank`, unless that is the number of tokens.
    pub after: Option<SuffixOpening>,
}

/// What [`OrderProof`] or [`MissingProof`] shows of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayFault {
    /// The suffixes at a rank and the next are not in order, or the first is that of no token.
    Disorder {
        /// The rank.
        rank: u64,
    },
    /// The array is in order and lacks a token's suffix.
    Missing {
        /// The token's position.
        position: u64,
    },
}

/// The row that a position is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOpening {
    /// Its number in the shard.
    pub row: u32,
    /// The row.
    pub entry: LeafOpening,
    /// The row after it, unless it is the last.
    pub next: Option<LeafOpening>,
}

//! Who wrote, word for word, what an answer says: a suffix array over the tokens of Datanets.
//!
//! [`SpanBuilder`] takes rows of token ids and makes a folder of files; [`SpanIndex`] maps it and
//! answers exactly, however many shards there are: how often an n-gram occurs, where, how much of a
//! text is found word for word, and which spans of an answer are (Liu et al. 2024, infini-gram; Liu
//! et al. 2025, OLMoTrace, with a canonical choice of documents instead of a random one). No match
//! crosses the end of a row.
//!
//! Money depends on it, so everything is an integer and the same on every machine:
//!
//! - the order of the suffixes of a shard is that of their tokens up to the end of their row, the
//!   shorter first and equal ones by position;
//! - which spans are kept is decided by their rarity, the sum over their tokens of
//!   `log2(N) - log2(count)` in units of 2^-16 bits (see [`log2`]);
//! - what a span is worth is decided by how often it occurs itself, which one proof shows, and is
//!   shared equally among the duplicate clusters that contain it, each going to the contributor of
//!   its canonical row (see [`SpanIndex::uses`] and [`crate::settle::SpanUse`]).
//!
//! # Files
//!
//! Big-endian, no padding. Shard `k` has three parts:
//!
//! | part | content | bytes |
//! |---|---|---|
//! | `k.tokens` | token ids plus 1 and then 0 for every row with tokens | 2 each for vocabularies to 65,535, else 4 |
//! | `k.suffixes` | positions in `k.tokens` of all tokens, in the order above | the fewest for the shard: 4 for 2^24 to 2^32 positions, at most 5 |
//! | `k.rows` | start u64, Datanet u8, row index u64, row hash, earner u32, cluster u32 | 57 a row |
//!
//! So a token takes at most 7 bytes (2 + 5) with a small vocabulary; shards are at most 2^30
//! positions long, where it takes 6, and a shard below 2^24 positions takes 5. `header` holds what
//! [`Header`] does, with the keccak256 of every part, and its own.

#![deny(clippy::float_arithmetic)]

mod builder;
mod credits;
mod file;
mod header;
mod index;
pub mod proof;
mod shard;
mod suffixes;
mod trace;

pub use crate::settle::{LOG2_ONE, log2};

pub use self::{
    builder::{BuildProgress, BuildStage, MAX_SHARD_POSITIONS, SpanBuilder, SpanConfig},
    header::{Header, Part, ShardHeader},
    index::{Check, Longest, Place, SpanIndex},
    trace::{Cuts, MAX_ANSWER_TOKENS, MAX_FREQUENCY, Span, SpanRules},
};

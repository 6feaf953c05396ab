use std::{cmp::Ordering, ops::Range, path::Path};

use super::{
    file::Mapped,
    header::{Header, PARTS, ROW_BYTES, ShardHeader, part_name},
};
use crate::{
    Error, Result,
    estimate::RowSource,
    settle::{EarnerIndex, keccak},
};

/// A symbol that no text has.
pub(super) const ABSENT: u32 = u32::MAX;

/// A mapped shard. Every read is bounded, so that files which were not checked give wrong answers at
/// worst.
#[derive(Debug)]
pub(super) struct Shard {
    header: ShardHeader,
    token_bytes: usize,
    parts: [Mapped; 3],
}

/// Where a pattern would stand among a shard's suffixes.
#[derive(Debug, Clone, Copy)]
struct Rank {
    rank: u64,
    /// Symbols that the pattern shares with the suffix before.
    before: usize,
    /// Symbols that it shares with the suffix at `rank`.
    at: usize,
}

impl Shard {
    /// Maps a shard's files, whose lengths must be the header's.
    pub(super) fn open(folder: &Path, header: &Header, number: usize) -> Result<Self> {
        let shard = header.shards[number];
        let map = |part: usize| {
            let mapped = Mapped::open(&folder.join(part_name(number, part)))?;
            let expected = shard.parts[part];
            if mapped.len() as u64 == expected.bytes {
                return Ok(mapped);
            }
            Err(altered(number, part, expected.hash, &mapped))
        };
        let parts = [map(0)?, map(1)?, map(2)?];
        Ok(Self { header: shard, token_bytes: usize::from(header.token_bytes()), parts })
    }

    /// Hashes every file.
    pub(super) fn verify(&self, number: usize) -> Result<()> {
        for (part, mapped) in self.parts.iter().enumerate() {
            let expected = self.header.parts[part].hash;
            if keccak(&[mapped]) != expected {
                return Err(altered(number, part, expected, mapped));
            }
        }
        Ok(())
    }

    pub(super) const fn header(&self) -> &ShardHeader {
        &self.header
    }

    /// The token id plus 1 at a position, 0 at ends of rows and outside.
    pub(super) fn symbol(&self, position: u64) -> u32 {
        let bytes = entry(&self.parts[0], position, self.token_bytes);
        bytes.iter().fold(0, |symbol, &byte| symbol << 8 | u32::from(byte))
    }

    /// Position of the suffix at a rank.
    pub(super) fn suffix(&self, rank: u64) -> u64 {
        let bytes = entry(&self.parts[1], rank, usize::from(self.header.pointer_bytes));
        bytes.iter().fold(0, |position, &byte| position << 8 | u64::from(byte))
    }

    /// The ranks of the suffixes that start with the pattern, a slice of symbols.
    pub(super) fn find(&self, pattern: &[u32]) -> Range<u64> {
        let first = self.rank(pattern, false);
        if first.at < pattern.len() {
            return first.rank..first.rank;
        }
        first.rank..self.rank(pattern, true).rank
    }

    /// Symbols of the longest prefix of the pattern that occurs: that of a neighbour of the place
    /// where the pattern would stand.
    pub(super) fn longest(&self, pattern: &[u32]) -> usize {
        let Rank { before, at, .. } = self.rank(pattern, false);
        before.max(at)
    }

    /// Number of suffixes below the pattern, or, with `after`, not above it when cut to its length.
    ///
    /// Suffixes between two that share `l` and `h` symbols with the pattern share at least
    /// `min(l, h)`, so these are not compared again (Manber and Myers 1993).
    fn rank(&self, pattern: &[u32], after: bool) -> Rank {
        let (mut low, mut high) = (0, self.header.tokens);
        let (mut before, mut at) = (0, 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let (ordering, shared) = self.compare(self.suffix(middle), pattern, before.min(at));
            if ordering == Ordering::Less || after && ordering == Ordering::Equal {
                (low, before) = (middle + 1, shared);
            } else {
                (high, at) = (middle, shared);
            }
        }
        Rank { rank: low, before, at }
    }

    /// Compares the text at a position, cut to the pattern's length, with the pattern, both known to
    /// share `shared` symbols; and how many they share.
    fn compare(&self, position: u64, pattern: &[u32], shared: usize) -> (Ordering, usize) {
        for (at, &symbol) in pattern.iter().enumerate().skip(shared) {
            // An end of row is 0, below every symbol of a pattern, so no match goes beyond it.
            match self.symbol(position.saturating_add(at as u64)).cmp(&symbol) {
                Ordering::Equal => {}
                unequal => return (unequal, at),
            }
        }
        (Ordering::Equal, pattern.len())
    }

    fn row_start(&self, row: u32) -> u64 {
        start_of(entry(&self.parts[2], u64::from(row), ROW_BYTES as usize))
    }

    /// The row, of this shard, that a position is in.
    pub(super) fn row_at(&self, position: u64) -> u32 {
        let (mut low, mut high) = (0, self.header.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.row_start(middle) <= position { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    /// Position of a row's first token and of its end.
    pub(super) fn row_range(&self, row: u32) -> Range<u64> {
        let last = row.saturating_add(1) >= self.header.rows;
        let next = if last { self.header.positions } else { self.row_start(row + 1) };
        self.row_start(row)..next.min(self.header.positions).saturating_sub(1)
    }

    /// A row's token ids.
    pub(super) fn row_tokens(&self, row: u32) -> Vec<u32> {
        self.row_range(row).map(|position| self.symbol(position).saturating_sub(1)).collect()
    }

    pub(super) fn row(&self, row: u32) -> Option<RowSource> {
        row_of(entry(&self.parts[2], u64::from(row), ROW_BYTES as usize))
    }

    /// A row as the file has it; zeros outside.
    pub(super) fn row_bytes(&self, row: u32) -> [u8; ROW_BYTES as usize] {
        let bytes = entry(&self.parts[2], u64::from(row), ROW_BYTES as usize);
        bytes.first_chunk().copied().unwrap_or([0; ROW_BYTES as usize])
    }
}

/// Where a row as the file has it starts; 0 if the bytes are too few.
pub(super) fn start_of(row: &[u8]) -> u64 {
    row.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

/// A row as the file has it; nothing if the bytes are too few.
pub(super) fn row_of(row: &[u8]) -> Option<RowSource> {
    let (_, bytes) = row.split_first_chunk::<8>()?;
    let (&[datanet], bytes) = bytes.split_first_chunk()?;
    let (&index, bytes) = bytes.split_first_chunk()?;
    let (&hash, bytes) = bytes.split_first_chunk()?;
    let (&earner, bytes) = bytes.split_first_chunk()?;
    let (&cluster, _) = bytes.split_first_chunk()?;
    Some(RowSource {
        datanet,
        index: u64::from_be_bytes(index),
        hash,
        earner: EarnerIndex(u32::from_be_bytes(earner)),
        cluster: u32::from_be_bytes(cluster),
    })
}

/// Bytes of an entry, or none outside the file.
fn entry(bytes: &[u8], at: u64, size: usize) -> &[u8] {
    let start = usize::try_from(at).ok().and_then(|at| at.checked_mul(size));
    let range = start.and_then(|start| Some(start..start.checked_add(size)?));
    range.and_then(|range| bytes.get(range)).unwrap_or(&[])
}

fn altered(shard: usize, part: usize, expected: [u8; 32], bytes: &[u8]) -> Error {
    let part = format!("{} of shard {shard}", PARTS[part]);
    Error::PartHash { part, expected, given: keccak(&[bytes]) }
}

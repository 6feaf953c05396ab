use std::{ops::Range, path::Path};

use super::{
    header::Header,
    shard::{ABSENT, Shard},
};
use crate::{Error, Result, estimate::RowSource};

/// A span index on disk, read where it is. Shards are searched one after the other and their answers
/// merged, so how rows were spread over them changes no answer.
#[derive(Debug)]
pub struct SpanIndex {
    header: Header,
    shards: Vec<Shard>,
    /// Place of each shard's first row.
    starts: Vec<u32>,
    tokens: u64,
}

/// How much of an index to check when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The header and the lengths of all files. Bytes altered since may then give wrong answers, but
    /// nothing worse.
    Header,
    /// The hash of every file too: reads all of it.
    Everything,
}

/// Where an n-gram occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Place of the row in the index.
    pub row: u32,
    /// Token of the row where it starts.
    pub token: u64,
}

/// The longest prefix of a text that occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Its tokens.
    pub tokens: usize,
    /// How often it occurs.
    pub count: u64,
}

impl SpanIndex {
    /// Opens the index that a [`super::SpanBuilder`] made. Its files must not be written to while it
    /// is open.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read, [`Error::Version`] for another version,
    /// [`Error::Corrupt`] naming the rule that the header breaks, [`Error::PartHash`] naming a file
    /// of another length or, with [`Check::Everything`], of another hash than the header's.
    pub fn open(path: &Path, check: Check) -> Result<Self> {
        let header = Header::read(path)?;
        let shards = (0..header.shards.len())
            .map(|number| Shard::open(path, &header, number))
            .collect::<Result<Vec<_>>>()?;
        let mut starts = Vec::with_capacity(shards.len());
        let (mut rows, mut tokens) = (0, 0_u64);
        for shard in &header.shards {
            starts.push(rows);
            // The header's own check bounds the rows.
            rows += shard.rows;
            tokens = tokens
                .checked_add(shard.tokens)
                .ok_or(Error::Corrupt("span index must have fewer than 2^64 tokens"))?;
        }
        let index = Self { header, shards, starts, tokens };
        if check == Check::Everything {
            index.verify()?;
        }
        Ok(index)
    }

    /// Hashes every file.
    ///
    /// # Errors
    /// [`Error::PartHash`] naming the first file that is not the header's, with both hashes.
    pub fn verify(&self) -> Result<()> {
        self.shards.iter().enumerate().try_for_each(|(number, shard)| shard.verify(number))
    }

    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Tokens of all rows.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.header.shards.iter().map(|shard| shard.rows).sum()
    }

    /// The row at a place.
    #[must_use]
    pub fn row(&self, place: u32) -> Option<RowSource> {
        let (shard, row) = self.shard_of(place)?;
        shard.row(row)
    }

    /// The token ids of the row at a place.
    #[must_use]
    pub fn row_tokens(&self, place: u32) -> Option<Vec<u32>> {
        let (shard, row) = self.shard_of(place)?;
        Some(shard.row_tokens(row))
    }

    fn shard_of(&self, place: u32) -> Option<(&Shard, u32)> {
        // A shard always has a row, so starts ascend.
        let number = self.starts.partition_point(|&start| start <= place).checked_sub(1)?;
        let row = place - self.starts[number];
        let shard = &self.shards[number];
        (row < shard.header().rows).then_some((shard, row))
    }

    /// How often an n-gram occurs; the empty one as often as there are tokens.
    #[must_use]
    pub fn count(&self, ngram: &[u32]) -> u64 {
        self.count_symbols(&self.symbols(ngram))
    }

    /// Occurrences of an n-gram, after the first `skip` and at most `take` of them: shard after
    /// shard, in the order of the text that follows, and then of places.
    #[must_use]
    pub fn locate(&self, ngram: &[u32], skip: u64, take: usize) -> Vec<Place> {
        let symbols = self.symbols(ngram);
        self.occurrences(&symbols, skip).take(take).collect()
    }

    /// The longest prefix of a text that occurs.
    #[must_use]
    pub fn longest(&self, text: &[u32]) -> Longest {
        let symbols = self.symbols(text);
        let tokens = self.longest_symbols(&symbols);
        Longest { tokens, count: self.count_symbols(&symbols[..tokens]) }
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Token ids as the files hold them; those outside the vocabulary match nothing.
    pub(super) fn symbols(&self, tokens: &[u32]) -> Vec<u32> {
        let symbol = |&token| if token < self.header.vocabulary { token + 1 } else { ABSENT };
        tokens.iter().map(symbol).collect()
    }

    pub(super) fn count_symbols(&self, symbols: &[u32]) -> u64 {
        self.shards.iter().map(|shard| length(&shard.find(symbols))).sum()
    }

    pub(super) fn longest_symbols(&self, symbols: &[u32]) -> usize {
        self.shards.iter().map(|shard| shard.longest(symbols)).max().unwrap_or(0)
    }

    /// Occurrences after the first `skip`, in the order of [`Self::locate`].
    pub(super) fn occurrences<'a>(
        &'a self,
        symbols: &'a [u32],
        mut skip: u64,
    ) -> impl Iterator<Item = Place> + 'a {
        self.shards.iter().zip(&self.starts).flat_map(move |(shard, &first)| {
            let found = shard.find(symbols);
            let skipped = skip.min(length(&found));
            skip -= skipped;
            (found.start + skipped..found.end).map(move |rank| {
                let position = shard.suffix(rank);
                let row = shard.row_at(position);
                let token = position.saturating_sub(shard.row_range(row).start);
                Place { row: first + row, token }
            })
        })
    }
}

/// Files that were not checked may have a pattern's last rank below its first.
const fn length(ranks: &Range<u64>) -> u64 {
    ranks.end.saturating_sub(ranks.start)
}

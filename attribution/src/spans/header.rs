use std::path::{Path, PathBuf};

use super::file::failed;
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

const MAGIC: [u8; 8] = *b"OLSPANS\0";
const VERSION: u16 = 1;
const FIXED_BYTES: usize = 8 + 2 + 4 + 4;
const SHARD_BYTES: usize = 8 + 8 + 4 + 1 + 3 * (8 + 32);
const HASH_BYTES: usize = 32;

/// Bytes of a row in a row table.
pub(super) const ROW_BYTES: u64 = 8 + 1 + 8 + 32 + 4 + 4;

/// What an index's `header` file says: magic `OLSPANS\0`, version u16, vocabulary u32, shards u32;
/// per shard tokens u64, positions u64, rows u32, bytes of a suffix u8 and length u64 and keccak256 of its tokens,
/// suffixes and rows; keccak256 of everything before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Token ids are below it.
    pub vocabulary: u32,
    /// The shards, in order of rows.
    pub shards: Vec<ShardHeader>,
}

/// One shard of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardHeader {
    /// Its tokens, without the ends of rows.
    pub tokens: u64,
    /// Its tokens and the ends of rows that have any.
    pub positions: u64,
    /// Its rows.
    pub rows: u32,
    /// Bytes of a suffix pointer, 1 to 5.
    pub pointer_bytes: u8,
    /// Its token file, suffix file and row table.
    pub parts: [Part; 3],
}

/// A file of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its length.
    pub bytes: u64,
    /// keccak256 of it.
    pub hash: Hash,
}

/// Names of a shard's files' kinds, in the order of [`ShardHeader::parts`].
pub(super) const PARTS: [&str; 3] = ["tokens", "suffixes", "rows"];

pub(super) fn part_name(shard: usize, part: usize) -> String {
    format!("{shard}.{}", PARTS[part])
}

pub(super) fn header_path(folder: &Path) -> PathBuf {
    folder.join("header")
}

impl Header {
    /// Bytes of a token: 2 for vocabularies up to 65,535, else 4.
    #[must_use]
    pub const fn token_bytes(&self) -> u8 {
        if self.vocabulary < 1 << 16 { 2 } else { 4 }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_be_bytes());
        out.extend(self.vocabulary.to_be_bytes());
        let shards = u32::try_from(self.shards.len()).expect("fewer shards than rows");
        out.extend(shards.to_be_bytes());
        for shard in &self.shards {
            out.extend(shard.tokens.to_be_bytes());
            out.extend(shard.positions.to_be_bytes());
            out.extend(shard.rows.to_be_bytes());
            out.push(shard.pointer_bytes);
            for part in shard.parts {
                out.extend(part.bytes.to_be_bytes());
                out.extend(part.hash);
            }
        }
        let hash = keccak(&[&out]);
        out.extend(hash);
        out
    }

    /// Reads a header; nothing in it is believed before its hash and its sums are right.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = header_path(folder);
        let bytes = std::fs::read(&path).map_err(|e| failed(&path, &e))?;
        let short = Error::Corrupt("span index header is shorter than its counts say");
        let body = bytes.len().checked_sub(HASH_BYTES).ok_or_else(|| short.clone())?;
        let (body, stored) = bytes.split_at(body);
        let given = keccak(&[body]);
        if stored != given {
            let expected = stored.try_into().expect("split at its length");
            return Err(Error::PartHash { part: "header".to_owned(), expected, given });
        }
        if body.len() < FIXED_BYTES {
            return Err(short);
        }
        let mut fields = Fields(body);
        if fields.take::<8>() != MAGIC {
            return Err(Error::Corrupt("span index header must start with OLSPANS"));
        }
        let version = u16::from_be_bytes(fields.take());
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let (vocabulary, shards) = (fields.word(), fields.word() as usize);
        if fields.0.len() != shards.saturating_mul(SHARD_BYTES) {
            return Err(Error::Corrupt("span index header must be as long as its counts say"));
        }
        let header =
            Self { vocabulary, shards: (0..shards).map(|_| fields.shard()).collect::<Vec<_>>() };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<()> {
        if self.vocabulary == 0 || self.vocabulary > super::builder::MAX_VOCABULARY {
            return Err(Error::Corrupt("span index vocabulary must be from 1 to 2^24"));
        }
        let mut rows: u32 = 0;
        for shard in &self.shards {
            let lengths = (|| {
                let ends = shard.positions.checked_sub(shard.tokens)?;
                if ends > u64::from(shard.rows) {
                    return None;
                }
                let tokens = shard.positions.checked_mul(u64::from(self.token_bytes()))?;
                let suffixes = shard.tokens.checked_mul(u64::from(shard.pointer_bytes))?;
                Some([tokens, suffixes, u64::from(shard.rows) * ROW_BYTES])
            })();
            rows = rows
                .checked_add(shard.rows)
                .ok_or(Error::Corrupt("span index must have fewer than 2^32 rows"))?;
            if lengths != Some(shard.parts.map(|part| part.bytes))
                || !(1..=5).contains(&shard.pointer_bytes)
            {
                return Err(Error::Corrupt("span index parts must be as long as their counts say"));
            }
        }
        Ok(())
    }
}

/// Fields of a body whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    const fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("length checked before");
        self.0 = rest;
        *field
    }

    const fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn shard(&mut self) -> ShardHeader {
        ShardHeader {
            tokens: u64::from_be_bytes(self.take()),
            positions: u64::from_be_bytes(self.take()),
            rows: self.word(),
            pointer_bytes: self.take::<1>()[0],
            parts: [(); 3]
                .map(|()| Part { bytes: u64::from_be_bytes(self.take()), hash: self.take() }),
        }
    }
}

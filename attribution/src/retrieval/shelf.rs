//! The index of one Datanet version: never changed once it is there.

mod build;
mod manifest;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

pub use self::build::ShelfBuilder;
use self::manifest::{Manifest, file_error, folder};
use super::{
    DatanetVersion, Edition, Row, VectorSpace,
    lexical::{Lexical, Statistics},
    space::dot,
};
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

const ROWS: &str = "rows";
const PLACES: &str = "places";
const VECTORS: &str = "vectors";
const WORDS: &str = "words";
/// Vectors that one thread reads at once.
const BLOCK: usize = 4096;

/// An opened shelf. Eight bytes per row are held in memory; rows, vectors and words stay on disk.
pub struct Shelf {
    manifest: Manifest,
    folder: PathBuf,
    /// Where each row's bytes begin, and where the last one's end.
    starts: Vec<u64>,
    rows: File,
    vectors: File,
    lexical: Lexical,
}

impl core::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shelf").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Shelf {
    /// Opens the shelf in `folder` after reading every byte of it once.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a file's hash is not the one written down; [`Error::File`] or
    /// [`Error::Lexical`] if a file cannot be read or contradicts another.
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::verify(folder)?;
        manifest.space.check()?;
        let lexical = Lexical::open(&folder.join(WORDS))?;
        let open = |name: &str| {
            let path = folder.join(name);
            File::open(&path).map_err(|e| file_error(&path, &e))
        };
        let shelf = Self {
            starts: starts(&folder.join(PLACES))?,
            rows: open(ROWS)?,
            vectors: open(VECTORS)?,
            lexical,
            folder: folder.to_owned(),
            manifest,
        };
        shelf.check_lengths()?;
        Ok(shelf)
    }

    fn check_lengths(&self) -> Result<()> {
        let rows = self.starts.len() as u64 - 1;
        let words = self.lexical.searcher().num_docs();
        if rows != self.manifest.rows || words != rows {
            return Err(Error::shape("rows of a shelf", self.manifest.rows, rows.min(words)));
        }
        let end = self.starts[self.starts.len() - 1];
        let lengths = [
            (&self.rows, ROWS, end),
            (&self.vectors, VECTORS, rows * u64::from(self.manifest.space.dimension)),
        ];
        for (file, name, expected) in lengths {
            let given = file.metadata().map_err(|e| file_error(&self.folder.join(name), &e))?.len();
            if given != expected {
                return Err(Error::shape("bytes of a shelf's file", expected, given));
            }
        }
        Ok(())
    }

    /// What it holds.
    #[must_use]
    pub const fn edition(&self) -> &Edition {
        &self.manifest.edition
    }

    /// Which version it holds.
    #[must_use]
    pub const fn version(&self) -> DatanetVersion {
        self.manifest.edition.version
    }

    /// What its vectors are.
    #[must_use]
    pub const fn space(&self) -> &VectorSpace {
        &self.manifest.space
    }

    /// How many rows it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether it has no rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.manifest.bytes()
    }

    /// Folder of `edition` under a library's.
    pub(super) fn folder(library: &Path, edition: &Edition) -> PathBuf {
        folder(library, edition)
    }

    pub(super) const fn lexical(&self) -> &Lexical {
        &self.lexical
    }

    /// The row at `place`, checked against its hash.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the bytes on disk changed; [`Error::File`] if they cannot be read.
    pub fn row(&self, place: usize) -> Result<Row> {
        let path = || self.folder.join(ROWS);
        let (start, end) = (self.starts[place], self.starts[place + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        self.rows.read_exact_at(&mut bytes, start).map_err(|e| file_error(&path(), &e))?;
        let row: Row = borsh::from_slice(&bytes).map_err(|e| file_error(&path(), &e))?;
        let found = keccak(&[row.text.as_bytes()]);
        if found != row.row_hash {
            let path = manifest::shown(&path());
            return Err(Error::Damaged { path, expected: row.row_hash, found });
        }
        Ok(row)
    }

    /// The vector of the row at `place`.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub fn vector(&self, place: usize) -> Result<Vec<i8>> {
        let mut vector = Vec::new();
        self.read_vectors(place, 1, &mut vector)?;
        Ok(vector.iter().map(|byte| byte.cast_signed()).collect())
    }

    fn read_vectors(&self, place: usize, count: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let dimension = self.manifest.space.dimension as usize;
        bytes.resize(count * dimension, 0);
        let start = (place * dimension) as u64;
        self.vectors
            .read_exact_at(bytes, start)
            .map_err(|e| file_error(&self.folder.join(VECTORS), &e))
    }

    /// Hashes of all rows, by place.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub fn hashes(&self) -> Result<Vec<Hash>> {
        (0..self.len()).into_par_iter().map(|place| Ok(self.row(place)?.row_hash)).collect()
    }

    /// Places and dot products of the `top` rows with the largest, ties by place. Every row is
    /// looked at; memory is one block of vectors per thread.
    pub(super) fn nearest(&self, query: &[i8], top: usize) -> Result<Vec<(usize, i32)>> {
        let blocks = self.len().div_ceil(BLOCK);
        let best = |block: usize| {
            let first = block * BLOCK;
            let count = BLOCK.min(self.len() - first);
            let mut bytes = Vec::new();
            self.read_vectors(first, count, &mut bytes)?;
            let mut kept = BinaryHeap::with_capacity(top + 1);
            for (place, row) in (first..).zip(bytes.chunks_exact(query.len())) {
                let product: i32 = row
                    .iter()
                    .zip(query)
                    .map(|(x, y)| i32::from(x.cast_signed()) * i32::from(*y))
                    .sum();
                kept.push((Reverse(product), place));
                if kept.len() > top {
                    kept.pop();
                }
            }
            Ok(kept.into_vec())
        };
        let found: Vec<Vec<_>> = (0..blocks).into_par_iter().map(best).collect::<Result<_>>()?;
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_unstable();
        found.truncate(top);
        Ok(found.into_iter().map(|(Reverse(product), place)| (place, product)).collect())
    }

    /// Dot product of the row at `place`.
    pub(super) fn dot(&self, place: usize, query: &[i8]) -> Result<i32> {
        Ok(dot(&self.vector(place)?, query))
    }

    /// Places and BM25 scores of the `top` rows with the largest.
    pub(super) fn by_words(
        &self,
        words: &[String],
        top: usize,
        statistics: &Statistics,
    ) -> Result<Vec<(usize, f32)>> {
        let found = self.lexical.best(words, top, statistics)?;
        let inside = |(place, score): (u64, f32)| {
            let place = usize::try_from(place).ok().filter(|place| *place < self.len());
            let place = place.ok_or_else(|| Error::Lexical("a place is past the rows".into()))?;
            Ok((place, score))
        };
        found.into_iter().map(inside).collect()
    }
}

/// Sums of the lengths in the file, from 0.
fn starts(path: &Path) -> Result<Vec<u64>> {
    let bytes = std::fs::read(path).map_err(|e| file_error(path, &e))?;
    let (lengths, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || lengths.len() as u64 > build::MAX_ROWS {
        return Err(Error::shape("bytes of a shelf's places", "four per row", bytes.len()));
    }
    let mut starts = Vec::with_capacity(lengths.len() + 1);
    starts.push(0);
    for length in lengths {
        let last = starts[starts.len() - 1];
        starts.push(last + u64::from(u32::from_le_bytes(*length)));
    }
    Ok(starts)
}

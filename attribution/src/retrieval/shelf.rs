//! The index of one Datanet version: never changed once it is there.

mod build;
mod manifest;
mod vectors;

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

pub use self::build::ShelfBuilder;
use self::{
    manifest::{Manifest, file_error, folder},
    vectors::Vectors,
};
use super::{
    DatanetVersion, Edition, Row, VectorSpace,
    lexical::{Lexical, Statistics},
};
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

const ROWS: &str = "rows";
const PLACES: &str = "places";
const WORDS: &str = "words";

/// An opened shelf. Sixteen bytes per row are held in memory; rows, vectors and words stay on disk.
pub struct Shelf {
    manifest: Manifest,
    folder: PathBuf,
    /// Where each row's bytes begin, and where the last one's end.
    starts: Vec<u64>,
    rows: File,
    vectors: Vectors,
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
        let starts = starts(&folder.join(PLACES))?;
        let path = folder.join(ROWS);
        let rows = File::open(&path).map_err(|e| file_error(&path, &e))?;
        let vectors = Vectors::open(folder, &manifest.space, starts.len() - 1)?;
        let shelf = Self { starts, rows, vectors, lexical, folder: folder.to_owned(), manifest };
        shelf.check_lengths()?;
        Ok(shelf)
    }

    fn check_lengths(&self) -> Result<()> {
        let rows = self.starts.len() as u64 - 1;
        let words = self.lexical.searcher().num_docs();
        if rows != self.manifest.rows || words != rows {
            return Err(Error::shape("rows of a shelf", self.manifest.rows, rows.min(words)));
        }
        let expected = self.starts[self.starts.len() - 1];
        let given =
            self.rows.metadata().map_err(|e| file_error(&self.folder.join(ROWS), &e))?.len();
        if given != expected {
            return Err(Error::shape("bytes of a shelf's rows", expected, given));
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

    /// Vectors of the row at `place`: of its text, then of its passages.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read.
    pub fn vectors(&self, place: usize) -> Result<Vec<i8>> {
        self.vectors.of(place)
    }

    /// Hashes of all rows, by place.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub fn hashes(&self) -> Result<Vec<Hash>> {
        (0..self.len()).into_par_iter().map(|place| Ok(self.row(place)?.row_hash)).collect()
    }

    /// Places and dot products of the `top` rows with the largest, ties by place.
    pub(super) fn nearest(&self, query: &[i8], top: usize) -> Result<Vec<(usize, i32)>> {
        self.vectors.nearest(query, top)
    }

    /// Dot product of the row at `place`, of its text and best passage.
    pub(super) fn dot(&self, place: usize, query: &[i8]) -> Result<i32> {
        self.vectors.dot(place, query)
    }

    /// How crowded the neighbourhood of the row at `place` is.
    pub(super) fn crowding(&self, place: usize) -> i32 {
        self.vectors.crowding(place)
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

    /// BM25 scores of those of the rows at `places` that hold one of the words.
    pub(super) fn words_of(
        &self,
        words: &[String],
        places: &[usize],
        statistics: &Statistics,
    ) -> Result<BTreeMap<usize, f32>> {
        let wanted = places.iter().map(|place| *place as u64).collect();
        let scores = self.lexical.scores(words, wanted, statistics)?;
        Ok(scores.into_iter().map(|(place, score)| (place as usize, score)).collect())
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

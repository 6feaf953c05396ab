//! The vectors of a shelf: of whole rows, of their passages, and how crowded rows are.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    super::{
        MAX_PASSAGES, VectorSpace,
        crowding::{Sample, centre, neighbourhoods},
        fusion::{mixed, nearness},
    },
    manifest::file_error,
};
use crate::{Error, Result, settle::Hash};

/// One vector per row.
const VECTORS: &str = "vectors";
/// The vectors of the first row's passages, then those of the second's.
const PASSAGES: &str = "passages";
/// Passages of each row, one byte.
const COUNTS: &str = "counts";
/// Crowding of each row, an i32 from its smallest byte.
const CROWDING: &str = "crowding";
/// Rows whose vectors one thread reads at once.
const BLOCK: usize = 1024;

/// Writes vectors as rows come.
pub(super) struct VectorWriter {
    folder: PathBuf,
    dimension: usize,
    vectors: BufWriter<File>,
    passages: BufWriter<File>,
    counts: BufWriter<File>,
    sample: Sample,
    written: u64,
}

impl VectorWriter {
    pub(super) fn create(folder: &Path, space: &VectorSpace) -> Result<Self> {
        let open = |name: &str| {
            let path = folder.join(name);
            File::create(&path).map(BufWriter::new).map_err(|e| file_error(&path, &e))
        };
        Ok(Self {
            folder: folder.to_owned(),
            dimension: space.dimension as usize,
            vectors: open(VECTORS)?,
            passages: open(PASSAGES)?,
            counts: open(COUNTS)?,
            sample: Sample::default(),
            written: 0,
        })
    }

    /// Adds a row's vectors, which fit the space.
    pub(super) fn push(&mut self, row: Hash, vectors: &[i8]) -> Result<()> {
        let bytes: Vec<u8> = vectors.iter().map(|x| x.cast_unsigned()).collect();
        let (whole, passages) = bytes.split_at(self.dimension);
        let count = u8::try_from(passages.len() / self.dimension).expect("passages are few");
        self.sample.add(row, self.written);
        self.written += 1;
        self.vectors
            .write_all(whole)
            .and_then(|()| self.passages.write_all(passages))
            .and_then(|()| self.counts.write_all(&[count]))
            .map_err(|e| file_error(&self.folder, &e))
    }

    /// Completes the files and writes how crowded rows are, which takes a pass over the vectors.
    pub(super) fn finish(self) -> Result<()> {
        let failed = |e| file_error(&self.folder, &e);
        for mut file in [self.vectors, self.passages, self.counts] {
            file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)?;
        }
        let (folder, rows, dimension) = (&self.folder, self.written as usize, self.dimension);
        let file = Numbers::open(folder, VECTORS, dimension)?;
        let one = |place: &u64| Ok((*place, signed(&file.read(*place as usize, 1)?)));
        let sample = self.sample.places().iter().map(one).collect::<Result<Vec<_>>>()?;
        let mut crowding = Vec::with_capacity(rows);
        for first in (0..rows).step_by(BLOCK) {
            let bytes = file.read(first, BLOCK.min(rows - first))?;
            let block: Vec<Vec<i8>> = bytes.chunks_exact(dimension).map(signed).collect();
            crowding.extend(neighbourhoods(&block, first as u64, &sample));
        }
        centre(&mut crowding);
        let bytes: Vec<u8> = crowding.into_iter().flat_map(i32::to_le_bytes).collect();
        let path = folder.join(CROWDING);
        std::fs::write(&path, bytes).map_err(|e| file_error(&path, &e))
    }
}

/// The vectors of a shelf, opened for searching.
pub(super) struct Vectors {
    vectors: Numbers,
    passages: Numbers,
    /// Passages before each row's first, and all.
    starts: Vec<u32>,
    crowding: Vec<i32>,
}

impl Vectors {
    /// # Errors
    /// [`Error::Shape`] if the files are not those of `rows` rows; [`Error::File`] if one cannot be
    /// read.
    pub(super) fn open(folder: &Path, space: &VectorSpace, rows: usize) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|e| file_error(&path, &e))
        };
        let (counts, crowding) = (read(COUNTS)?, read(CROWDING)?);
        let (crowding, rest) = crowding.as_chunks::<4>();
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        for count in &counts {
            if usize::from(*count) > MAX_PASSAGES {
                return Err(Error::shape("passages of a row", MAX_PASSAGES, count));
            }
            starts.push(starts[starts.len() - 1] + u32::from(*count));
        }
        let given = [counts.len(), crowding.len()];
        if let Some(given) = given.into_iter().find(|given| *given != rows || !rest.is_empty()) {
            return Err(Error::shape("rows of a shelf's vectors", rows, given));
        }
        let dimension = space.dimension as usize;
        let passages = starts[rows] as usize;
        Ok(Self {
            vectors: Numbers::open(folder, VECTORS, dimension)?.of(rows)?,
            passages: Numbers::open(folder, PASSAGES, dimension)?.of(passages)?,
            starts,
            crowding: crowding.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect(),
        })
    }

    fn passages(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let (start, end) = (self.starts[first], self.starts[first + count]);
        self.passages.read(start as usize, (end - start) as usize)
    }

    /// The vectors of a row, of its text first.
    pub(super) fn of(&self, place: usize) -> Result<Vec<i8>> {
        let mut vectors = signed(&self.vectors.read(place, 1)?);
        vectors.extend(signed(&self.passages(place, 1)?));
        Ok(vectors)
    }

    /// Dot product of the row at `place`, of its text and best passage.
    pub(super) fn dot(&self, place: usize, query: &[i8]) -> Result<i32> {
        Ok(nearness(query, &self.of(place)?))
    }

    /// How crowded the neighbourhood of the row at `place` is.
    pub(super) fn crowding(&self, place: usize) -> i32 {
        self.crowding[place]
    }

    /// Places and dot products of the `top` rows with the largest, ties by place. Every row is looked
    /// at; memory is one block of vectors per thread.
    pub(super) fn nearest(&self, query: &[i8], top: usize) -> Result<Vec<(usize, i32)>> {
        let rows = self.crowding.len();
        let best = |block: usize| {
            let first = block * BLOCK;
            let count = BLOCK.min(rows - first);
            let wholes = self.vectors.read(first, count)?;
            let passages = self.passages(first, count)?;
            let mut passages = passages.chunks_exact(query.len()).map(|row| product(row, query));
            let mut kept = BinaryHeap::with_capacity(top + 1);
            for (place, whole) in (first..).zip(wholes.chunks_exact(query.len())) {
                let held = (self.starts[place + 1] - self.starts[place]) as usize;
                let best = passages.by_ref().take(held).max();
                let whole = product(whole, query);
                kept.push((Reverse(mixed(whole, best.unwrap_or(whole))), place));
                if kept.len() > top {
                    kept.pop();
                }
            }
            Ok(kept.into_vec())
        };
        let blocks = rows.div_ceil(BLOCK);
        let found: Vec<Vec<_>> = (0..blocks).into_par_iter().map(best).collect::<Result<_>>()?;
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_unstable();
        found.truncate(top);
        Ok(found.into_iter().map(|(Reverse(dot), place)| (place, dot)).collect())
    }
}

/// A file of vectors of one length.
struct Numbers {
    path: PathBuf,
    file: File,
    dimension: usize,
}

impl Numbers {
    fn open(folder: &Path, name: &str, dimension: usize) -> Result<Self> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(|e| file_error(&path, &e))?;
        Ok(Self { path, file, dimension })
    }

    /// Itself, if it holds `count` vectors.
    fn of(self, count: usize) -> Result<Self> {
        let given = self.file.metadata().map_err(|e| file_error(&self.path, &e))?.len();
        let expected = (count * self.dimension) as u64;
        if given != expected {
            return Err(Error::shape("bytes of a shelf's vectors", expected, given));
        }
        Ok(self)
    }

    fn read(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count * self.dimension];
        let start = (first * self.dimension) as u64;
        self.file.read_exact_at(&mut bytes, start).map_err(|e| file_error(&self.path, &e))?;
        Ok(bytes)
    }
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| byte.cast_signed()).collect()
}

/// As [`dot`], of bytes that were read.
fn product(bytes: &[u8], query: &[i8]) -> i32 {
    bytes.iter().zip(query).map(|(x, y)| i32::from(x.cast_signed()) * i32::from(*y)).sum()
}

//! Raw sketches on disk, so that a build can go on after a stop and a later version of a Datanet
//! costs its new rows only.
//!
//! Version 1, big-endian, no padding:
//!
//! | field | bytes |
//! |---|---|
//! | magic `OLSKETCH`, version u16 | 10 |
//! | identity, dim u32 | 36 |
//! | per sketch: keccak256 of the row's text, sketch f32 (d,), first 8 bytes of the keccak256 of both | 40 + 4 d each |

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    estimate::projector::DIM_RANGE,
    settle::{Hash, keccak},
};

const MAGIC: [u8; 8] = *b"OLSKETCH";
const VERSION: u16 = 1;
const HEADER_BYTES: u64 = 46;
const CHECK_BYTES: usize = 8;

/// Raw sketches by the hash of their row's text.
///
/// A sketch depends on the text and on what the store's identity stands for, nothing else; so one
/// that is there need not be computed again, whoever computed it and for which version of which
/// Datanet. Sketches are only ever added. Opening reads every record and checks it; one that a stop
/// cut short is taken off the end.
#[derive(Debug)]
pub struct SketchStore {
    path: PathBuf,
    file: File,
    dim: usize,
    places: HashMap<Hash, u32>,
}

impl SketchStore {
    /// Opens the store at `path`, or makes an empty one.
    ///
    /// - `identity`: hash of all that a sketch depends on besides the row's text: base model,
    ///   adapter, projector, and how text becomes tokens
    /// - `dim`: sketch dimension `d`
    ///
    /// # Errors
    /// [`Error::Setting`] if the dimension is outside [`DIM_RANGE`], [`Error::File`] if the system
    /// refuses, [`Error::Version`] for another version, [`Error::Corrupt`] if the store is of another
    /// identity or dimension or a record before the last is damaged. The file is as it was then.
    pub fn open(path: &Path, identity: Hash, dim: usize) -> Result<Self> {
        if !DIM_RANGE.contains(&dim) {
            return Err(Error::setting("sketch dimension must be in 16..=8192", dim));
        }
        let failed = |e: std::io::Error| file_error(path, &e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut store = Self { path: path.to_owned(), file, dim, places: HashMap::new() };
        if length < HEADER_BYTES {
            store.file = store.restart(identity)?;
            return Ok(store);
        }
        let mut from = BufReader::new(store.file.try_clone().map_err(failed)?);
        check_header(&mut from, identity, dim, failed)?;
        let whole = store.index(&mut from, length)?;
        let end = HEADER_BYTES + whole * store.record_bytes() as u64;
        if end != length {
            store.file.set_len(end).map_err(failed)?;
        }
        Ok(store)
    }

    /// Sketch dimension `d`.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Sketches held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no sketch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the sketch of the row with this text hash is held.
    #[must_use]
    pub fn contains(&self, row: &Hash) -> bool {
        self.places.contains_key(row)
    }

    /// Adds the sketch of a row. One that is held already stays as it is.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad sketch, [`Error::File`] if it cannot be
    /// written. The store is as it was.
    pub fn add(&mut self, row: Hash, sketch: &[f32]) -> Result<()> {
        if sketch.len() != self.dim {
            return Err(Error::shape("sketch", self.dim, sketch.len()));
        }
        if !sketch.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite("sketch"));
        }
        if self.contains(&row) {
            return Ok(());
        }
        let place = u32::try_from(self.len());
        let place = place.map_err(|_| Error::setting("sketches must be below 2^32", self.len()))?;
        let mut record = row.to_vec();
        record.extend(sketch.iter().flat_map(|x| x.to_be_bytes()));
        record.extend(check(&record));
        self.file.write_all_at(&record, self.offset(place)).map_err(|e| self.failed(&e))?;
        self.places.insert(row, place);
        Ok(())
    }

    /// Flushes everything added so far to the disk.
    ///
    /// # Errors
    /// [`Error::File`] if the system refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| self.failed(&e))
    }

    /// Place of a row's sketch, for [`Self::read`].
    pub(super) fn place(&self, row: &Hash) -> Option<u32> {
        self.places.get(row).copied()
    }

    /// Where spilled rows may go.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the sketch at a place to the end of `out`.
    pub(super) fn read(&self, place: u32, out: &mut Vec<f32>) -> Result<()> {
        let mut record = vec![0; self.record_bytes()];
        self.file.read_exact_at(&mut record, self.offset(place)).map_err(|e| self.failed(&e))?;
        let (body, found) = record.split_at(record.len() - CHECK_BYTES);
        if check(body) != found {
            return Err(Error::Corrupt("a sketch differs from its checksum"));
        }
        out.extend(floats(&body[32..]));
        Ok(())
    }

    /// Notes the rows of all records; returns how many are whole.
    fn index(&mut self, from: &mut impl Read, length: u64) -> Result<u64> {
        let size = self.record_bytes();
        let records = (length - HEADER_BYTES) / size as u64;
        let mut record = vec![0; size];
        for place in 0..records {
            from.read_exact(&mut record).map_err(|e| self.failed(&e))?;
            let (body, found) = record.split_at(size - CHECK_BYTES);
            if check(body) != found {
                // A stop may leave the last record with holes; nothing can leave an earlier one so.
                let last = place + 1 == records;
                return if last { Ok(place) } else { Err(Error::Corrupt("a sketch is damaged")) };
            }
            let row = body[..32].try_into().expect("a record begins with a hash");
            let place = u32::try_from(place).map_err(|_| Error::Corrupt("too many sketches"))?;
            self.places.insert(row, place);
        }
        Ok(records)
    }

    /// Writes the header of an empty store.
    fn restart(&self, identity: Hash) -> Result<File> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_be_bytes());
        header.extend(identity);
        header.extend(u32::try_from(self.dim).expect("it is at most 8192").to_be_bytes());
        let mut file = self.file.try_clone().map_err(|e| self.failed(&e))?;
        file.set_len(0)
            .and_then(|()| file.write_all(&header))
            .and_then(|()| file.sync_all())
            .map_err(|e| self.failed(&e))?;
        Ok(file)
    }

    const fn record_bytes(&self) -> usize {
        32 + 4 * self.dim + CHECK_BYTES
    }

    fn offset(&self, place: u32) -> u64 {
        HEADER_BYTES + u64::from(place) * self.record_bytes() as u64
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        file_error(&self.path, error)
    }
}

fn check_header(
    from: &mut impl Read,
    identity: Hash,
    dim: usize,
    failed: impl Fn(std::io::Error) -> Error,
) -> Result<()> {
    let mut header = [0; HEADER_BYTES as usize];
    from.read_exact(&mut header).map_err(failed)?;
    if header[..8] != MAGIC {
        return Err(Error::Corrupt("magic differs"));
    }
    let version = u16::from_be_bytes([header[8], header[9]]);
    if version != VERSION {
        return Err(Error::Version(version));
    }
    if header[10..42] != identity {
        return Err(Error::Corrupt("sketches are of another model or projection"));
    }
    if header[42..] != u32::try_from(dim).unwrap_or(u32::MAX).to_be_bytes() {
        return Err(Error::Corrupt("sketches are of another dimension"));
    }
    Ok(())
}

/// Rows that wait on disk for the pass after the one that made them; the file goes with this.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
    file: File,
    dim: usize,
}

impl Spill {
    /// Beside the file at `path`.
    pub(super) fn beside(path: &Path, dim: usize) -> Result<Self> {
        let mut path = path.as_os_str().to_owned();
        path.push(".whitened");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).map_err(|e| file_error(&path, &e))?;
        Ok(Self { path, file, dim })
    }

    /// Writes rows from row `first` on.
    pub(super) fn write(&self, first: usize, rows: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_be_bytes()).collect();
        let at = (first * self.dim * size_of::<f32>()) as u64;
        self.file.write_all_at(&bytes, at).map_err(|e| file_error(&self.path, &e))
    }

    /// Adds `count` rows from row `first` on to the end of `out`.
    pub(super) fn read(&self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        let row = self.dim * size_of::<f32>();
        let mut bytes = vec![0; count * row];
        self.file
            .read_exact_at(&mut bytes, (first * row) as u64)
            .map_err(|e| file_error(&self.path, &e))?;
        out.extend(floats(&bytes));
        Ok(())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by the next build.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|x| f32::from_be_bytes(*x))
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    *keccak(&[body]).first_chunk().expect("a hash has 32 bytes")
}

fn file_error(path: &Path, error: &std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

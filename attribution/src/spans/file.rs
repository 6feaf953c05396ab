use std::{
    fs::File,
    io::{BufWriter, Write},
    ops::Deref,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use sha3::{Digest, Keccak256};

use super::header::Part;
use crate::{Error, Result};

/// A part being written, hashed on the way.
#[derive(Debug)]
pub(super) struct PartWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Keccak256,
    bytes: u64,
}

impl PartWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|e| failed(&path, &e))?;
        Ok(Self { path, file: BufWriter::new(file), hasher: Keccak256::new(), bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| failed(&self.path, &e))
    }

    /// Flushes the part to disk.
    pub(super) fn finish(self) -> Result<Part> {
        let Self { path, file, hasher, bytes } = self;
        let file = file.into_inner().map_err(|e| failed(&path, e.error()))?;
        file.sync_all().map_err(|e| failed(&path, &e))?;
        Ok(Part { bytes, hash: hasher.finalize().into() })
    }
}

/// A file's bytes, in memory only where they are read.
#[derive(Debug)]
pub(super) struct Mapped(Option<Mmap>);

impl Mapped {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| failed(path, &e))?;
        if file.metadata().map_err(|e| failed(path, &e))?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: an index's files are never written after the folder has its name, and its owner
        // must keep others from writing them: bytes changed while mapped give wrong numbers, which
        // every reader bounds, and a file cut short while mapped ends the process.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| failed(path, &e))?;
        Ok(Self(Some(map)))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}

pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| failed(path, &e))
}

pub(super) fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: e.to_string() }
}

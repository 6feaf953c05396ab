//! What a shelf's files must be, and whether they are.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use borsh::{BorshDeserialize, BorshSerialize};
use rayon::prelude::*;
use sha3::{Digest as _, Keccak256};

use super::super::{Edition, VectorSpace};
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

const MANIFEST: &str = "shelf";
/// Longest manifest that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
const MAGIC: [u8; 8] = *b"shelf\0\0\x02";

/// Name, length and hash of one file, by name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Held {
    name: String,
    length: u64,
    hash: Hash,
}

/// Says what a shelf holds; the last of its files to be written.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Manifest {
    magic: [u8; 8],
    pub(super) edition: Edition,
    pub(super) space: VectorSpace,
    pub(super) rows: u64,
    files: Vec<Held>,
}

impl Manifest {
    /// Hashes what lies under `dir` and writes the manifest beside it.
    pub(super) fn write(
        dir: &Path,
        edition: Edition,
        space: VectorSpace,
        rows: u64,
    ) -> Result<Self> {
        let mut names = Vec::new();
        for folder in ["", "words"] {
            names.extend(files(dir, folder)?);
        }
        names.sort();
        let hold = |name: String| {
            let (length, hash) = read(&dir.join(&name))?;
            Ok(Held { name, length, hash })
        };
        let files = names.into_par_iter().map(hold).collect::<Result<_>>()?;
        let manifest = Self { magic: MAGIC, edition, space, rows, files };
        let mut bytes = borsh::to_vec(&manifest).expect("writing to a vector does not fail");
        bytes.extend_from_slice(&keccak(&[&bytes]));
        let path = dir.join(MANIFEST);
        fs::write(&path, bytes).map_err(|e| file_error(&path, &e))?;
        Ok(manifest)
    }

    /// Reads the manifest and every file that it names.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the first file whose bytes are others, with both hashes.
    pub(super) fn verify(dir: &Path) -> Result<Self> {
        let manifest = Self::read(&dir.join(MANIFEST))?;
        manifest.files.par_iter().try_for_each(|held| {
            let path = dir.join(&held.name);
            let (length, hash) = read(&path)?;
            if hash == held.hash && length == held.length {
                return Ok(());
            }
            Err(Error::Damaged { path: shown(&path), expected: held.hash, found: hash })
        })?;
        Ok(manifest)
    }

    fn read(path: &Path) -> Result<Self> {
        let corrupt = |why: &str| Error::File { path: shown(path), reason: why.to_owned() };
        let file = File::open(path).map_err(|e| file_error(path, &e))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| file_error(path, &e))?;
        let (body, hash) =
            bytes.split_last_chunk::<32>().ok_or_else(|| corrupt("shorter than a hash"))?;
        let found = keccak(&[body]);
        if found != *hash {
            return Err(Error::Damaged { path: shown(path), expected: *hash, found });
        }
        let manifest = Self::try_from_slice(body).map_err(|e| file_error(path, &e))?;
        if manifest.magic != MAGIC {
            return Err(corrupt("not a shelf of version 2; index its rows again"));
        }
        let leaves =
            |held: &&Held| held.name.split('/').any(|part| matches!(part, "" | "." | ".."));
        if let Some(held) = manifest.files.iter().find(leaves) {
            return Err(corrupt(&format!("names the file {:?}", held.name)));
        }
        Ok(manifest)
    }

    /// Length in bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|held| held.length).sum()
    }
}

/// Names of the files in a folder, without locks, which hold nothing.
fn files(dir: &Path, folder: &str) -> Result<Vec<String>> {
    let path = dir.join(folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(|e| file_error(&path, &e))? {
        let entry = entry.map_err(|e| file_error(&path, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(|e| file_error(&path, &e))?;
        if kind.is_file() && !name.ends_with(".lock") && name != MANIFEST {
            names.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
        }
    }
    Ok(names)
}

/// Length and keccak256 of a file.
fn read(path: &Path) -> Result<(u64, Hash)> {
    let failed = |e| file_error(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut length) = (Keccak256::new(), 0);
    let mut block = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut block).map_err(failed)?;
        if read == 0 {
            return Ok((length, hasher.finalize().into()));
        }
        hasher.update(&block[..read]);
        length += read as u64;
    }
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn file_error(path: &Path, reason: &io::Error) -> Error {
    Error::File { path: shown(path), reason: reason.to_string() }
}

/// Folder of a shelf under a library's.
pub(super) fn folder(library: &Path, edition: &Edition) -> PathBuf {
    use core::fmt::Write as _;
    let mut name = String::with_capacity(76);
    for byte in edition.version.datanet {
        write!(name, "{byte:02x}").expect("writing to a string does not fail");
    }
    library.join(format!("{name}-{}", edition.version.version))
}

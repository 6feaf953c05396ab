//! Vectors of a version that is being indexed, so that a node that is stopped goes on where it was.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use attribution::settle::Hash;

use crate::{Error, Result};

/// A file of records: a row's hash, how many vectors it has (one byte) and those. A record that was cut
/// off is left out.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    known: HashMap<Hash, Vec<i8>>,
    dimension: usize,
}

impl Journal {
    /// Takes up the journal at `path`, or begins it.
    ///
    /// - `dimension`: numbers of a vector
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn open(path: &Path, dimension: usize) -> Result<Self> {
        let failed = || Error::io(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let mut bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed()(error)),
        };
        let mut known = HashMap::new();
        let mut whole = 0;
        while let Some((hash, rest)) = bytes[whole..].split_first_chunk::<32>()
            && let Some((count, rest)) = rest.split_first()
            && let Some(vectors) = rest.get(..usize::from(*count) * dimension)
        {
            known.insert(*hash, vectors.iter().map(|byte| byte.cast_signed()).collect());
            whole += 33 + vectors.len();
        }
        bytes.truncate(whole);
        let file = File::options().create(true).append(true).open(path).map_err(failed())?;
        file.set_len(bytes.len() as u64).map_err(failed())?;
        Ok(Self { path: path.to_owned(), file, known, dimension })
    }

    /// The vectors of the row with this hash, one after the other, if they were computed.
    pub(super) fn vectors(&self, row: &Hash) -> Option<&[i8]> {
        self.known.get(row).map(Vec::as_slice)
    }

    /// Adds rows with their vectors.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add(&mut self, vectors: &[(Hash, Vec<i8>)]) -> Result<()> {
        let mut bytes = Vec::new();
        for (hash, vectors) in vectors {
            bytes.extend_from_slice(hash);
            bytes.push(u8::try_from(vectors.len() / self.dimension).expect("passages are few"));
            bytes.extend(vectors.iter().map(|number| number.cast_unsigned()));
        }
        self.file.write_all(&bytes).map_err(Error::io(&self.path))
    }

    /// Deletes it: its version is indexed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn finish(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_whole_is_read_again_and_the_rest_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors/one");
        let mut journal = Journal::open(&path, 3).unwrap();
        let two = vec![1, -2, 127, 4, 5, 6];
        journal.add(&[([1; 32], two.clone()), ([2; 32], vec![0, 0, -127])]).unwrap();
        drop(journal);
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 39 + 36);
        bytes.truncate(73);
        fs::write(&path, bytes).unwrap();

        let mut journal = Journal::open(&path, 3).unwrap();
        assert_eq!(journal.vectors(&[1; 32]), Some(&two[..]));
        assert_eq!(journal.vectors(&[2; 32]), None);
        journal.add(&[([3; 32], vec![7, 8, 9])]).unwrap();

        let journal = Journal::open(&path, 3).unwrap();
        assert_eq!(journal.vectors(&[3; 32]), Some(&[7, 8, 9][..]));
        journal.finish().unwrap();
        assert!(!path.exists());
    }
}

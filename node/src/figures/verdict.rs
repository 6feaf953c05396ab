//! What whoever runs a validator found of a figure, left where its node looks for it.

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Folder of verdicts in a node's data folder.
const FOLDER: &str = "verdicts";
/// Largest verdict read, in bytes.
const MAX_BYTES: u64 = 4_096;

/// Whether a figure is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is what measuring again gives.
    Holds,
    /// It is not.
    False,
}

/// A verdict on one figure. A node commits to it and reveals it when the figure is voted on; until
/// it has committed, a later verdict takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureVerdict {
    /// The contract that keeps the figure: numbers start anew with every deployment.
    pub contract: Address,
    /// Its number.
    pub figure: u64,
    /// The hash that it names. A verdict on another figure of the same number does not count.
    pub hash: B256,
    /// What was found.
    pub verdict: Verdict,
}

impl FigureVerdict {
    /// Leaves it in a node's data folder, in place of an earlier one; gives the file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn leave(&self, data_dir: &Path) -> Result<PathBuf> {
        let path = path(data_dir, self.figure);
        let folder = data_dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let mut text = serde_json::to_string_pretty(self).expect("a verdict is plain data");
        text.push('\n');
        inference::weights::write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }

    /// The verdict on a figure in a node's data folder; `None` if there is none, or it is on another
    /// figure of this number.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Config`] if it is none.
    pub fn find(
        data_dir: &Path,
        contract: Address,
        figure: u64,
        hash: B256,
    ) -> Result<Option<Verdict>> {
        let path = path(data_dir, figure);
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path)(error)),
        };
        let unfit = |why: String| Error::Config(format!("verdict {}: {why}", path.display()));
        if length > MAX_BYTES {
            return Err(unfit(format!("{length} bytes, at most {MAX_BYTES}")));
        }
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let found: Self = serde_json::from_slice(&bytes).map_err(|e| unfit(e.to_string()))?;
        let is_of = (found.contract, found.figure, found.hash) == (contract, figure, hash);
        Ok(is_of.then_some(found.verdict))
    }
}

fn path(data_dir: &Path, figure: u64) -> PathBuf {
    data_dir.join(FOLDER).join(format!("{figure}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_found_for_its_figure_only() {
        let dir = tempfile::tempdir().unwrap();
        let (contract, hash) = (Address::repeat_byte(1), B256::repeat_byte(2));
        let find = |contract, figure, hash| {
            FigureVerdict::find(dir.path(), contract, figure, hash).unwrap()
        };
        assert_eq!(find(contract, 7, hash), None);
        let mut left = FigureVerdict { contract, figure: 7, hash, verdict: Verdict::False };
        left.leave(dir.path()).unwrap();
        assert_eq!(find(contract, 7, hash), Some(Verdict::False));
        assert_eq!(find(Address::ZERO, 7, hash), None, "another deployment's");
        assert_eq!(find(contract, 7, B256::ZERO), None, "another figure of this number");
        assert_eq!(find(contract, 8, hash), None);
        left.verdict = Verdict::Holds;
        left.leave(dir.path()).unwrap();
        assert_eq!(find(contract, 7, hash), Some(Verdict::Holds));
    }

    #[test]
    fn what_is_no_verdict_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let find = || FigureVerdict::find(dir.path(), Address::ZERO, 7, B256::ZERO);
        let path = path(dir.path(), 7);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for text in ["", "{}", "false", &"x".repeat(5_000)] {
            std::fs::write(&path, text).unwrap();
            let error = find().unwrap_err().to_string();
            assert!(error.contains("7.json"), "{error}");
        }
    }
}

//! The Datanet directory: strict reading, atomic writing.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

use alloy::primitives::{Address, B256, keccak256};
use attribution::settle::merkle;
use inference::weights::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const MANIFEST: &str = "datanet.json";
const ROWS: &str = "rows.jsonl";
/// Largest line that is read, in bytes; a row is at most a few thousand.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Most rows of one version.
const MAX_ROWS: usize = 1 << 22;

/// What a version is called and what it is bound to on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name under which the Datanet is registered.
    pub name: String,
    /// SPDX identifier of the rows' licence.
    pub licence: String,
    /// On-chain id; zero until the Datanet is created.
    pub id: B256,
    /// On-chain version; 0 until it is published.
    pub version: u32,
    /// Merkle root over the rows' leaves, in order.
    pub rows_root: B256,
}

impl Manifest {
    /// Reads the manifest of a directory, and none of its rows.
    ///
    /// # Errors
    /// [`Error::Datanet`] if it is missing or is not a manifest.
    pub fn load(dir: &Path) -> Result<Self> {
        let text = fs::read_to_string(dir.join(MANIFEST)).map_err(|e| damaged(dir, e))?;
        serde_json::from_str(&text).map_err(|e| damaged(dir, format!("{MANIFEST}: {e}")))
    }
}

/// One accepted piece of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Position in the version.
    pub index: u64,
    /// The data itself.
    pub text: String,
    /// Who contributed it.
    pub contributor: Address,
    /// keccak256 of the text's UTF-8 bytes.
    pub row_hash: B256,
    /// Row hash of the canonical (first registered) row of its duplicate cluster.
    pub cluster_hash: B256,
    /// File that the row was cut from.
    pub source: String,
}

impl Row {
    /// The row's Merkle leaf, as `IDatanetRegistry` defines it.
    pub fn leaf(&self) -> [u8; 32] {
        merkle::row_leaf(
            self.index,
            self.row_hash.into(),
            self.contributor.into(),
            self.cluster_hash.into(),
        )
    }
}

/// A version: its manifest and rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datanet {
    /// Name, licence and on-chain identity.
    pub manifest: Manifest,
    /// Rows in registration order.
    pub rows: Vec<Row>,
}

impl Datanet {
    /// A version that is not on chain yet.
    pub fn new(name: &str, licence: &str, rows: Vec<Row>) -> Self {
        let manifest = Manifest {
            name: name.to_owned(),
            licence: licence.to_owned(),
            id: B256::ZERO,
            version: 0,
            rows_root: root_of(&rows),
        };
        Self { manifest, rows }
    }

    /// Reads and checks a directory.
    ///
    /// # Errors
    /// [`Error::Datanet`] if a file is missing, a line is not a row, rows are misnumbered, or a
    /// row's hash or the root is not that of the rows.
    pub fn load(dir: &Path) -> Result<Self> {
        let fail = |why: String| damaged(dir, why);
        let manifest = Manifest::load(dir)?;
        let file = fs::File::open(dir.join(ROWS)).map_err(|e| fail(e.to_string()))?;
        let mut rows = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|e| fail(e.to_string()))?;
            if line.len() > MAX_LINE_BYTES || number >= MAX_ROWS {
                return Err(fail(format!("{ROWS} line {number} is over the size limits")));
            }
            let row: Row = serde_json::from_str(&line)
                .map_err(|e| fail(format!("{ROWS} line {number}: {e}")))?;
            check_row(&row, number as u64).map_err(fail)?;
            rows.push(row);
        }
        let root = root_of(&rows);
        if root != manifest.rows_root {
            return Err(fail(format!("rows have root {root}, not {}", manifest.rows_root)));
        }
        Ok(Self { manifest, rows })
    }

    /// Writes the directory; each file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Datanet`] if a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| damaged(dir, e))?;
        let mut lines = Vec::new();
        for row in &self.rows {
            serde_json::to_writer(&mut lines, row).expect("a row is plain data");
            lines.push(b'\n');
        }
        let manifest = serde_json::to_vec_pretty(&self.manifest).expect("a manifest is plain data");
        write_atomically(&dir.join(ROWS), &lines).map_err(|e| damaged(dir, e))?;
        write_atomically(&dir.join(MANIFEST), &manifest).map_err(|e| damaged(dir, e))
    }

    /// The rows that count, in order: the first of each duplicate cluster.
    pub fn canonical(&self) -> impl Iterator<Item = &Row> {
        let mut seen = HashSet::new();
        self.rows.iter().filter(move |row| seen.insert(row.cluster_hash))
    }

    /// Merkle leaves of the rows, in order.
    pub fn leaves(&self) -> Vec<[u8; 32]> {
        self.rows.iter().map(Row::leaf).collect()
    }
}

/// The error of a file or folder `at` that breaks a rule.
pub(super) fn damaged(at: &Path, why: impl std::fmt::Display) -> Error {
    Error::Datanet(format!("{}: {why}", at.display()))
}

fn check_row(row: &Row, number: u64) -> std::result::Result<(), String> {
    if row.index != number {
        return Err(format!("row {number} has index {}", row.index));
    }
    let hash = keccak256(row.text.as_bytes());
    if hash != row.row_hash {
        return Err(format!("row {number} has hash {hash}, not {}", row.row_hash));
    }
    Ok(())
}

fn root_of(rows: &[Row]) -> B256 {
    let leaves: Vec<_> = rows.iter().map(Row::leaf).collect();
    B256::from(merkle::root(&leaves))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datanet() -> Datanet {
        let row = |index: u64, text: &str| Row {
            index,
            text: text.to_owned(),
            contributor: Address::repeat_byte(index as u8 + 1),
            row_hash: keccak256(text),
            cluster_hash: keccak256(text),
            source: "a.sol".to_owned(),
        };
        Datanet::new("test", "MIT", vec![row(0, "function a()"), row(1, "b"), row(2, "c")])
    }

    #[test]
    fn a_saved_datanet_loads_equal() {
        let dir = tempfile::tempdir().unwrap();

        datanet().save(dir.path()).unwrap();

        assert_eq!(Datanet::load(dir.path()).unwrap(), datanet());
    }

    #[test]
    fn changed_rows_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        datanet().save(dir.path()).unwrap();
        let path = dir.path().join(ROWS);
        let rows = fs::read_to_string(&path).unwrap();

        for (from, to) in [("function a()", "function x()"), ("\"index\":1", "\"index\":7")] {
            fs::write(&path, rows.replace(from, to)).unwrap();
            assert!(Datanet::load(dir.path()).is_err(), "{from} -> {to}");
        }

        let other = format!("{:?}", Address::repeat_byte(9));
        let stolen = rows.replace(&format!("{:?}", Address::repeat_byte(1)), &other);
        fs::write(&path, stolen).unwrap();
        let error = Datanet::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("root"), "{error}");
    }
}

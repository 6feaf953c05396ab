//! `model.json` and the hashes that tie a model's files to its registration.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use alloy::primitives::{B256, Keccak256};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, config::read_small};

/// The influence index of a model directory.
pub const INDEX_FILE: &str = "index.olx";
/// The manifest of a model directory.
pub const MANIFEST_FILE: &str = "model.json";
/// What decides an adapter's arithmetic.
const ADAPTER_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// What decides a base model's prompts and arithmetic, besides its weights.
const BASE_FILES: [&str; 3] = ["config.json", "tokenizer.json", "tokenizer_config.json"];

/// A version of a Datanet that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatanetVersion {
    /// The Datanet.
    pub id: B256,
    /// Its version, from 1.
    pub version: u32,
}

/// `model.json`: what a model directory claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// Registered name.
    pub name: String,
    /// On-chain id.
    pub model_id: B256,
    /// On-chain id of the base.
    pub base_id: B256,
    /// [`adapter_hash`] of the directory.
    pub adapter_hash: B256,
    /// Merkle root of the influence index's contributor leaves.
    pub index_root: B256,
    /// keccak256 of the influence index file.
    pub index_hash: B256,
    /// Datanet versions that it was trained on, as registered.
    pub datanets: Vec<DatanetVersion>,
    /// Hash of its span index's commitment; none for a model without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_hash: Option<B256>,
}

impl ModelManifest {
    /// Reads `model.json` of a model directory.
    ///
    /// # Errors
    /// [`Error::Catalog`] if it is missing or is not a manifest.
    pub fn load(dir: &Path) -> Result<Self> {
        let text = read_small(&dir.join(MANIFEST_FILE)).map_err(|error| refused(dir, error))?;
        serde_json::from_str(&text)
            .map_err(|error| refused(dir, format!("{MANIFEST_FILE}: {error}")))
    }

    /// Writes `model.json`; it appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest is plain data");
        text.push('\n');
        Ok(inference::weights::write_atomically(&dir.join(MANIFEST_FILE), text.as_bytes())?)
    }
}

/// Content hash of an adapter: keccak256 of the hashes of its configuration and its weights.
///
/// # Errors
/// [`Error::Io`] if a file cannot be read.
pub fn adapter_hash(dir: &Path) -> Result<B256> {
    hash_of_hashes(ADAPTER_FILES.iter().map(|name| dir.join(name)))
}

/// Content hash of a base model: keccak256 of the hashes of its configuration, its tokenizer, the
/// tokenizer's configuration with the chat template, and its safetensors files by name.
///
/// # Errors
/// [`Error::Io`] if a file cannot be read, [`Error::Config`] if there are no weights.
pub fn base_hash(dir: &Path) -> Result<B256> {
    let mut weights = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            weights.push(path);
        }
    }
    if weights.is_empty() {
        return Err(Error::Config(format!("{} has no safetensors file", dir.display())));
    }
    weights.sort();
    hash_of_hashes(BASE_FILES.iter().map(|name| dir.join(name)).chain(weights))
}

/// keccak256 of a file, read in pieces.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub fn file_hash(path: &Path) -> Result<B256> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut hasher = Keccak256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(Error::io(path))? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&piece[..read]),
        }
    }
}

fn hash_of_hashes(paths: impl Iterator<Item = PathBuf>) -> Result<B256> {
    let mut hasher = Keccak256::new();
    for path in paths {
        hasher.update(file_hash(&path)?);
    }
    Ok(hasher.finalize())
}

/// The error of a model directory that breaks a rule.
pub(super) fn refused(dir: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Catalog { dir: dir.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;

    use super::*;

    #[test]
    fn an_adapters_hash_covers_both_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(ADAPTER_FILES[0]), "config").unwrap();
        std::fs::write(dir.path().join(ADAPTER_FILES[1]), "weights").unwrap();
        let expected = keccak256([keccak256("config"), keccak256("weights")].concat());
        assert_eq!(adapter_hash(dir.path()).unwrap(), expected);
    }

    #[test]
    fn a_base_without_weights_has_no_hash() {
        let dir = tempfile::tempdir().unwrap();
        for name in BASE_FILES {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        assert!(base_hash(dir.path()).is_err());
        std::fs::write(dir.path().join("model.safetensors"), "weights").unwrap();
        let hashes = BASE_FILES.map(keccak256);
        let expected = keccak256([&hashes[..], &[keccak256("weights")]].concat().concat());
        assert_eq!(base_hash(dir.path()).unwrap(), expected);
    }

    #[test]
    fn manifests_read_back_and_unknown_fields_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = ModelManifest {
            name: "solidity".into(),
            model_id: B256::repeat_byte(1),
            base_id: B256::repeat_byte(2),
            adapter_hash: B256::repeat_byte(3),
            index_root: B256::repeat_byte(4),
            index_hash: B256::repeat_byte(5),
            datanets: vec![DatanetVersion { id: B256::repeat_byte(6), version: 1 }],
            span_hash: Some(B256::repeat_byte(7)),
        };
        manifest.save(dir.path()).unwrap();
        assert_eq!(ModelManifest::load(dir.path()).unwrap(), manifest);
        let path = dir.path().join(MANIFEST_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"name\"", "\"nome\"")).unwrap();
        assert!(ModelManifest::load(dir.path()).is_err());
        let without = ModelManifest { span_hash: None, ..manifest };
        without.save(dir.path()).unwrap();
        assert_eq!(ModelManifest::load(dir.path()).unwrap(), without);
        assert!(!std::fs::read_to_string(path).unwrap().contains("span"));
    }
}

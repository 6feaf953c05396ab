//! Rows that questions are answered from.

use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use serde::Deserialize;

use super::check;
use crate::{Result, retrieval::RetrievalSettings};

/// Rows that questions are answered from. The versions are those in `node.datanets` and `folders`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalConfig {
    /// Folder of the sentence encoder, as `tools/encoder.sh` lays it.
    pub encoder: PathBuf,
    /// Folder of the library, which is made of the rows; `library` in the data folder if absent.
    pub library: Option<PathBuf>,
    /// Folders of Datanet directories, in which new versions may appear at any time.
    #[serde(default)]
    pub folders: Vec<PathBuf>,
    /// Datanets whose rows only keys see that name them.
    #[serde(default)]
    pub private: Vec<B256>,
    /// Most rows of one question.
    #[serde(default = "max_rows")]
    pub max_rows: usize,
    /// Least cosine of a row with its question, in ten-thousandths; others are not found.
    #[serde(default = "min_cosine_bps")]
    pub min_cosine_bps: u16,
    /// Questions a second that are answered with rows alone, and for nothing.
    #[serde(default = "free_per_second")]
    pub free_per_second: u32,
}

const fn max_rows() -> usize {
    16
}
const fn min_cosine_bps() -> u16 {
    1_500
}
const fn free_per_second() -> u32 {
    10
}

impl RetrievalConfig {
    pub(super) fn validate(&self) -> Result<()> {
        [
            ("retrieval.max_rows", self.max_rows as u64, 1, 64),
            ("retrieval.min_cosine_bps", self.min_cosine_bps.into(), 0, 10_000),
            ("retrieval.free_per_second", self.free_per_second.into(), 1, 1_000),
        ]
        .into_iter()
        .try_for_each(check)
    }

    /// Paths in it.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        std::iter::once(&mut self.encoder).chain(&mut self.library).chain(&mut self.folders)
    }

    /// What retrieval is told, by a node with this data folder.
    pub fn settings(&self, data: &Path) -> RetrievalSettings {
        RetrievalSettings {
            encoder: self.encoder.clone(),
            library: self.library.clone().unwrap_or_else(|| data.join("library")),
            private: self.private.iter().copied().collect(),
            max_rows: self.max_rows,
            min_cosine_bps: self.min_cosine_bps,
            free_per_second: self.free_per_second,
        }
    }
}

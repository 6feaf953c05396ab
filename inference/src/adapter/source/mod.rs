//! Where an adapter's two files come from.

mod address;
mod folder;
mod http;

use std::fmt;

pub use self::{
    address::is_public,
    folder::FolderSource,
    http::{HttpConfig, HttpSource, HttpSources, Manifest, RemoteFile},
};
use super::{AdapterHash, AdapterLimits, adapter_hash};
use crate::Result;

/// The bytes of an adapter's two files.
#[derive(Clone, PartialEq, Eq)]
pub struct AdapterFiles {
    /// `adapter_config.json`
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`
    pub weights: Vec<u8>,
}

impl fmt::Debug for AdapterFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (config, weights) = (self.config.len(), self.weights.len());
        write!(f, "AdapterFiles({config} and {weights} bytes)")
    }
}

impl AdapterFiles {
    /// What an adapter of these files is known by.
    pub fn hash(&self) -> AdapterHash {
        adapter_hash(&self.config, &self.weights)
    }

    /// Bytes of both.
    pub const fn len(&self) -> usize {
        self.config.len() + self.weights.len()
    }

    /// Whether both are empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A place to read an adapter from. It is kept for every registered adapter, so it should be small.
pub trait Source: fmt::Debug + Send + Sync {
    /// Reads both files. May block for long; reads no more than `limits` allow.
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] with the reason, [`crate::Error::Io`] for files of this machine.
    fn fetch(&self, limits: &AdapterLimits) -> Result<AdapterFiles>;

    /// Whether what was fetched should be kept on disk: false for what lies there already.
    fn is_remote(&self) -> bool {
        true
    }
}

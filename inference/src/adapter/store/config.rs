//! Bounds of a store.

use std::path::PathBuf;

use crate::adapter::{AdapterLimits, HttpConfig};

/// Bounds of an [`AdapterStore`](super::AdapterStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Most registered adapters.
    pub registered: usize,
    /// Most adapters in slots, those that are only kept for a running request included.
    pub resident_slots: usize,
    /// Most bytes of all adapters in slots.
    pub resident_bytes: usize,
    /// Most bytes of files kept in memory, from which slots are filled in a few milliseconds.
    pub host_bytes: usize,
    /// Where remote adapters are kept on disk; `None` fetches them again.
    pub disk: Option<PathBuf>,
    /// Most bytes there.
    pub disk_bytes: u64,
    /// Folders are read from below this one only; `None` allows any.
    pub root: Option<PathBuf>,
    /// Bounds of each adapter's files.
    pub limits: AdapterLimits,
    /// Threads that load.
    pub loaders: usize,
    /// What may be fetched over HTTP.
    pub http: HttpConfig,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            registered: 1 << 16,
            resident_slots: 256,
            resident_bytes: 1 << 30,
            host_bytes: 1 << 30,
            disk: None,
            disk_bytes: 1 << 35,
            root: None,
            limits: AdapterLimits::default(),
            loaders: 2,
            http: HttpConfig::default(),
        }
    }
}

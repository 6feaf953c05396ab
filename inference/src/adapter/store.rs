//! The adapters that requests may name, and the way from their names to slots.

mod config;
mod loader;
mod merging;
mod status;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::loader::Shared;
pub use self::{
    config::StoreConfig,
    status::{AdapterInfo, AdapterStatus, StoreStats, Tier},
};
use super::{
    Adapter, AdapterFiles, AdapterHash, AdapterLease, AdapterSet, FolderSource, HttpSources,
    OwnerKey, Registration,
    lease::{Pin, Resident},
    registry::digest,
    tiers::State,
};
use crate::{
    Error, Result,
    model::{ParallelDecoder, Site},
};

/// How long a failed load is remembered before it is tried again.
const RETRY: Duration = Duration::from_secs(5);

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

/// Registered adapters in tiers: known by hash, on disk, in memory as files, in slots. Clones share
/// everything; the threads end when the last is dropped.
///
/// An adapter is what its content hash says: whatever a source gives is checked against it, so a slot
/// never holds anything else, and content that changes is another adapter.
#[derive(Clone)]
pub struct AdapterStore {
    handle: Arc<Handle>,
}

/// Ends the threads.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl fmt::Debug for AdapterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdapterStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl AdapterStore {
    /// An empty store for a decoder with these `sites`.
    ///
    /// # Errors
    /// [`Error::Io`] if its threads or folders cannot be made.
    pub fn new(sites: Vec<Site>, config: StoreConfig) -> Result<Self> {
        Self::start(Shared::new(sites, None, config)?)
    }

    /// [`Self::new`] for a model that is split over `ranks`: what is in a slot has their parts too,
    /// and counts them in the budget.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over_ranks(
        sites: Vec<Site>,
        ranks: Arc<ParallelDecoder>,
        config: StoreConfig,
    ) -> Result<Self> {
        Self::start(Shared::new(sites, Some(ranks), config)?)
    }

    fn start(shared: Shared) -> Result<Self> {
        let shared = Arc::new(shared);
        let handle = Arc::new(Handle(Arc::clone(&shared)));
        for index in 0..shared.config.loaders.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("adapters-{index}"))
                .spawn(move || shared.run())
                .map_err(Error::io("adapter thread"))?;
        }
        Ok(Self { handle })
    }

    fn shared(&self) -> &Shared {
        &self.handle.0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared().state()
    }

    /// Makes sources for [`Self::register`].
    pub fn http(&self) -> &HttpSources {
        &self.shared().http
    }

    /// A source that reads the PEFT folder `dir`, from below the configured root.
    pub fn folder(&self, dir: &Path) -> Arc<FolderSource> {
        let root = self.shared().config.root.as_deref().map(Arc::from);
        Arc::new(FolderSource::new(dir, root))
    }

    /// Makes an adapter known. With its hash nothing is read now; without, it is read and checked on
    /// the caller's thread.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the store knows as many as it may, the name is too long, or what was read
    /// is refused; [`Error::Io`] if it cannot be read.
    pub fn register(&self, registration: Registration) -> Result<AdapterHash> {
        let shared = self.shared();
        if let Some(hash) = registration.hash {
            let max = shared.config.registered;
            self.state().registry.insert(hash, registration, None, max)?;
            return Ok(hash);
        }
        let files = registration.source.fetch(&shared.config.limits)?;
        self.admit(files, registration)
    }

    /// Registers content that was just read or made, and keeps it in the host tier.
    fn admit(&self, files: AdapterFiles, registration: Registration) -> Result<AdapterHash> {
        let shared = self.shared();
        let (hash, digest) = (files.hash(), digest(&files));
        let kept = registration.source.is_remote().then(|| files.clone());
        let host = shared.check(files, hash)?;
        if let Some(files) = kept {
            shared.keep(hash, &files);
        }
        let mut state = self.state();
        state.registry.insert(hash, registration, Some(digest), shared.config.registered)?;
        if !state.is_busy(&hash) {
            state.fetched(hash, Ok(Arc::new(host)));
        }
        Ok(hash)
    }

    /// The adapter that `name`, or a hash in hex, means for the holder of `key`.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`], the same for adapters of others as for those that do not exist.
    pub fn resolve(&self, name: &str, key: Option<&OwnerKey>) -> Result<AdapterHash> {
        self.state().registry.resolve(name, key)
    }

    /// Whether the holder of `key` may use an adapter.
    pub fn is_visible(&self, hash: &AdapterHash, key: Option<&OwnerKey>) -> bool {
        self.state().registry.is_visible(hash, key)
    }

    /// The adapters that the holder of `key` may use, in order of hash.
    pub fn list(&self, key: Option<&OwnerKey>) -> Vec<AdapterStatus> {
        let state = self.state();
        let status = |(hash, names, entry): (AdapterHash, Vec<String>, &super::registry::Entry)| {
            let tier = if state.resident(&hash).is_some() {
                Tier::Resident
            } else if state.host.contains(&hash) {
                Tier::Host
            } else {
                Tier::Registered
            };
            AdapterStatus { hash, names, tier, rank: entry.shape.map(|(rank, _)| rank as usize) }
        };
        state.registry.list(key).into_iter().map(status).collect()
    }

    /// Withdraws what the holder of `key` (or, without one, the public) registered under a name or
    /// hash. When nobody else registered it, it leaves every tier; requests that hold it finish.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if there is none of that owner.
    pub fn withdraw(&self, name: &str, key: Option<&OwnerKey>) -> Result<()> {
        let unknown = || Error::UnknownAdapter(name.chars().take(256).collect());
        let mut state = self.state();
        let hash = state.registry.resolve(name, key)?;
        if state.registry.withdraw(&hash, key).map_err(|_| unknown())? {
            self.leave(state, hash);
        }
        Ok(())
    }

    /// Takes an adapter out of service for everybody; requests that hold it finish with it.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if it is not registered.
    pub fn unload(&self, hash: AdapterHash) -> Result<()> {
        let mut state = self.state();
        state.registry.remove(&hash)?;
        self.leave(state, hash);
        Ok(())
    }

    fn leave(&self, mut state: MutexGuard<'_, State>, hash: AdapterHash) {
        state.forget(&hash);
        let notify = state.advance();
        drop(state);
        if let Some(disk) = &self.shared().disk {
            disk.remove(hash);
        }
        notify.iter().for_each(|notify| notify());
    }

    /// Checks that every adapter of `set` is registered.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if one is not.
    pub fn check(&self, set: &AdapterSet) -> Result<()> {
        let state = self.state();
        match set.parts().iter().find(|(hash, _)| state.registry.get(hash).is_none()) {
            Some((hash, _)) => Err(Error::UnknownAdapter(hash.to_string())),
            None => Ok(()),
        }
    }

    /// Pins the adapters of `set`, or begins to load those that are not in a slot.
    ///
    /// Never blocks on a load. `notify` is kept only if the answer is [`Demand::Loading`]; give the
    /// same one at every request, and ask again within two seconds of being notified, because after
    /// that the adapters may leave their slots again.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if one is not registered: the base model never stands in for it.
    /// [`Error::Adapter`] with the reason if one could not be loaded.
    pub fn request(&self, set: &AdapterSet, notify: Notify) -> Result<Demand> {
        let hashes: Vec<AdapterHash> = set.parts().iter().map(|(hash, _)| *hash).collect();
        let ready = |pins: Vec<Pin>| {
            let parts = pins.into_iter().zip(set.parts());
            Demand::Ready(parts.map(|(pin, (_, weight))| AdapterLease::new(pin, *weight)).collect())
        };
        let mut state = self.state();
        for hash in &hashes {
            let entry = state.registry.get(hash);
            let entry = entry.ok_or_else(|| Error::UnknownAdapter(hash.to_string()))?;
            if let Some((_, reason)) =
                entry.failure.as_deref().filter(|(at, _)| at.elapsed() < RETRY)
            {
                return Err(Error::Adapter(format!("{hash}: {reason}")));
            }
        }
        if let Some(answer) = state.claim(&hashes) {
            return answer.map(ready).map_err(Error::Adapter);
        }
        if let Some(pins) = state.pin(&hashes) {
            return Ok(ready(pins));
        }
        state.wait(hashes.clone(), Arc::clone(&notify));
        let wake = state.advance();
        let answer = state.claim(&hashes);
        drop(state);
        wake.iter().filter(|other| !Arc::ptr_eq(other, &notify)).for_each(|notify| notify());
        answer.map_or(Ok(Demand::Loading), |answer| answer.map(ready).map_err(Error::Adapter))
    }

    /// As [`Self::request`], waiting on this thread until the adapters are there.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn acquire(&self, set: &AdapterSet) -> Result<Vec<AdapterLease>> {
        let signal = Arc::new((Mutex::new(false), Condvar::new()));
        let notify: Notify = {
            let signal = Arc::clone(&signal);
            Arc::new(move || {
                *signal.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                signal.1.notify_all();
            })
        };
        loop {
            match self.request(set, Arc::clone(&notify))? {
                Demand::Ready(leases) => return Ok(leases),
                Demand::Loading => {
                    let mut ready = signal.0.lock().unwrap_or_else(PoisonError::into_inner);
                    while !*ready {
                        ready = signal.1.wait(ready).unwrap_or_else(PoisonError::into_inner);
                    }
                    *ready = false;
                }
            }
        }
    }

    /// Begins to bring the files of a request that is still in a queue into memory. Those that are
    /// unknown are passed over.
    pub fn prefetch(&self, set: &AdapterSet) {
        let mut state = self.state();
        for (hash, _) in set.parts() {
            let wanted = state.registry.get(hash).is_some_and(|entry| entry.failure.is_none())
                && state.resident(hash).is_none()
                && !state.host.contains(hash);
            if wanted {
                state.prefetch(*hash);
            }
        }
    }

    /// Registers the PEFT folder `dir` for everybody and brings it into a slot, on the caller's
    /// thread. The same bytes again change nothing.
    ///
    /// # Errors
    /// As [`Self::register`] and [`Self::request`].
    pub fn load(&self, dir: &Path) -> Result<AdapterInfo> {
        let source = self.folder(dir);
        let hash = self.register(Registration { name: None, owner: None, source, hash: None })?;
        let lease = self.acquire(&AdapterSet::one(hash));
        if lease.is_err() {
            // It fits no slot: as if it had never been.
            let _ = self.unload(hash);
        }
        let lease = lease?;
        drop(lease);
        let info = self.state().resident(&hash).map(info);
        info.ok_or_else(|| Error::UnknownAdapter(hash.to_string()))
    }

    /// The adapters in slots, in order of hash.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        let mut list: Vec<AdapterInfo> = self.state().residents().map(info).collect();
        list.sort_by_key(|info| info.hash);
        list
    }

    /// An adapter, loaded on the caller's thread if need be. It stays in memory, beyond the bounds,
    /// as long as it is held.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn get(&self, hash: AdapterHash) -> Result<Arc<Adapter>> {
        Ok(Arc::clone(self.acquire(&AdapterSet::one(hash))?[0].adapter()))
    }

    /// Occupation of the tiers.
    pub fn stats(&self) -> StoreStats {
        let disk = self.shared().disk.as_ref().map_or((0, 0), |disk| disk.size());
        let state = self.state();
        StoreStats {
            registered: state.registry.len(),
            disk,
            host: state.host.len(),
            host_bytes: state.host.bytes,
            loads: state.generation,
            evictions: state.evictions,
            resident: state.slots(),
            resident_bytes: state.resident_bytes,
            waiting: state.waiting(),
        }
    }
}

fn info(resident: &Arc<Resident>) -> AdapterInfo {
    let adapter = &resident.adapter;
    AdapterInfo {
        hash: adapter.hash(),
        slot: resident.slot,
        rank: adapter.rank(),
        sites: adapter.sites().len(),
        bytes: adapter.bytes(),
        in_flight: resident.pins(),
    }
}

//! The threads that bring adapters nearer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::StoreConfig;
use crate::{
    Error, Result,
    adapter::{
        AdapterFiles, AdapterHash, HttpSources,
        disk::Disk,
        host::HostAdapter,
        queue::{Job, Queue},
        registry::{Digest, digest},
        tiers::State,
    },
    model::{ParallelDecoder, Site},
};

/// How often answers that nobody takes are looked at.
const PATIENCE: Duration = Duration::from_secs(1);

/// What handles and threads share. The state's lock is held for look-ups only, never while files are
/// read, checked or packed.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: StoreConfig,
    pub(super) http: HttpSources,
    pub(super) disk: Option<Disk>,
    pub(super) queue: Arc<Queue>,
    pub(super) sites: Vec<Site>,
    ranks: Option<Arc<ParallelDecoder>>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(
        sites: Vec<Site>,
        ranks: Option<Arc<ParallelDecoder>>,
        config: StoreConfig,
    ) -> Result<Self> {
        let disk = match &config.disk {
            Some(root) => Some(Disk::open(root, config.disk_bytes)?),
            None => None,
        };
        let queue = Arc::new(Queue::default());
        let StoreConfig { host_bytes, resident_slots, resident_bytes, .. } = config;
        let parts = ranks.as_ref().map_or(0, |ranks| ranks.shares().len());
        let state =
            State::new(host_bytes, resident_slots, resident_bytes, parts, Arc::clone(&queue));
        let http = HttpSources::new(config.http.clone());
        Ok(Self { config, http, disk, queue, sites, ranks, state: Mutex::new(state) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; were it so, the maps would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until the queue is closed.
    pub(super) fn run(&self) {
        let mut patience = None;
        while let Some(job) = self.queue.pop(patience) {
            let mut state = match job {
                Job::Fetch(hash) => {
                    let host = guarded(|| self.fetch(hash)).map(Arc::new);
                    if let Err(error) = &host {
                        tracing::warn!(target: "inference::adapter", %hash, %error, "not loaded");
                    }
                    let mut state = self.state();
                    state.fetched(hash, host);
                    state
                }
                Job::Pack(host, slot) => {
                    let packed = guarded(|| host.pack(self.ranks.as_deref()));
                    let mut state = self.state();
                    state.packed(slot, host.hash(), packed);
                    state
                }
                Job::Look => self.state(),
            };
            let notify = state.advance();
            patience = state.unclaimed().then_some(PATIENCE);
            drop(state);
            notify.iter().for_each(|notify| notify());
        }
    }

    /// The checked files of a registered adapter, from the nearest place.
    pub(super) fn fetch(&self, hash: AdapterHash) -> Result<HostAdapter> {
        let (source, known) = {
            let mut state = self.state();
            let entry = state.registry.get(&hash);
            let entry = entry.ok_or_else(|| Error::UnknownAdapter(hash.to_string()))?;
            let (source, known) = (Arc::clone(&entry.source), entry.digest);
            if let Some((_, bytes)) = entry.shape {
                // Before it is read, so that the bound holds while it is.
                state.host.make_room(bytes as usize);
            }
            (source, known)
        };
        let limits = &self.config.limits;
        let remote = source.is_remote();
        if let Some(disk) = self.disk.as_ref().filter(|_| remote)
            && let Some(files) = disk.read(hash, limits)
        {
            // Read and verified alone: whatever does not fit the model is not the disk's damage.
            match self.verify(&files, hash, known) {
                Ok(()) => return self.check(files, hash),
                Err(error) => {
                    tracing::warn!(target: "inference::adapter", %hash, %error, "damaged on disk");
                    disk.remove(hash);
                }
            }
        }
        let files = source.fetch(limits)?;
        HostAdapter::parse_while(files, hash, &self.sites, limits, |files| {
            self.verify(files, hash, known)?;
            if remote {
                self.keep(hash, files);
            }
            Ok(())
        })
    }

    /// Whether files are those of `hash`. Content that was proven once is compared by a digest that
    /// is faster and as strong.
    fn verify(&self, files: &AdapterFiles, hash: AdapterHash, known: Option<Digest>) -> Result<()> {
        let found = digest(files);
        if known == Some(found) {
            return Ok(());
        }
        let content = files.hash();
        if content != hash {
            return Err(Error::Adapter(format!("the content is {content}")));
        }
        if let Some(entry) = self.state().registry.get_mut(&hash) {
            entry.digest = Some(found);
        }
        Ok(())
    }

    /// Files checked against the model.
    pub(super) fn check(&self, files: AdapterFiles, hash: AdapterHash) -> Result<HostAdapter> {
        HostAdapter::parse(files, hash, &self.sites, &self.config.limits)
    }

    /// Keeps remote files on disk; without success, they are fetched again when needed.
    pub(super) fn keep(&self, hash: AdapterHash, files: &AdapterFiles) {
        if let Some(Err(error)) = self.disk.as_ref().map(|disk| disk.write(hash, files)) {
            tracing::warn!(target: "inference::adapter", %hash, %error, "not kept on disk");
        }
    }
}

/// Turns a panic of a library over damaged input into an error, so that nobody waits for ever.
fn guarded<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    let failed = |_| Err(Error::Adapter("the loader failed".into()));
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(failed)
}

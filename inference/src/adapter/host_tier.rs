//! The tier of files in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{AdapterHash, host::HostAdapter};

/// Parsed files, least recently used first to go.
#[derive(Debug)]
pub(super) struct HostTier {
    entries: HashMap<AdapterHash, (Arc<HostAdapter>, u64)>,
    order: BTreeMap<u64, AdapterHash>,
    clock: u64,
    pub(super) bytes: usize,
    pub(super) budget: usize,
}

impl HostTier {
    pub(super) fn new(budget: usize) -> Self {
        let (entries, order) = (HashMap::new(), BTreeMap::new());
        Self { entries, order, clock: 0, bytes: 0, budget }
    }

    pub(super) fn get(&mut self, hash: &AdapterHash) -> Option<Arc<HostAdapter>> {
        let (host, at) = self.entries.get_mut(hash)?;
        self.clock += 1;
        self.order.remove(at);
        self.order.insert(self.clock, *hash);
        *at = self.clock;
        Some(Arc::clone(host))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, hash: &AdapterHash) -> bool {
        self.entries.contains_key(hash)
    }

    pub(super) fn remove(&mut self, hash: &AdapterHash) {
        if let Some((host, at)) = self.entries.remove(hash) {
            self.order.remove(&at);
            self.bytes -= host.bytes();
        }
    }

    /// Makes room for `bytes`; false if they are more than the whole budget.
    pub(super) fn make_room(&mut self, bytes: usize) -> bool {
        while self.bytes + bytes > self.budget {
            let Some((_, oldest)) = self.order.first_key_value() else { return false };
            let oldest = *oldest;
            self.remove(&oldest);
        }
        true
    }

    /// Keeps files; false if they are more than the whole budget.
    pub(super) fn insert(&mut self, host: Arc<HostAdapter>) -> bool {
        self.remove(&host.hash());
        if !self.make_room(host.bytes()) {
            return false;
        }
        self.clock += 1;
        self.bytes += host.bytes();
        self.order.insert(self.clock, host.hash());
        self.entries.insert(host.hash(), (host, self.clock));
        true
    }
}

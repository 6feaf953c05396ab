//! The adapters of running sequences.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::mailbox::Mailbox;
use crate::{
    Result,
    adapter::{Adapter, AdapterLease, AdapterSet, AdapterStore, Demand, Notify},
    scheduler::{Adapters, Part, Readiness, SequenceId},
    step::SlotId,
};

/// Leases by sequence.
pub(super) struct Leases {
    store: AdapterStore,
    held: HashMap<SequenceId, Vec<AdapterLease>>,
    notify: Notify,
}

impl Leases {
    pub(super) fn new(store: AdapterStore, mailbox: &Arc<Mailbox>) -> Self {
        let mailbox = Arc::clone(mailbox);
        Self { store, held: HashMap::new(), notify: Arc::new(move || mailbox.wake()) }
    }

    /// All adapters of these sequences, by slot.
    pub(super) fn of(&self, sequences: &[SequenceId]) -> BTreeMap<SlotId, &Adapter> {
        let leases = sequences.iter().filter_map(|id| self.held.get(id)).flatten();
        leases.map(|lease| (lease.slot(), &**lease.adapter())).collect()
    }
}

impl Adapters for Leases {
    fn request(&mut self, sequence: SequenceId, set: &AdapterSet) -> Result<Readiness> {
        if set.parts().is_empty() {
            return Ok(Readiness::Ready(Vec::new()));
        }
        let part = |lease: &AdapterLease| Part {
            slot: lease.slot(),
            rank: lease.adapter().rank(),
            scale: lease.weight(),
        };
        match self.store.request(set, Arc::clone(&self.notify))? {
            Demand::Loading => Ok(Readiness::Loading),
            Demand::Ready(leases) => {
                let parts = leases.iter().map(part).collect();
                self.held.insert(sequence, leases);
                Ok(Readiness::Ready(parts))
            }
        }
    }

    fn release(&mut self, sequence: SequenceId) {
        self.held.remove(&sequence);
    }

    fn prefetch(&mut self, set: &AdapterSet) {
        self.store.prefetch(set);
    }
}

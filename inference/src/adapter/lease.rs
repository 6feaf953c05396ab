//! Slots, what is in them, and what keeps it there.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{Adapter, queue::Queue};
use crate::step::SlotId;

/// What a slot holds. The next adapter in the slot is another resident with a higher generation.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) slot: SlotId,
    pub(super) generation: u64,
    pub(super) adapter: Arc<Adapter>,
    /// Bytes that it counts in the budget.
    pub(super) bytes: usize,
    pins: AtomicUsize,
    /// Whether it is kept for running requests only.
    retired: AtomicBool,
    queue: Arc<Queue>,
}

impl Resident {
    pub(super) const fn new(
        slot: SlotId,
        generation: u64,
        adapter: Arc<Adapter>,
        bytes: usize,
        queue: Arc<Queue>,
    ) -> Self {
        let (pins, retired) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { slot, generation, adapter, bytes, pins, retired, queue }
    }

    /// Pins at this moment. Only the holder of the store's lock may take zero for an answer: every
    /// first pin is made under it.
    pub(super) fn pins(&self) -> usize {
        self.pins.load(Ordering::SeqCst)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }
}

/// Keeps an adapter in its slot.
#[derive(Debug)]
pub(super) struct Pin(Arc<Resident>);

impl Pin {
    pub(super) fn new(resident: &Arc<Resident>) -> Self {
        resident.pins.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(resident))
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.0.pins.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.queue.released(self.0.retired.load(Ordering::SeqCst));
        }
    }
}

/// One adapter of a request, pinned in its slot until it is dropped.
#[derive(Clone)]
pub struct AdapterLease {
    pin: Pin,
    weight: f32,
}

impl fmt::Debug for AdapterLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resident { slot, generation, adapter, .. } = &*self.pin.0;
        f.debug_struct("AdapterLease")
            .field("slot", slot)
            .field("generation", generation)
            .field("adapter", &adapter.hash())
            .field("weight", &self.weight)
            .finish()
    }
}

impl AdapterLease {
    pub(super) const fn new(pin: Pin, weight: f32) -> Self {
        Self { pin, weight }
    }

    /// The adapter's slot while the lease lives.
    pub fn slot(&self) -> SlotId {
        self.pin.0.slot
    }

    /// Number of the load that put the adapter into its slot: no two loads have the same.
    pub fn generation(&self) -> u64 {
        self.pin.0.generation
    }

    /// The adapter.
    pub fn adapter(&self) -> &Arc<Adapter> {
        &self.pin.0.adapter
    }

    /// Its weight in the request's set.
    pub const fn weight(&self) -> f32 {
        self.weight
    }
}

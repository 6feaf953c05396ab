//! Sequences that wait, in fair order.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{NewSequence, SequenceId};
use crate::kv::{CacheLease, PrefixKey};

/// Where a waiting sequence's cache comes from.
#[derive(Debug, Default)]
pub(super) enum Fork {
    /// From nowhere: it has one of its own.
    #[default]
    No,
    /// From this sequence, which has the same prompt, once that one has computed it.
    After(SequenceId),
    /// It is here, with all of the prompt but the last token.
    Of(CacheLease),
}

/// A sequence that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: SequenceId,
    pub(super) sequence: NewSequence,
    pub(super) key: PrefixKey,
    pub(super) fork: Fork,
    /// Since when its adapters are being loaded.
    pub(super) loading: Option<Instant>,
    /// Whether its adapters have been prefetched.
    pub(super) prefetched: bool,
}

/// A queue for each tenant; the tenants take turns.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    tenants: HashMap<u64, VecDeque<Waiting>>,
    /// Tenants with waiting sequences; the first has the next turn.
    turns: VecDeque<u64>,
    len: usize,
}

impl FairQueue {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn of_tenant(&self, tenant: u64) -> usize {
        self.tenants.get(&tenant).map_or(0, VecDeque::len)
    }

    pub(super) fn push(&mut self, id: SequenceId, sequence: NewSequence, fork: Fork) {
        let queue = self.tenants.entry(sequence.tenant).or_default();
        if queue.is_empty() {
            self.turns.push_back(sequence.tenant);
        }
        let key = sequence.prefix_key();
        queue.push_back(Waiting { id, sequence, key, fork, loading: None, prefetched: false });
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: SequenceId) -> Option<Waiting> {
        let (tenant, index) = self.tenants.iter().find_map(|(tenant, queue)| {
            let index = queue.iter().position(|waiting| waiting.id == id)?;
            Some((*tenant, index))
        })?;
        self.take(tenant, index)
    }

    /// Takes a sequence out without using up its tenant's turn.
    fn take(&mut self, tenant: u64, index: usize) -> Option<Waiting> {
        let queue = self.tenants.get_mut(&tenant)?;
        let waiting = queue.remove(index)?;
        self.len -= 1;
        if queue.is_empty() {
            self.tenants.remove(&tenant);
            self.turns.retain(|turn| *turn != tenant);
        }
        Some(waiting)
    }

    /// Takes a sequence out that starts: its tenant's next turn comes after everyone else's.
    pub(super) fn start(&mut self, id: SequenceId) -> Option<Waiting> {
        let waiting = self.remove(id)?;
        let tenant = waiting.sequence.tenant;
        if self.tenants.contains_key(&tenant) {
            self.turns.retain(|turn| *turn != tenant);
            self.turns.push_back(tenant);
        }
        Some(waiting)
    }

    /// Everyone in the order in which they may start now: the first of each tenant, beginning with
    /// the one whose turn it is, then the second of each, and so on.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Waiting> {
        let deepest = self.tenants.values().map(VecDeque::len).max().unwrap_or(0);
        (0..deepest).flat_map(move |depth| {
            self.turns.iter().filter_map(move |tenant| self.tenants[tenant].get(depth))
        })
    }

    pub(super) fn get_mut(&mut self, id: SequenceId) -> Option<&mut Waiting> {
        self.tenants.values_mut().flatten().find(|waiting| waiting.id == id)
    }

    /// Everyone in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.tenants.values().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.tenants.values_mut().flatten()
    }
}

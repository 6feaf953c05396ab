//! The tiers in memory, as plain state: what is kept, what goes, what is to be loaded next.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Adapter, AdapterHash, Notify,
    host::HostAdapter,
    host_tier::HostTier,
    lease::{Pin, Resident},
    queue::{Job, Queue},
    registry::Registry,
};
use crate::{Result, step::SlotId};

/// How long adapters are kept in their slots for a request that was told that they are ready.
const CLAIM: Duration = Duration::from_secs(2);
/// Waiting requests, from the oldest, whose files are brought into the host tier.
const AHEAD: usize = 16;

/// A slot.
#[derive(Debug)]
enum Slot {
    Free,
    /// Being packed: bytes that are set aside.
    Reserved(usize),
    Full(Arc<Resident>),
}

/// A request that waits for its adapters.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) hashes: Vec<AdapterHash>,
    notify: Vec<Waker>,
    outcome: Option<Outcome>,
    /// Files that the host tier has no room for.
    carried: HashMap<AdapterHash, Arc<HostAdapter>>,
}

#[derive(Clone)]
struct Waker(Notify);

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

#[derive(Debug)]
struct Outcome {
    pins: std::result::Result<Vec<Pin>, String>,
    since: Instant,
}

/// Everything behind the store's lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) host: HostTier,
    /// By hash, with the time of the last use.
    resident: HashMap<AdapterHash, (Arc<Resident>, u64)>,
    order: BTreeMap<u64, AdapterHash>,
    slots: Vec<Slot>,
    /// Bytes of full and reserved slots.
    pub(super) resident_bytes: usize,
    max_slots: usize,
    max_bytes: usize,
    clock: u64,
    /// Number of loads into slots.
    pub(super) generation: u64,
    /// Adapters that made room for others in slots.
    pub(super) evictions: u64,
    /// Ranks that have parts of what is in slots; 0 if there is nothing but the whole.
    ranks: usize,
    /// In the order in which they came.
    tickets: Vec<Ticket>,
    /// Adapters that a thread works on.
    busy: HashSet<AdapterHash>,
    queue: Arc<Queue>,
}

impl State {
    pub(super) fn new(
        host_bytes: usize,
        max_slots: usize,
        max_bytes: usize,
        ranks: usize,
        queue: Arc<Queue>,
    ) -> Self {
        Self {
            registry: Registry::default(),
            host: HostTier::new(host_bytes),
            resident: HashMap::new(),
            order: BTreeMap::new(),
            slots: Vec::new(),
            resident_bytes: 0,
            max_slots,
            max_bytes,
            clock: 0,
            generation: 0,
            evictions: 0,
            ranks,
            tickets: Vec::new(),
            busy: HashSet::new(),
            queue,
        }
    }

    pub(super) fn residents(&self) -> impl Iterator<Item = &Arc<Resident>> {
        self.resident.values().map(|(resident, _)| resident)
    }

    pub(super) fn resident(&self, hash: &AdapterHash) -> Option<&Arc<Resident>> {
        self.resident.get(hash).map(|(resident, _)| resident)
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Free)).count()
    }

    pub(super) fn waiting(&self) -> usize {
        self.tickets.iter().filter(|ticket| ticket.outcome.is_none()).count()
    }

    /// Pins of all `hashes` if all are in slots.
    pub(super) fn pin(&mut self, hashes: &[AdapterHash]) -> Option<Vec<Pin>> {
        if !hashes.iter().all(|hash| self.resident.contains_key(hash)) {
            return None;
        }
        let pins = hashes.iter().map(|hash| {
            let (resident, at) = self.resident.get_mut(hash).expect("it was found above");
            self.clock += 1;
            self.order.remove(at);
            self.order.insert(self.clock, *hash);
            *at = self.clock;
            Pin::new(resident)
        });
        Some(pins.collect())
    }

    /// What became of an earlier request for the same adapters, if that is known.
    pub(super) fn claim(
        &mut self,
        hashes: &[AdapterHash],
    ) -> Option<std::result::Result<Vec<Pin>, String>> {
        let decided = |ticket: &Ticket| ticket.outcome.is_some() && ticket.hashes == hashes;
        let index = self.tickets.iter().position(decided)?;
        self.tickets.remove(index).outcome.map(|outcome| outcome.pins)
    }

    /// Lets a request wait.
    pub(super) fn wait(&mut self, hashes: Vec<AdapterHash>, notify: Notify) {
        let waiting = |ticket: &&mut Ticket| ticket.outcome.is_none() && ticket.hashes == hashes;
        if let Some(ticket) = self.tickets.iter_mut().find(waiting) {
            if !ticket.notify.iter().any(|Waker(known)| Arc::ptr_eq(known, &notify)) {
                ticket.notify.push(Waker(notify));
            }
            return;
        }
        let carried = HashMap::new();
        self.tickets.push(Ticket { hashes, notify: vec![Waker(notify)], outcome: None, carried });
    }

    /// Whether a thread works on the adapter.
    pub(super) fn is_busy(&self, hash: &AdapterHash) -> bool {
        self.busy.contains(hash)
    }

    /// Lets a thread fetch an adapter that nobody waits for yet, if few others are under way.
    pub(super) fn prefetch(&mut self, hash: AdapterHash) {
        if self.busy.len() < AHEAD {
            self.fetch(hash);
        }
    }

    /// Lets a thread fetch an adapter unless one does.
    fn fetch(&mut self, hash: AdapterHash) {
        if self.busy.insert(hash) {
            self.queue.push(Job::Fetch(hash));
        }
    }

    /// Takes files in that were fetched.
    pub(super) fn fetched(&mut self, hash: AdapterHash, result: Result<Arc<HostAdapter>>) {
        self.busy.remove(&hash);
        let Some(entry) = self.registry.get_mut(&hash) else {
            return self.fail(&hash, "it is not registered any more");
        };
        let host = match result {
            Ok(host) => host,
            Err(error) => {
                let reason = error.to_string();
                entry.failure = Some(Box::new((Instant::now(), reason.clone())));
                return self.fail(&hash, &reason);
            }
        };
        entry.failure = None;
        entry.shape = Some((host.rank() as u32, host.resident_bytes(0) as u64));
        if !self.host.insert(Arc::clone(&host)) {
            for ticket in self.tickets.iter_mut().filter(|ticket| ticket.hashes.contains(&hash)) {
                ticket.carried.insert(hash, Arc::clone(&host));
            }
        }
    }

    /// Takes in what was packed for a reserved slot.
    pub(super) fn packed(&mut self, slot: SlotId, hash: AdapterHash, result: Result<Adapter>) {
        self.busy.remove(&hash);
        let index = slot.0 as usize - 1;
        let Slot::Reserved(reserved) = std::mem::replace(&mut self.slots[index], Slot::Free) else {
            unreachable!("a slot stays reserved until it is packed");
        };
        self.resident_bytes -= reserved;
        let adapter = match result {
            Ok(adapter) => Arc::new(adapter),
            Err(error) => return self.fail(&hash, &error.to_string()),
        };
        if self.registry.get(&hash).is_none() {
            return self.fail(&hash, "it is not registered any more");
        }
        self.clock += 1;
        self.generation += 1;
        let (bytes, queue) = (adapter.bytes(), Arc::clone(&self.queue));
        let resident = Arc::new(Resident::new(slot, self.generation, adapter, bytes, queue));
        self.resident_bytes += bytes;
        self.slots[index] = Slot::Full(Arc::clone(&resident));
        self.resident.insert(hash, (resident, self.clock));
        self.order.insert(self.clock, hash);
    }

    /// Takes an adapter out of memory; its slot is free when its pins are gone.
    pub(super) fn forget(&mut self, hash: &AdapterHash) {
        self.host.remove(hash);
        if let Some((resident, at)) = self.resident.remove(hash) {
            self.order.remove(&at);
            resident.retire();
        }
        self.fail(hash, "it is not registered any more");
    }

    fn fail(&mut self, hash: &AdapterHash, reason: &str) {
        let since = Instant::now();
        for ticket in &mut self.tickets {
            if ticket.outcome.is_none() && ticket.hashes.contains(hash) {
                let reason = format!("{hash}: {reason}");
                ticket.outcome = Some(Outcome { pins: Err(reason), since });
            }
        }
    }

    /// Starts what can be started for the requests that wait, oldest first, and returns whom to tell.
    ///
    /// Only the oldest request that lacks room may take adapters out of slots for itself; those
    /// behind it go on with what is in slots already. So it cannot be overtaken for ever, and two
    /// requests cannot each hold what the other needs.
    pub(super) fn advance(&mut self) -> Vec<Notify> {
        self.collect();
        // Up before anything is looked at: a pin that goes meanwhile is reported.
        self.queue.starved.store(true, Ordering::SeqCst);
        let mut held = HashSet::new();
        let mut blocked = false;
        for index in 0..self.tickets.len() {
            if self.tickets[index].outcome.is_some() {
                continue;
            }
            let hashes = std::mem::take(&mut self.tickets[index].hashes);
            let mut outcome = self.pin(&hashes).map(Ok);
            if outcome.is_none() {
                if !blocked {
                    held.extend(hashes.iter().filter(|hash| self.resident.contains_key(*hash)));
                }
                for hash in &hashes {
                    match self.bring(hash, index, &hashes, &held, blocked) {
                        Brought::Underway => {}
                        Brought::NoRoom => blocked = true,
                        Brought::Never(reason) => outcome = Some(Err(reason)),
                    }
                }
            }
            let ticket = &mut self.tickets[index];
            ticket.hashes = hashes;
            ticket.outcome = outcome.map(|pins| Outcome { pins, since: Instant::now() });
        }
        self.queue.starved.store(blocked, Ordering::SeqCst);
        let decided = self.tickets.iter_mut().filter(|ticket| ticket.outcome.is_some());
        decided.flat_map(|ticket| ticket.notify.drain(..)).map(|Waker(notify)| notify).collect()
    }

    /// Frees slots whose adapter is gone and unpinned, and forgets answers that nobody took.
    fn collect(&mut self) {
        self.tickets.retain(|t| t.outcome.as_ref().is_none_or(|o| o.since.elapsed() < CLAIM));
        for slot in &mut self.slots {
            if let Slot::Full(resident) = slot {
                let current = self.resident.get(&resident.adapter.hash());
                let kept = current.is_some_and(|(current, _)| Arc::ptr_eq(current, resident));
                if !kept && resident.pins() == 0 {
                    self.resident_bytes -= resident.bytes;
                    *slot = Slot::Free;
                }
            }
        }
    }

    /// Whether answers wait to be taken.
    pub(super) fn unclaimed(&self) -> bool {
        self.tickets.iter().any(|ticket| ticket.outcome.is_some())
    }

    /// One step on the way of `hash` into a slot.
    fn bring(
        &mut self,
        hash: &AdapterHash,
        ticket: usize,
        own: &[AdapterHash],
        held: &HashSet<AdapterHash>,
        blocked: bool,
    ) -> Brought {
        if self.resident.contains_key(hash) || self.busy.contains(hash) {
            return Brought::Underway;
        }
        let carried = self.tickets[ticket].carried.get(hash).cloned();
        let Some(host) = carried.or_else(|| self.host.get(hash)) else {
            // While somebody waits for a slot, files only fill what room the host tier has: otherwise
            // those that wait would push each other out of it.
            if ticket < AHEAD && !(blocked && self.host_is_full(hash)) {
                self.fetch(*hash);
            }
            return Brought::Underway;
        };
        if blocked {
            return Brought::Underway;
        }
        match self.reserve(hash, host.resident_bytes(self.ranks), own, held) {
            Ok(Some(slot)) => {
                self.busy.insert(*hash);
                self.tickets[ticket].carried.remove(hash);
                self.queue.push(Job::Pack(host, slot));
                Brought::Underway
            }
            Ok(None) => Brought::NoRoom,
            Err(reason) => Brought::Never(reason),
        }
    }

    /// Sets a slot and `bytes` aside, taking out what was used longest ago and is neither pinned nor
    /// held. Nothing if that does not suffice now; an error if it never will.
    fn reserve(
        &mut self,
        hash: &AdapterHash,
        bytes: usize,
        own: &[AdapterHash],
        held: &HashSet<AdapterHash>,
    ) -> std::result::Result<Option<SlotId>, String> {
        let (slots, most) = (self.max_slots, self.max_bytes);
        if bytes > most {
            return Err(format!("{hash}: it needs {bytes} bytes of {most}"));
        }
        let free = |state: &Self| state.slots() < slots && state.resident_bytes + bytes <= most;
        while !free(self) {
            let idle =
                |hash: &&AdapterHash| !held.contains(*hash) && self.resident[*hash].0.pins() == 0;
            let Some(oldest) = self.order.values().find(idle).copied() else {
                // Others will leave; if there are none, the request's own adapters fill all there is.
                if self.slots.iter().all(|slot| self.is_free_or_held_by(slot, own)) {
                    return Err(format!(
                        "a request's adapters need more than {slots} slots or {most} bytes"
                    ));
                }
                return Ok(None);
            };
            self.evict(&oldest);
            self.evictions += 1;
        }
        let index = match self.slots.iter().position(|slot| matches!(slot, Slot::Free)) {
            Some(index) => index,
            None => {
                self.slots.push(Slot::Free);
                self.slots.len() - 1
            }
        };
        self.slots[index] = Slot::Reserved(bytes);
        self.resident_bytes += bytes;
        Ok(Some(SlotId(index as u32 + 1)))
    }

    fn is_free_or_held_by(&self, slot: &Slot, own: &[AdapterHash]) -> bool {
        match slot {
            Slot::Free => true,
            // It may turn out smaller than what was set aside.
            Slot::Reserved(..) => false,
            Slot::Full(resident) => {
                let hash = resident.adapter.hash();
                let current = self.resident(&hash).is_some_and(|now| Arc::ptr_eq(now, resident));
                current && own.contains(&hash)
            }
        }
    }

    /// Whether the files of `hash`, as far as their size is known, would push others out.
    fn host_is_full(&self, hash: &AdapterHash) -> bool {
        let shape = self.registry.get(hash).and_then(|entry| entry.shape);
        let bytes = shape.map_or(0, |(_, bytes)| bytes as usize);
        self.host.bytes + bytes >= self.host.budget
    }

    fn evict(&mut self, hash: &AdapterHash) {
        let (resident, at) = self.resident.remove(hash).expect("only residents are taken out");
        self.order.remove(&at);
        self.resident_bytes -= resident.bytes;
        self.slots[resident.slot.0 as usize - 1] = Slot::Free;
    }
}

/// What can be done for an adapter.
enum Brought {
    Underway,
    NoRoom,
    Never(String),
}

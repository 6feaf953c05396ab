//! Which sequences start.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{
    Adapters, Planned, Readiness, Scheduler, SequenceId,
    queue::{Fork, Waiting},
    running::{Running, Sequence, open},
};
use crate::{
    adapter::AdapterHash,
    kv::{CacheLease, KvPool},
};

/// Most sequences with loading adapters that are passed in one plan.
const LOOKAHEAD: usize = 32;
/// Most waiting sequences whose adapters are prefetched in one plan.
const PREFETCH: usize = 8;

/// The drain rule while it holds: see [`super::SchedulerConfig::drain_after`].
struct Drain {
    /// The sequence that has waited too long.
    waits: SequenceId,
    /// Adapters of all earlier sequences and its own.
    allowed: HashSet<AdapterHash>,
}

impl Drain {
    fn holds_back(&self, waiting: &Waiting) -> bool {
        let foreign = |(hash, _): &(AdapterHash, f32)| !self.allowed.contains(hash);
        waiting.id > self.waits && waiting.sequence.adapters.parts().iter().any(foreign)
    }
}

impl Scheduler {
    pub(super) fn admit(
        &mut self,
        kv: &mut KvPool,
        adapters: &mut dyn Adapters,
        now: Instant,
        planned: &mut Planned,
    ) {
        if !self.resume(kv) {
            return;
        }
        let mut passed = HashSet::new();
        while self.running.len() < self.config.max_running && passed.len() < LOOKAHEAD {
            let drain = self.drain(now);
            let may_start = |waiting: &&Waiting| {
                let held_back = drain.as_ref().is_some_and(|drain| drain.holds_back(waiting));
                let follows = matches!(waiting.fork, Fork::After(_));
                !held_back && !follows && !passed.contains(&waiting.id)
            };
            let next = self.waiting.in_turn().find(may_start).map(|waiting| waiting.id);
            let Some(id) = next else { break };
            if let Some(leader) = self.twin(id) {
                self.follow(id, leader);
                continue;
            }
            if !self.try_start(id, kv, adapters, now, planned, &mut passed) {
                break;
            }
        }
        self.prefetch(adapters);
    }

    /// Preempted sequences go on. False while one has to wait for blocks: then nobody starts.
    fn resume(&mut self, kv: &mut KvPool) -> bool {
        while let Some((id, sequence)) = self.preempted.pop_first() {
            match sequence.open(kv, self.config.prefix_cache, self.running.len()) {
                Some(cache) => self.run(id, Running::start(sequence, cache, kv)),
                None => {
                    self.preempted.insert(id, sequence);
                    if !self.give_forks_up() {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn run(&mut self, id: SequenceId, running: Running) {
        let (known, shared) = running.at_start();
        self.counters.known_tokens += known as u64;
        self.counters.shared_tokens += shared as u64;
        self.running.insert(id, running);
    }

    /// Starts a waiting sequence, passes it while its adapters load, or refuses it. False if it has
    /// to wait for blocks.
    fn try_start(
        &mut self,
        id: SequenceId,
        kv: &mut KvPool,
        adapters: &mut dyn Adapters,
        now: Instant,
        planned: &mut Planned,
        passed: &mut HashSet<SequenceId>,
    ) -> bool {
        let waiting = self.waiting.get_mut(id).expect("the id was just found");
        let parts = match adapters.request(id, &waiting.sequence.adapters) {
            Ok(Readiness::Ready(parts)) => parts,
            Ok(Readiness::Loading) => {
                waiting.loading.get_or_insert(now);
                waiting.prefetched = true;
                passed.insert(id);
                return true;
            }
            Err(error) => {
                self.waiting.remove(id);
                self.succeed(id);
                planned.refused.push((id, error));
                return true;
            }
        };
        let Some(cache) = self.cache_of(id, kv) else {
            adapters.release(id);
            return false;
        };
        let Waiting { sequence, key, .. } = self.waiting.start(id).expect("the id was just found");
        let running = Running::start(Sequence::new(sequence, key, parts), cache, kv);
        self.counters.started += 1;
        planned.started.push((id, running.at_start().1));
        self.run(id, running);
        true
    }

    /// A cache for a waiting sequence, if there is room for its prompt.
    fn cache_of(&mut self, id: SequenceId, kv: &mut KvPool) -> Option<CacheLease> {
        // One spare block for each running sequence, or it would soon be preempted again.
        let (share, spare) = (self.config.prefix_cache, self.running.len());
        let waiting = self.waiting.get_mut(id)?;
        let prompt = &waiting.sequence.prompt;
        match std::mem::take(&mut waiting.fork) {
            Fork::Of(cache) if kv.grow_leaving(cache.id(), prompt.len(), spare) => {
                return Some(cache);
            }
            Fork::Of(cache) if spare > 0 => {
                waiting.fork = Fork::Of(cache);
                return None;
            }
            _ => {}
        }
        let cache = open(kv, &waiting.key, prompt, share, spare);
        // Where nothing runs, nobody but those that wait can give blocks back.
        if cache.is_some() || spare > 0 || !self.give_forks_up() {
            return cache;
        }
        let waiting = self.waiting.get_mut(id)?;
        open(kv, &waiting.key, &waiting.sequence.prompt, share, spare)
    }

    fn drain(&self, now: Instant) -> Option<Drain> {
        let late = |waiting: &&Waiting| {
            waiting.loading.is_some_and(|since| {
                now.checked_duration_since(since).unwrap_or(Duration::ZERO)
                    > self.config.drain_after
            })
        };
        let waits = self.waiting.iter().filter(late).map(|waiting| waiting.id).min()?;
        let running = self.running.iter().map(|(id, running)| (*id, running.adapters()));
        let waiting = self.waiting.iter().map(|waiting| (waiting.id, &waiting.sequence.adapters));
        let earlier = running.chain(waiting).filter(|(id, _)| *id <= waits);
        let allowed =
            earlier.flat_map(|(_, set)| set.parts().iter().map(|(hash, _)| *hash)).collect();
        Some(Drain { waits, allowed })
    }

    fn prefetch(&mut self, adapters: &mut dyn Adapters) {
        let next: Vec<SequenceId> = self
            .waiting
            .in_turn()
            .take(PREFETCH)
            .filter(|waiting| !waiting.prefetched)
            .map(|waiting| waiting.id)
            .collect();
        for id in next {
            let waiting = self.waiting.get_mut(id).expect("the id was just found");
            waiting.prefetched = true;
            if !waiting.sequence.adapters.parts().is_empty() {
                adapters.prefetch(&waiting.sequence.adapters);
            }
        }
    }
}

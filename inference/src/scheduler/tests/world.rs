//! A scheduler with a model and a store of adapters that are simple enough to predict.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::super::*;
use crate::{
    adapter::AdapterHash,
    kv::{KvStore, KvView},
};

pub(super) fn hash(adapter: u8) -> AdapterHash {
    AdapterHash([adapter; 32])
}

pub(super) fn sequence(prompt: usize, max_tokens: usize, adapters: &[u8]) -> NewSequence {
    let parts = adapters.iter().map(|adapter| (hash(*adapter), 1.0)).collect();
    let adapters = AdapterSet::new(parts).unwrap();
    NewSequence {
        prompt: (0..prompt as u32).collect(),
        max_tokens,
        adapters,
        ..NewSequence::default()
    }
}

/// Rounds that a loaded adapter waits to be claimed.
const PATIENCE: usize = 5;

/// Adapters 1 to 50 over some slots, where a load takes some rounds. Slot and adapter have the same
/// number. A loaded adapter stays for the sequence that asked for it, but not for ever.
#[derive(Debug)]
pub(super) struct Slots {
    count: usize,
    latency: usize,
    round: usize,
    /// Round in which each is loaded, and whether it waits to be claimed.
    resident: BTreeMap<AdapterHash, (usize, bool)>,
    held: HashMap<SequenceId, Vec<AdapterHash>>,
    pub(super) prefetched: Vec<Vec<AdapterHash>>,
}

impl Slots {
    pub(super) fn new(count: usize, latency: usize) -> Self {
        let (resident, held) = (BTreeMap::new(), HashMap::new());
        Self { count, latency, round: 0, resident, held, prefetched: Vec::new() }
    }

    /// Every adapter is in its slot.
    pub(super) fn all() -> Self {
        Self::new(50, 0)
    }

    fn pinned(&self) -> BTreeSet<AdapterHash> {
        self.held.values().flatten().copied().collect()
    }

    fn load(&mut self, wanted: &[AdapterHash]) {
        for hash in wanted {
            if self.resident.contains_key(hash) {
                continue;
            }
            if self.resident.len() == self.count {
                let pinned = self.pinned();
                let idle = self.resident.iter().find(|(hash, (at, unclaimed))| {
                    let kept = *unclaimed && self.round < at + PATIENCE;
                    !kept && !pinned.contains(*hash) && !wanted.contains(hash)
                });
                let Some(idle) = idle.map(|(hash, _)| *hash) else { return };
                self.resident.remove(&idle);
            }
            self.resident.insert(*hash, (self.round + self.latency, true));
        }
    }
}

impl Adapters for Slots {
    fn request(&mut self, sequence: SequenceId, set: &AdapterSet) -> Result<Readiness> {
        let wanted: Vec<AdapterHash> = set.parts().iter().map(|(hash, _)| *hash).collect();
        if let Some(unknown) = wanted.iter().find(|hash| hash.0[0] > 50) {
            return Err(Error::UnknownAdapter(unknown.to_string()));
        }
        self.load(&wanted);
        let here = |hash| self.resident.get(hash).is_some_and(|(at, _)| *at <= self.round);
        if !wanted.iter().all(here) {
            return Ok(Readiness::Loading);
        }
        let part =
            |hash: &AdapterHash| Part { slot: SlotId(u32::from(hash.0[0])), rank: 4, scale: 1.0 };
        for hash in &wanted {
            self.resident.get_mut(hash).unwrap().1 = false;
        }
        let parts = wanted.iter().map(part).collect();
        self.held.insert(sequence, wanted);
        assert!(self.pinned().len() <= self.count);
        Ok(Readiness::Ready(parts))
    }

    fn release(&mut self, sequence: SequenceId) {
        self.held.remove(&sequence);
    }

    fn prefetch(&mut self, set: &AdapterSet) {
        self.prefetched.push(set.parts().iter().map(|(hash, _)| *hash).collect());
    }
}

/// The model: what comes after some tokens with some adapters.
pub(super) fn next_token(key: u64, tokens: &[u32]) -> u32 {
    let mix =
        |hash: u64, token: &u32| (hash ^ u64::from(*token)).wrapping_mul(0x5851_f42d_4c95_7f2d);
    (tokens.iter().fold(key, mix) >> 40) as u32 % 50
}

pub(super) fn key(sequence: &NewSequence) -> u64 {
    sequence.adapters.parts().iter().fold(1, |key, (hash, _)| key * 60 + u64::from(hash.0[0]))
}

/// A sequence as an observer sees it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) new: NewSequence,
    pub(super) tokens: Vec<u32>,
    pub(super) gone: bool,
}

pub(super) struct World {
    pub(super) scheduler: Scheduler,
    pub(super) kv: KvPool,
    pub(super) slots: Slots,
    pub(super) seen: Vec<Seen>,
    pub(super) finished: Vec<u64>,
    pub(super) refused: Vec<u64>,
    pub(super) cold: Option<SequenceId>,
    start: Instant,
}

impl World {
    pub(super) fn new(config: SchedulerConfig, tokens: usize, slots: Slots) -> Self {
        Self {
            scheduler: Scheduler::new(config).unwrap(),
            kv: super::pool(tokens),
            slots,
            seen: Vec::new(),
            finished: Vec::new(),
            refused: Vec::new(),
            cold: None,
            start: Instant::now(),
        }
    }

    pub(super) fn submit(&mut self, new: NewSequence) -> SequenceId {
        self.submit_n(new, 1)[0]
    }

    pub(super) fn submit_n(&mut self, new: NewSequence, n: usize) -> Vec<SequenceId> {
        let ids = self.scheduler.submit_n(new.clone(), n).unwrap();
        assert_eq!(ids.len(), n);
        for id in &ids {
            assert_eq!(id.0 as usize, self.seen.len());
            self.seen.push(Seen { new: new.clone(), tokens: new.prompt.clone(), gone: false });
        }
        ids
    }

    pub(super) fn cancel(&mut self, id: SequenceId) {
        self.scheduler.remove(id);
        self.slots.release(id);
        self.seen[id.0 as usize].gone = true;
    }

    /// Plans a step, computes it and samples. A round is a millisecond.
    pub(super) fn round(&mut self) -> Option<Plan> {
        self.slots.round += 1;
        let now = self.start + Duration::from_millis(self.slots.round as u64);
        let planned = self.scheduler.plan(&mut self.kv, &mut self.slots, now);
        for (id, _) in planned.refused {
            self.refused.push(id.0);
            self.seen[id.0 as usize].gone = true;
        }
        let plan = planned.plan?;
        self.compute(&plan);
        self.scheduler.computed(&plan, &mut self.kv);
        for id in &plan.sampled {
            self.sample(*id, &plan);
        }
        Some(plan)
    }

    /// A token's key is the token, its value tells the adapters and the position.
    fn compute(&mut self, plan: &Plan) {
        for (id, span) in plan.sequences.iter().zip(&plan.step.sequences) {
            let Seen { new, .. } = &self.seen[id.0 as usize];
            let keys: Vec<f32> =
                plan.step.tokens[span.range.clone()].iter().map(|token| *token as f32).collect();
            let positions = &plan.step.positions[span.range.clone()];
            let values: Vec<f32> =
                positions.iter().map(|at| (key(new) * 1000) as f32 + *at as f32).collect();
            assert_eq!(self.kv.length(span.cache).unwrap(), positions[0] as usize);
            self.kv.append(span.cache, 0, keys.len(), &keys, &values).unwrap();
        }
    }

    /// The next token, from what the cache holds.
    fn sample(&mut self, id: SequenceId, plan: &Plan) {
        let at = plan.sequences.iter().position(|other| *other == id).unwrap();
        let seen = &mut self.seen[id.0 as usize];
        let KvView::Paged(view) = self.kv.view(plan.step.sequences[at].cache, 0).unwrap() else {
            panic!("a pool's view is paged");
        };
        let held: Vec<u32> = (0..view.length())
            .map(|position| {
                let (token, value) = view.row(position);
                assert_eq!(value, [(key(&seen.new) * 1000) as f32 + position as f32]);
                token[0] as u32
            })
            .collect();
        seen.tokens.push(next_token(key(&seen.new), &held));
        if seen.tokens.len() == seen.new.capacity() {
            seen.gone = true;
            self.finished.push(id.0);
            self.scheduler.remove(id);
            self.slots.release(id);
        } else {
            self.scheduler.append(id, *seen.tokens.last().unwrap());
        }
    }

    /// What the sequence's tokens are when it is alone in the world.
    pub(super) fn alone(new: &NewSequence) -> Vec<u32> {
        let mut tokens = new.prompt.clone();
        while tokens.len() < new.capacity() {
            tokens.push(next_token(key(new), &tokens));
        }
        tokens
    }

    /// Tokens that each sequence gets in each step, until nothing is left to do.
    pub(super) fn run(&mut self, rounds: usize) -> Vec<Vec<(u64, usize)>> {
        let mut steps = Vec::new();
        for _ in 0..rounds {
            let Some(plan) = self.round() else { continue };
            let spans = plan.step.sequences.iter().map(|span| span.range.len());
            let mut step: Vec<_> = plan.sequences.iter().map(|id| id.0).zip(spans).collect();
            step.sort_unstable();
            steps.push(step);
        }
        assert_eq!((self.scheduler.running(), self.scheduler.waiting()), (0, 0));
        steps
    }
}

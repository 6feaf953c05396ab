//! Continuous batching: which tokens of which sequences go into the next step.
//!
//! The rules, in this order:
//! 1. Sequences that were preempted go on first, in the order in which they came.
//! 2. Then waiting sequences start, tenant by tenant in turn and in order of arrival within a tenant,
//!    while the batch and the KV pool have room. Where room is lacking nobody passes. A sequence
//!    whose adapters are being loaded is passed by others, but only for so long: see
//!    [`SchedulerConfig::drain_after`].
//!    A sequence with the prompt of one that is computing it waits for that one's cache and begins
//!    with a fork of it.
//! 3. Every running sequence whose prompt is done decodes one token in every step. If blocks run out,
//!    the youngest running sequence gives its own back, keeps its tokens and is computed again
//!    later. So the oldest always advances.
//! 4. What is left of the step's tokens goes to prompts, oldest first, in chunks. At least one token
//!    is always left, so the oldest prompt advances in every step.

mod admission;
mod forks;
mod queue;
mod running;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use self::{
    queue::{FairQueue, Fork},
    running::{Running, Sequence},
};
use crate::{
    Error, Result,
    adapter::AdapterSet,
    kv::{KvPool, PrefixKey},
    step::{SlotId, Step},
};

/// Bounds of a [`Scheduler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Most sequences running at once.
    pub max_running: usize,
    /// Most tokens in one step; above `max_running`.
    pub step_tokens: usize,
    /// Most sequences waiting.
    pub max_waiting: usize,
    /// Most sequences of one tenant waiting.
    pub max_tenant_waiting: usize,
    /// When a sequence has waited this long for its adapters, no later sequence starts whose adapters
    /// are not those of earlier ones, until it has started: so their slots become free.
    pub drain_after: Duration,
    /// Whether sequences that begin with the same tokens share their blocks.
    pub prefix_cache: bool,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            max_running: 32,
            step_tokens: 256,
            max_waiting: 256,
            max_tenant_waiting: 256,
            drain_after: Duration::from_millis(200),
            prefix_cache: true,
        }
    }
}

/// Names a sequence; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

/// One adapter of a sequence, as the step plan needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Its slot, held by the caller while the sequence lives.
    pub slot: SlotId,
    /// Its largest rank.
    pub rank: usize,
    /// Its weight.
    pub scale: f32,
}

/// A sequence to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewSequence {
    /// The prompt, at least one token.
    pub prompt: Vec<u32>,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// Its adapters.
    pub adapters: AdapterSet,
    /// Whose turn it takes.
    pub tenant: u64,
    /// Sequences with different salts share no blocks.
    pub salt: u64,
}

impl NewSequence {
    /// Tokens that its cache must have room for.
    pub const fn capacity(&self) -> usize {
        self.prompt.len().saturating_add(self.max_tokens)
    }

    /// What besides the tokens decides its keys and values.
    fn prefix_key(&self) -> PrefixKey {
        let mut bytes = self.salt.to_be_bytes().to_vec();
        for (hash, weight) in self.adapters.parts() {
            bytes.extend(hash.0);
            bytes.extend(weight.to_bits().to_be_bytes());
        }
        PrefixKey(bytes.into())
    }
}

/// Where a sequence's adapters are.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// In their slots until [`Adapters::release`], in the set's order.
    Ready(Vec<Part>),
    /// On their way; asking again tells when they have come.
    Loading,
}

/// Where the scheduler gets adapters from.
pub trait Adapters {
    /// Pins the adapters of a sequence that could start now, or begins to load them. Never blocks.
    ///
    /// # Errors
    /// If they can never come: the sequence is refused then.
    fn request(&mut self, sequence: SequenceId, set: &AdapterSet) -> Result<Readiness>;

    /// A sequence whose adapters were ready does not start after all.
    fn release(&mut self, sequence: SequenceId);

    /// A sequence with these adapters will start soon.
    fn prefetch(&mut self, set: &AdapterSet);
}

/// A step and whose rows it computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The step. Its sequences with the same adapters lie together.
    pub step: Step,
    /// The sequences in it, in the step's order.
    pub sequences: Vec<SequenceId>,
    /// The sequence of each of [`Step::wanted`]: it gets a new token from that row's logits.
    pub sampled: Vec<SequenceId>,
}

/// What [`Scheduler::plan`] decided.
#[derive(Debug, Default)]
pub struct Planned {
    /// The next step, or nothing if no sequence can advance. Its tokens count as computed: when the
    /// step fails, its sequences must be removed.
    pub plan: Option<Plan>,
    /// Sequences that have started, with how many of their tokens were in shared blocks.
    pub started: Vec<(SequenceId, usize)>,
    /// Sequences whose adapters can never come. They are forgotten.
    pub refused: Vec<(SequenceId, Error)>,
}

/// What a scheduler has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerCounters {
    /// Sequences started.
    pub started: u64,
    /// Times that a sequence gave its blocks back.
    pub preemptions: u64,
    /// Tokens of sequences when they started or went on.
    pub known_tokens: u64,
    /// How many of those were found in shared blocks.
    pub shared_tokens: u64,
}

/// Sequences waiting and running.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    next: u64,
    waiting: FairQueue,
    /// In order of arrival, because ids grow.
    preempted: BTreeMap<SequenceId, Sequence>,
    running: BTreeMap<SequenceId, Running>,
    /// Sequences whose caches others wait for.
    leaders: HashSet<SequenceId>,
    counters: SchedulerCounters,
}

impl Scheduler {
    /// An empty scheduler.
    ///
    /// # Errors
    /// [`Error::Request`] if a bound is 0 or `step_tokens` is not above `max_running`.
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let SchedulerConfig { max_running, step_tokens, max_waiting, max_tenant_waiting, .. } =
            config;
        let zero = max_running == 0 || max_waiting == 0 || max_tenant_waiting == 0;
        if zero || step_tokens <= max_running {
            return Err(Error::Request(format!(
                "a step of {step_tokens} tokens for {max_running} running, {max_waiting} waiting"
            )));
        }
        Ok(Self {
            config,
            next: 0,
            waiting: FairQueue::default(),
            preempted: BTreeMap::new(),
            running: BTreeMap::new(),
            leaders: HashSet::new(),
            counters: SchedulerCounters::default(),
        })
    }

    /// Puts a sequence at the end of its tenant's queue. The caller sees to it that the KV pool could
    /// ever hold it.
    ///
    /// # Errors
    /// [`Error::Busy`] if the queue is full, [`Error::Request`] if the prompt is empty.
    pub fn submit(&mut self, sequence: NewSequence) -> Result<SequenceId> {
        Ok(self.submit_n(sequence, 1)?[0])
    }

    /// [`Self::submit`] for `n` sequences that begin with the same prompt, all or none. The first
    /// computes it; the others start when it has, with forks of its cache.
    ///
    /// # Errors
    /// As [`Self::submit`]; [`Error::Request`] if `n` is 0.
    pub fn submit_n(&mut self, sequence: NewSequence, n: usize) -> Result<Vec<SequenceId>> {
        let SchedulerConfig { max_waiting, max_tenant_waiting, .. } = self.config;
        for (waiting, most) in [
            (self.waiting.len(), max_waiting),
            (self.waiting.of_tenant(sequence.tenant), max_tenant_waiting),
        ] {
            if n > most.saturating_sub(waiting) {
                return Err(Error::Busy { waiting, retry_after: 1 });
            }
        }
        if sequence.prompt.is_empty() || n == 0 {
            let length = sequence.prompt.len();
            return Err(Error::Request(format!("{n} answers to a prompt of {length} tokens")));
        }
        let first = SequenceId(self.next);
        let ids: Vec<SequenceId> = (first.0..first.0 + n as u64).map(SequenceId).collect();
        self.next += n as u64;
        for id in &ids {
            let fork = if *id == first { Fork::No } else { Fork::After(first) };
            self.waiting.push(*id, sequence.clone(), fork);
        }
        if n > 1 {
            self.leaders.insert(first);
        }
        Ok(ids)
    }

    /// Number of sequences that have not started.
    pub const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of sequences that have started and not ended, preempted ones included.
    pub fn running(&self) -> usize {
        self.running.len() + self.preempted.len()
    }

    /// What has been done so far.
    pub const fn counters(&self) -> SchedulerCounters {
        self.counters
    }

    /// Whether the sequence has started and is not removed.
    pub fn is_running(&self, id: SequenceId) -> bool {
        self.running.contains_key(&id) || self.preempted.contains_key(&id)
    }

    /// Decides the next step. `now` never goes back.
    pub fn plan(&mut self, kv: &mut KvPool, adapters: &mut dyn Adapters, now: Instant) -> Planned {
        let mut planned = Planned::default();
        self.admit(kv, adapters, now, &mut planned);
        let takes = self.takes(kv);
        if !takes.is_empty() {
            planned.plan = Some(self.assemble(takes));
        }
        planned
    }

    /// A planned step has been computed: its full blocks may be shared from now on, and those behind
    /// every window are free.
    pub fn computed(&mut self, plan: &Plan, kv: &mut KvPool) {
        for id in &plan.sequences {
            let Some(running) = self.running.get_mut(id) else { continue };
            if self.config.prefix_cache {
                running.register(kv);
            }
            let cache = running.cache();
            if running.pending() == 0 && self.leaders.remove(id) {
                self.fork(*id, kv);
            }
            // After the fork, which needs one token more.
            kv.trim(cache).expect("the lease is held");
        }
    }

    /// Gives a sequence the token that was sampled for it.
    pub fn append(&mut self, id: SequenceId, token: u32) {
        if let Some(running) = self.running.get_mut(&id) {
            running.push(token);
        }
    }

    /// Forgets a sequence that is finished or cancelled, and frees its cache.
    pub fn remove(&mut self, id: SequenceId) {
        if self.running.remove(&id).is_none() && self.preempted.remove(&id).is_none() {
            self.waiting.remove(id);
        }
        self.succeed(id);
    }

    /// How many tokens each sequence gets in the next step.
    fn takes(&mut self, kv: &mut KvPool) -> BTreeMap<SequenceId, usize> {
        let mut takes = BTreeMap::new();
        let decoding = |(id, running): (&SequenceId, &Running)| running.decoding().then_some(*id);
        for id in self.running.iter().filter_map(decoding).collect::<Vec<_>>() {
            if self.make_room(id, kv, &mut takes) {
                takes.insert(id, 1);
            }
        }
        // Room for prompts was made when they were admitted.
        let mut left = self.config.step_tokens - takes.len();
        for (id, running) in self.running.iter().filter(|(_, running)| !running.decoding()) {
            let take = running.pending().min(left);
            left -= take;
            if take > 0 {
                takes.insert(*id, take);
            }
        }
        takes
    }

    /// Makes room for a sequence's next token, at the cost of younger ones. False if it is not
    /// running (any more).
    fn make_room(
        &mut self,
        id: SequenceId,
        kv: &mut KvPool,
        takes: &mut BTreeMap<SequenceId, usize>,
    ) -> bool {
        while let Some(running) = self.running.get(&id) {
            if running.grow(kv) {
                return true;
            }
            if self.give_forks_up() {
                continue;
            }
            let (youngest, running) = self.running.pop_last().expect("`id` is running");
            takes.remove(&youngest);
            self.preempted.insert(youngest, running.preempt());
            self.counters.preemptions += 1;
        }
        false
    }

    fn assemble(&mut self, takes: BTreeMap<SequenceId, usize>) -> Plan {
        // The same adapters next to each other make one segment of them.
        let mut takes: Vec<_> = takes.into_iter().collect();
        takes.sort_by(|(a, _), (b, _)| {
            self.running[a].slots().cmp(self.running[b].slots()).then(a.cmp(b))
        });
        let mut plan = Plan { step: Step::default(), sequences: Vec::new(), sampled: Vec::new() };
        for (id, take) in takes {
            let running = self.running.get_mut(&id).expect("only running sequences take tokens");
            running.take(take, &mut plan.step);
            plan.sequences.push(id);
            if running.pending() == 0 {
                plan.step.wanted.push(plan.step.tokens.len() - 1);
                plan.sampled.push(id);
            }
        }
        plan.step.segments.sort_by_key(|segment| (segment.slot, segment.range.start));
        plan
    }
}

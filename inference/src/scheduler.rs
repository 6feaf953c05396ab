//! Continuous batching: which tokens of which sequences go into the next step.
//!
//! The rules, in this order:
//! 1. Waiting sequences start in the order in which they came, as many as the batch and the KV pool
//!    have room for. A later one never passes an earlier one, so none waits for ever.
//! 2. Every running sequence whose prompt is done decodes one token in every step.
//! 3. What is left of the step's tokens goes to prompts, oldest first, in chunks. At least one token
//!    is always left, so the oldest prompt advances in every step.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    Error, Result,
    kv::{CacheLease, KvPool},
    step::{Segment, SequenceSpan, SlotId, Step},
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
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { max_running: 32, step_tokens: 256, max_waiting: 256 }
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
#[derive(Clone, Debug, PartialEq)]
pub struct NewSequence {
    /// The prompt, at least one token.
    pub prompt: Vec<u32>,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// Its adapters in order; none is the base model.
    pub parts: Vec<Part>,
}

impl NewSequence {
    /// Tokens that its cache must have room for.
    pub const fn capacity(&self) -> usize {
        self.prompt.len().saturating_add(self.max_tokens)
    }
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

/// Sequences waiting and running.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    next: u64,
    waiting: VecDeque<(SequenceId, NewSequence)>,
    /// In order of arrival, because ids grow.
    running: BTreeMap<SequenceId, Running>,
}

#[derive(Debug)]
struct Running {
    /// Prompt and generated tokens.
    tokens: Vec<u32>,
    /// How many of them are in the cache.
    computed: usize,
    prompt: usize,
    parts: Vec<Part>,
    cache: CacheLease,
}

impl Running {
    const fn decoding(&self) -> bool {
        self.computed >= self.prompt
    }

    /// Tokens that the next step may compute.
    const fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }
}

impl Scheduler {
    /// An empty scheduler.
    ///
    /// # Errors
    /// [`Error::Request`] if a bound is 0 or `step_tokens` is not above `max_running`.
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let SchedulerConfig { max_running, step_tokens, max_waiting } = config;
        if max_running == 0 || max_waiting == 0 || step_tokens <= max_running {
            return Err(Error::Request(format!(
                "a step of {step_tokens} tokens for {max_running} running, {max_waiting} waiting"
            )));
        }
        Ok(Self { config, next: 0, waiting: VecDeque::new(), running: BTreeMap::new() })
    }

    /// Puts a sequence at the end of the queue. The caller sees to it that the KV pool could ever
    /// hold it.
    ///
    /// # Errors
    /// [`Error::Busy`] if the queue is full, [`Error::Request`] if the prompt is empty.
    pub fn submit(&mut self, sequence: NewSequence) -> Result<SequenceId> {
        if self.waiting.len() >= self.config.max_waiting {
            return Err(Error::Busy(self.waiting.len()));
        }
        if sequence.prompt.is_empty() {
            return Err(Error::Request("the prompt is empty".into()));
        }
        let id = SequenceId(self.next);
        self.next += 1;
        self.waiting.push_back((id, sequence));
        Ok(id)
    }

    /// Number of sequences that have not started.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of sequences that have started.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether the sequence has started and is not removed.
    pub fn is_running(&self, id: SequenceId) -> bool {
        self.running.contains_key(&id)
    }

    /// The next step, or nothing if no sequence can advance. Its tokens count as computed: when the
    /// step fails, its sequences must be removed.
    pub fn plan(&mut self, kv: &mut KvPool) -> Option<Plan> {
        self.admit(kv);
        let takes = self.takes();
        if takes.is_empty() {
            return None;
        }
        Some(self.assemble(takes))
    }

    /// Gives a sequence the token that was sampled for it.
    pub fn append(&mut self, id: SequenceId, token: u32) {
        if let Some(running) = self.running.get_mut(&id) {
            running.tokens.push(token);
        }
    }

    /// Forgets a sequence that is finished or cancelled, and frees its cache.
    pub fn remove(&mut self, id: SequenceId) {
        if self.running.remove(&id).is_none() {
            self.waiting.retain(|(waiting, _)| *waiting != id);
        }
    }

    fn admit(&mut self, kv: &mut KvPool) {
        while self.running.len() < self.config.max_running {
            let Some((_, first)) = self.waiting.front() else { return };
            let Some(cache) = kv.reserve(first.capacity()) else { return };
            let (id, NewSequence { prompt, parts, .. }) =
                self.waiting.pop_front().expect("the queue has a first");
            let running =
                Running { prompt: prompt.len(), tokens: prompt, computed: 0, parts, cache };
            self.running.insert(id, running);
        }
    }

    /// How many tokens each sequence gets in the next step.
    fn takes(&self) -> Vec<(SequenceId, usize)> {
        let ready = || self.running.iter().filter(|(_, running)| running.pending() > 0);
        let decoding = ready().filter(|(_, running)| running.decoding()).count();
        let mut left = self.config.step_tokens - decoding;
        let mut takes = Vec::new();
        for (id, running) in ready() {
            let take = if running.decoding() { 1 } else { running.pending().min(left) };
            if !running.decoding() {
                left -= take;
            }
            if take > 0 {
                takes.push((*id, take));
            }
        }
        takes
    }

    fn assemble(&mut self, mut takes: Vec<(SequenceId, usize)>) -> Plan {
        // The same adapters next to each other make one segment of them.
        let slots = |id: &SequenceId| -> Vec<SlotId> {
            self.running[id].parts.iter().map(|part| part.slot).collect()
        };
        takes.sort_by_cached_key(|(id, _)| (slots(id), *id));
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

impl Running {
    /// Moves the next `take` tokens into `step`.
    fn take(&mut self, take: usize, step: &mut Step) {
        let start = step.tokens.len();
        let range = start..start + take;
        let computed = self.computed..self.computed + take;
        step.tokens.extend_from_slice(&self.tokens[computed.clone()]);
        step.positions.extend(computed.map(|position| position as u32));
        step.sequences.push(SequenceSpan { range: range.clone(), cache: self.cache.id() });
        for (part, &Part { slot, rank, scale }) in self.parts.iter().enumerate() {
            let follows = |s: &&mut Segment| {
                s.range.end == start && s.slot == slot && s.part == part && s.scale == scale
            };
            match step.segments.iter_mut().find(follows) {
                Some(segment) => segment.range.end = range.end,
                None => {
                    step.segments.push(Segment { range: range.clone(), slot, rank, scale, part });
                }
            }
        }
        self.computed += take;
    }
}

#[cfg(test)]
mod tests;

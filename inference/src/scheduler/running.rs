//! A sequence that has started.

use super::{NewSequence, Part};
use crate::{
    adapter::AdapterSet,
    kv::{BLOCK_TOKENS, CacheId, CacheLease, KvPool, PrefixKey},
    step::{Segment, SequenceSpan, SlotId, Step},
};

/// What a sequence keeps while it is preempted.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Prompt and generated tokens.
    tokens: Vec<u32>,
    key: PrefixKey,
    parts: Vec<Part>,
    pub(super) adapters: AdapterSet,
}

impl Sequence {
    pub(super) fn new(new: NewSequence, key: PrefixKey, parts: Vec<Part>) -> Self {
        Self { tokens: new.prompt, key, parts, adapters: new.adapters }
    }

    /// A cache for this sequence: see [`open`].
    pub(super) fn open(&self, kv: &mut KvPool, share: bool, spare: usize) -> Option<CacheLease> {
        open(kv, &self.key, &self.tokens, share, spare)
    }
}

/// A cache with room for all of `tokens` that leaves `spare` blocks to others, if there is so much;
/// with `share` it begins with what is registered under `key`.
pub(super) fn open(
    kv: &mut KvPool,
    key: &PrefixKey,
    tokens: &[u32],
    share: bool,
    spare: usize,
) -> Option<CacheLease> {
    let cache = kv.open(key, if share { tokens } else { &[] });
    kv.grow_leaving(cache.id(), tokens.len(), spare).then_some(cache)
}

/// A sequence with a cache.
#[derive(Debug)]
pub(super) struct Running {
    sequence: Sequence,
    /// How many of its tokens are in the cache.
    computed: usize,
    /// How many of them were known when it got the cache, and how many it found there.
    known: usize,
    shared: usize,
    /// Blocks offered for sharing.
    registered: usize,
    cache: CacheLease,
}

impl Running {
    /// A sequence that begins with what its cache holds.
    pub(super) fn start(sequence: Sequence, cache: CacheLease, kv: &KvPool) -> Self {
        let known = sequence.tokens.len();
        let shared = kv.length(cache.id()).expect("the lease is held");
        Self { sequence, computed: shared, known, shared, registered: 0, cache }
    }

    /// Gives the cache back.
    pub(super) fn preempt(self) -> Sequence {
        self.sequence
    }

    pub(super) const fn decoding(&self) -> bool {
        self.computed >= self.known
    }

    /// Tokens that the next step may compute.
    pub(super) const fn pending(&self) -> usize {
        self.sequence.tokens.len() - self.computed
    }

    /// Tokens known at the start, and those of them that were shared.
    pub(super) const fn at_start(&self) -> (usize, usize) {
        (self.known, self.shared)
    }

    pub(super) const fn adapters(&self) -> &AdapterSet {
        &self.sequence.adapters
    }

    /// Whether it has yet to compute a prompt that is these tokens.
    pub(super) fn computes(&self, key: &PrefixKey, prompt: &[u32]) -> bool {
        !self.decoding() && self.sequence.key == *key && self.sequence.tokens == prompt
    }

    pub(super) const fn cache(&self) -> CacheId {
        self.cache.id()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.sequence.parts.iter().map(|part| part.slot)
    }

    pub(super) fn push(&mut self, token: u32) {
        self.sequence.tokens.push(token);
    }

    /// Makes room for one more token.
    pub(super) fn grow(&self, kv: &mut KvPool) -> bool {
        kv.grow(self.cache.id(), self.computed + 1)
    }

    /// Offers full blocks for sharing.
    pub(super) fn register(&mut self, kv: &mut KvPool) {
        let full = self.computed / BLOCK_TOKENS;
        if full > self.registered {
            self.registered = full;
            let tokens = &self.sequence.tokens[..self.computed];
            kv.register(self.cache.id(), tokens).expect("the lease is held");
        }
    }

    /// Moves the next `take` tokens into `step`.
    pub(super) fn take(&mut self, take: usize, step: &mut Step) {
        let start = step.tokens.len();
        let range = start..start + take;
        let computed = self.computed..self.computed + take;
        step.tokens.extend_from_slice(&self.sequence.tokens[computed.clone()]);
        step.positions.extend(computed.map(|position| position as u32));
        step.sequences.push(SequenceSpan { range: range.clone(), cache: self.cache.id() });
        for (part, &Part { slot, rank, scale }) in self.sequence.parts.iter().enumerate() {
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

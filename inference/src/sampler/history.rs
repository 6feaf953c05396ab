//! Bias and penalties: what a request's own tokens change about the logits.

use std::collections::{BTreeMap, BTreeSet};

use super::Sampling;

/// The tokens of a request so far, as its penalties need them.
#[derive(Debug)]
pub(super) struct History {
    bias: Vec<(u32, f32)>,
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// Tokens of prompt and answer, if repetition matters.
    seen: BTreeSet<u32>,
    /// How often the answer has each token, if it matters.
    counts: BTreeMap<u32, u32>,
}

impl History {
    pub(super) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let repeats = sampling.repetition_penalty != 1.0;
        Self {
            bias: sampling.logit_bias.clone(),
            repetition: sampling.repetition_penalty,
            presence: sampling.presence_penalty,
            frequency: sampling.frequency_penalty,
            seen: if repeats { prompt.iter().copied().collect() } else { BTreeSet::new() },
            counts: BTreeMap::new(),
        }
    }

    fn counts_matter(&self) -> bool {
        self.presence != 0.0 || self.frequency != 0.0
    }

    /// Whether [`Self::change`] does anything.
    pub(super) fn changes_logits(&self) -> bool {
        !self.bias.is_empty() || !self.seen.is_empty() || !self.counts.is_empty()
    }

    pub(super) fn push(&mut self, token: u32) {
        if self.repetition != 1.0 {
            self.seen.insert(token);
        }
        if self.counts_matter() {
            *self.counts.entry(token).or_default() += 1;
        }
    }

    pub(super) fn change(&self, logits: &mut [f32]) {
        for (token, bias) in &self.bias {
            logits[*token as usize] += bias;
        }
        for token in &self.seen {
            let logit = &mut logits[*token as usize];
            *logit = if *logit < 0.0 { *logit * self.repetition } else { *logit / self.repetition };
        }
        for (token, count) in &self.counts {
            logits[*token as usize] -= self.frequency * *count as f32 + self.presence;
        }
    }
}

//! What an engine tells about itself.

use std::collections::BTreeSet;

use crate::{
    scheduler::SchedulerCounters,
    step::{SlotId, Step},
};

/// Upper bounds of a [`Histogram`]'s buckets in seconds; the last bucket has none.
pub const BUCKETS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// Durations by size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each bucket of [`BUCKETS`], and above all of them.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Their sum in seconds.
    pub sum: f64,
}

impl Histogram {
    pub(super) fn observe(&mut self, seconds: f64) {
        self.counts[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Buckets as Prometheus has them: upper bound and how many were at most that.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }
}

/// What an engine has done since it started, and what it is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineStats {
    /// Steps computed.
    pub steps: u64,
    /// Tokens in them, of prompts and answers.
    pub tokens: u64,
    /// Tokens generated.
    pub generated: u64,
    /// Most sequences in one step.
    pub most_sequences: usize,
    /// Most different adapters in one step.
    pub most_adapters: usize,
    /// Requests that came to their end.
    pub finished: u64,
    /// Requests whose receiver went away.
    pub cancelled: u64,
    /// Requests whose deadline passed.
    pub expired: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Starts, preemptions and shared tokens.
    pub scheduler: SchedulerCounters,
    /// Requests that have not started.
    pub waiting: usize,
    /// Requests that have started.
    pub running: usize,
    /// Blocks of the KV pool.
    pub blocks: usize,
    /// Blocks that no running sequence uses.
    pub free_blocks: usize,
    /// Blocks kept for later sequences that begin with the same tokens.
    pub shared_blocks: usize,
    /// From submission to start.
    pub queue_time: Histogram,
    /// From submission to the first token.
    pub time_to_first_token: Histogram,
    /// From each token of a request to its next.
    pub time_between_tokens: Histogram,
}

impl EngineStats {
    pub(super) fn count(&mut self, step: &Step, sequences: usize) {
        let slots: BTreeSet<SlotId> = step.segments.iter().map(|segment| segment.slot).collect();
        self.steps += 1;
        self.tokens += step.tokens.len() as u64;
        self.most_sequences = self.most_sequences.max(sequences);
        self.most_adapters = self.most_adapters.max(slots.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_at_most_their_bound() {
        let mut histogram = Histogram::default();
        [0.0005, 0.001, 0.0011, 60.0, 500.0].into_iter().for_each(|s| histogram.observe(s));
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative[0], (0.001, 2));
        assert_eq!(cumulative[1], (0.0025, 3));
        assert_eq!(cumulative[14], (60.0, 4));
        assert_eq!(cumulative[16], (f64::INFINITY, 5));
        assert_eq!(histogram.count(), 5);
    }
}

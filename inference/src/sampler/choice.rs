//! The tokens that may be drawn, and the draw.

use super::Sampling;
use crate::kernels::{Kernel, dispatch, exp};

/// Tokens with their unnormalised probabilities after temperature, top-k, top-p and min-p.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    ids: Vec<u32>,
    weights: Vec<f64>,
}

impl Candidates {
    /// Fills in what `sampling` leaves of `logits`, whose largest is `top`.
    pub(super) fn fill(&mut self, sampling: &Sampling, logits: &[f32], top: f32) {
        let temperature = sampling.temperature;
        let likelier =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        self.ids.clear();
        self.ids.extend(0..logits.len() as u32);
        self.weights.clear();
        self.weights.resize(logits.len(), 0.0);
        dispatch(Weights { logits, top, temperature, weights: &mut self.weights });
        if sampling.top_k > 0 && sampling.top_k < self.ids.len() {
            self.ids.select_nth_unstable_by(sampling.top_k - 1, likelier);
            self.ids.truncate(sampling.top_k);
            self.ids.sort_unstable();
            let kept = self.ids.iter().map(|id| self.weights[*id as usize]).collect();
            self.weights = kept;
        }
        if sampling.top_p < 1.0 {
            self.nucleus(f64::from(sampling.top_p), likelier);
        }
        // The likeliest token's weight is 1.
        let least = f64::from(sampling.min_p);
        if least > 0.0 {
            self.retain(|weight| weight >= least);
        }
    }

    /// Keeps the tokens with these weights.
    fn retain(&mut self, keep: impl Fn(f64) -> bool) {
        let mut weights = self.weights.iter();
        self.ids.retain(|_| weights.next().is_some_and(|weight| keep(*weight)));
        self.weights.retain(|weight| keep(*weight));
    }

    /// Keeps the fewest likeliest tokens that have the fraction `top_p` of all weight.
    fn nucleus(&mut self, top_p: f64, likelier: impl Fn(&u32, &u32) -> std::cmp::Ordering) {
        let total: f64 = self.weights.iter().sum();
        // Tokens below this have less than what may be left out, all together, so the sort need not
        // see them. The factor keeps rounding out of it.
        let least = 0.5 * (1.0 - top_p) * total / self.ids.len() as f64;
        self.retain(|weight| weight >= least);
        let mut kept: Vec<(u32, f64)> =
            self.ids.iter().copied().zip(self.weights.iter().copied()).collect();
        kept.sort_unstable_by(|(a, _), (b, _)| likelier(a, b));
        (self.ids, self.weights) = kept.into_iter().unzip();
        let enough = reach(&self.weights, |sum| sum >= top_p * total);
        self.ids.truncate(enough + 1);
        self.weights.truncate(enough + 1);
    }

    /// The token at the fraction `part` of all weight.
    pub(super) fn at(&self, part: f64) -> u32 {
        let target = part * self.weights.iter().sum::<f64>();
        self.ids[reach(&self.weights, |sum| sum > target)]
    }

    /// Probabilities of all tokens of a vocabulary.
    #[cfg(test)]
    pub(super) fn distribution(&self, vocab: usize) -> Vec<f64> {
        let total: f64 = self.weights.iter().sum();
        let mut probabilities = vec![0.0; vocab];
        for (id, weight) in self.ids.iter().zip(&self.weights) {
            probabilities[*id as usize] = weight / total;
        }
        probabilities
    }
}

/// `e^((logit - top) / temperature)`; nothing for tokens that a mask has forbidden.
struct Weights<'a> {
    logits: &'a [f32],
    top: f32,
    temperature: f32,
    weights: &'a mut [f64],
}

impl Kernel for Weights<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for (weight, logit) in self.weights.iter_mut().zip(self.logits) {
            let value = exp((logit - self.top) / self.temperature);
            // The kernels' exp clamps its argument.
            *weight = if *logit == f32::NEG_INFINITY { 0.0 } else { f64::from(value) };
        }
    }
}

/// Index at which the running sum of `weights` first satisfies `enough`, or the last one that has
/// weight.
fn reach(weights: &[f64], enough: impl Fn(f64) -> bool) -> usize {
    let mut sum = 0.0;
    let at = weights.iter().position(|weight| {
        sum += weight;
        enough(sum)
    });
    at.or_else(|| weights.iter().rposition(|weight| *weight > 0.0)).unwrap_or(0)
}

//! The tokens that may be drawn, and the draw.

use super::Sampling;
use crate::kernels::exp;

/// Tokens with their unnormalised probabilities after temperature, top-k, top-p and min-p.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    ids: Vec<u32>,
    weights: Vec<f64>,
}

impl Candidates {
    /// Fills in what `sampling` leaves of `logits`, whose largest is `top`.
    pub(super) fn fill(&mut self, sampling: &Sampling, logits: &[f32], top: f32) {
        let weight = |id: u32| {
            // Masked tokens: exp clamps its argument and would give them a little.
            let logit = logits[id as usize];
            let weight = exp((logit - top) / sampling.temperature);
            if logit == f32::NEG_INFINITY { 0.0 } else { f64::from(weight) }
        };
        let likelier =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let Self { ids, weights } = self;
        ids.clear();
        ids.extend(0..logits.len() as u32);
        if sampling.top_k > 0 && sampling.top_k < ids.len() {
            ids.select_nth_unstable_by(sampling.top_k - 1, likelier);
            ids.truncate(sampling.top_k);
            ids.sort_unstable();
        }
        weights.clear();
        weights.extend(ids.iter().map(|id| weight(*id)));
        if sampling.top_p < 1.0 {
            self.nucleus(f64::from(sampling.top_p), likelier, weight);
        }
        // The likeliest token's weight is 1.
        let least = f64::from(sampling.min_p);
        if least > 0.0 {
            let kept = self.ids.iter().copied().zip(self.weights.iter().copied());
            (self.ids, self.weights) = kept.filter(|(_, weight)| *weight >= least).unzip();
        }
    }

    /// Keeps the fewest likeliest tokens that have the fraction `top_p` of all weight.
    fn nucleus(
        &mut self,
        top_p: f64,
        likelier: impl Fn(&u32, &u32) -> std::cmp::Ordering,
        weight: impl Fn(u32) -> f64,
    ) {
        let total: f64 = self.weights.iter().sum();
        // Tokens below this have less than what may be left out, all together, so the sort need not
        // see them. The factor keeps rounding out of it.
        let least = 0.5 * (1.0 - top_p) * total / self.ids.len() as f64;
        let mut kept = std::mem::take(&mut self.ids);
        let mut weights = self.weights.iter();
        kept.retain(|_| weights.next().is_some_and(|weight| *weight >= least));
        kept.sort_unstable_by(likelier);
        self.weights.clear();
        self.weights.extend(kept.iter().map(|id| weight(*id)));
        let enough = reach(&self.weights, |sum| sum >= top_p * total);
        kept.truncate(enough + 1);
        self.weights.truncate(enough + 1);
        self.ids = kept;
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

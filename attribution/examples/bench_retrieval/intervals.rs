//! What ranks say, and how sure that is.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws of a bootstrap.
const DRAWS: usize = 2000;

/// A mean over questions and the middle 95 of 100 bootstrap draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Ranks of the first answers, from 1; `None` if none was found.
pub(crate) type Ranks = Vec<Option<usize>>;

/// Share of the questions with an answer among the first `k`.
pub(crate) fn recall(ranks: &Ranks, k: usize) -> Estimate {
    estimate(ranks, |rank| f64::from(u8::from(rank.is_some_and(|rank| rank <= k))))
}

/// Mean of one over the rank.
pub(crate) fn reciprocal(ranks: &Ranks) -> Estimate {
    estimate(ranks, |rank| rank.map_or(0.0, |rank| 1.0 / rank as f64))
}

fn estimate(ranks: &Ranks, value: impl Fn(Option<usize>) -> f64) -> Estimate {
    let values: Vec<f64> = ranks.iter().map(|rank| value(*rank)).collect();
    let count = values.len();
    let mean = |sum: f64| sum / count as f64;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut draw = |_| {
        let sum = (0..count).map(|_| values[random.random_range(0..count)]).sum();
        mean(sum)
    };
    let mut means: Vec<f64> = (0..DRAWS).map(&mut draw).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[(share * (DRAWS - 1) as f64).round() as usize];
    Estimate { mean: mean(values.iter().sum()), low: at(0.025), high: at(0.975) }
}

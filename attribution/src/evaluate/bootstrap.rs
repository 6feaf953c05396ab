//! Intervals by resampling.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A statistic and its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Of the sample itself.
    pub value: f64,
    /// 2.5% quantile of the resamples.
    pub low: f64,
    /// 97.5% quantile.
    pub high: f64,
}

/// Percentile bootstrap (Efron 1979) of `statistic`, which gets the numbers of the elements drawn, as
/// many as there are. Resamples without a value are left out. The same seed gives the same interval.
///
/// `None` if the sample itself has no value or no resample has one.
pub fn bootstrap(
    elements: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    let all: Vec<usize> = (0..elements).collect();
    let value = statistic(&all)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = all;
    let mut values: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            drawn.iter_mut().for_each(|element| *element = rng.random_range(0..elements));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    Some(Interval { value, low: quantile(&values, 0.025)?, high: quantile(&values, 0.975)? })
}

/// [`bootstrap`] over two samples that are crossed, each drawn anew: what is measured once for every
/// pair, as queries on models, is not one sample of independent elements (Owen 2007, the pigeonhole
/// bootstrap).
///
/// `None` if the samples themselves have no value or no resample has one.
pub fn bootstrap_both(
    first: usize,
    second: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize], &[usize]) -> Option<f64>,
) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ u64::MAX);
    let mut other: Vec<usize> = (0..second).collect();
    let mut is_sample = true;
    bootstrap(first, resamples, seed, |drawn| {
        if !std::mem::take(&mut is_sample) {
            other.iter_mut().for_each(|element| *element = rng.random_range(0..second));
        }
        statistic(drawn, &other)
    })
}

/// [`bootstrap`] of the mean of `values`; `None` if there is none.
#[must_use]
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: u64) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let mean =
        |drawn: &[usize]| Some(drawn.iter().map(|&i| values[i]).sum::<f64>() / drawn.len() as f64);
    bootstrap(values.len(), resamples, seed, mean)
}

/// Between the two nearest of `sorted`, in a straight line (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some((above - below).mul_add(place.fract(), below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_equal_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.025, 0.5, 0.975].map(|share| quantile(&sorted, share).unwrap());
        for (found, expected) in found.into_iter().zip([1.075, 3.0, 7.7]) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn intervals_of_a_mean_have_the_width_of_its_standard_error() {
        // Uniform on [0, 1]: standard error of the mean of 400 is sqrt(1/12/400) = 0.01443.
        let values: Vec<f64> = (0..400).map(|i| (f64::from(i) + 0.5) / 400.0).collect();
        let found = bootstrap_mean(&values, 4000, 1).unwrap();
        let expected = 2.0 * 1.96 * 0.01443;
        assert!((found.value - 0.5).abs() < 1e-12);
        assert!(((found.high - found.low) / expected - 1.0).abs() < 0.06, "{found:?}");
        assert_eq!(bootstrap_mean(&values, 4000, 1), Some(found));
        assert_eq!(bootstrap_mean(&[], 10, 1), None);
    }

    #[test]
    fn crossed_samples_vary_in_both_ways() {
        // A mean of a_i + b_j: its variance is that of both means, whatever the other's size.
        let a: Vec<f64> = (0..200).map(|i| (f64::from(i) + 0.5) / 200.0).collect();
        let b = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
        let mean = |values: &[f64], drawn: &[usize]| {
            drawn.iter().map(|&i| values[i]).sum::<f64>() / drawn.len() as f64
        };
        let both = bootstrap_both(200, 8, 4000, 1, |i, j| Some(mean(&a, i) + mean(&b, j))).unwrap();
        // sqrt(1/12/200 + 1.3125/8), the variance of b being (8^2 - 1) / 12 / 4.
        let expected = 2.0 * 1.96 * (1.0f64 / 2400.0 + 1.3125 / 8.0).sqrt();
        assert!((both.value - 2.25).abs() < 1e-12);
        assert!(((both.high - both.low) / expected - 1.0).abs() < 0.06, "{both:?}");
        let of_first = bootstrap_both(200, 1, 4000, 1, |i, _| Some(mean(&a, i)));
        assert_eq!(of_first, bootstrap_mean(&a, 4000, 1));
    }
}

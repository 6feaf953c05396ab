//! Popularity as on the web: the k-th most popular of n is asked for in proportion to 1 / k.

use rand::Rng;

pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn new(count: usize) -> Self {
        let sums = (1..=count).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self(sums.collect())
    }

    /// An index; 0 is the most popular.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.0.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}

//! Influence: projection, whitening, index, file and duplicate clusters.

mod attributor;
mod basis;
mod duplicates;
mod ensemble;
mod file;
mod fixed;
mod index;
mod influence;
mod projector;
mod speed;
mod store;
mod tree;
mod whitening;

use attribution::{
    estimate::{RowSource, SiteGradient, SiteShape},
    settle::{EarnerIndex, keccak},
};
use rand::{Rng, rngs::StdRng};

/// Numbers from a distribution with mean 0 and variance 1.
fn noise(rng: &mut StdRng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// The row at a place: of two Datanets, with gaps.
fn source(place: u32, earner: u32, cluster: u32) -> RowSource {
    RowSource {
        datanet: u8::from(place >= 7),
        index: 3 * u64::from(place),
        hash: keccak(&[&place.to_be_bytes()]),
        earner: EarnerIndex(earner),
        cluster,
    }
}

/// A random gradient for each site.
struct Gradient(Vec<(SiteShape, Vec<f32>, Vec<f32>)>);

impl Gradient {
    fn random(shapes: &[SiteShape], rng: &mut StdRng) -> Self {
        let mut draw = |n: usize| (0..n).map(|_| noise(rng) as f32).collect::<Vec<_>>();
        Self(shapes.iter().map(|s| (*s, draw(s.rank * s.d_in), draw(s.d_out * s.rank))).collect())
    }

    fn sites(&self) -> Vec<SiteGradient<'_>> {
        self.0
            .iter()
            .map(|(s, a, b)| SiteGradient { a, b, rank: s.rank, d_in: s.d_in, d_out: s.d_out })
            .collect()
    }

    fn flat(&self) -> Vec<f32> {
        self.0.iter().flat_map(|(_, a, b)| b.iter().chain(a)).copied().collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Spearman's rank correlation of samples without ties.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |x: &[f64]| {
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_by(|i, j| x[*i].total_cmp(&x[*j]));
        let mut ranks = vec![0.0; x.len()];
        order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank as f64);
        ranks
    };
    let n = a.len() as f64;
    let squares: f64 = ranks(a).iter().zip(ranks(b)).map(|(x, y)| (x - y) * (x - y)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

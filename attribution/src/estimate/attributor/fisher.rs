//! The damped Fisher matrix of the gradients themselves, without a projection.

use std::ops::Range;

use faer::{Accum, Mat, Par, linalg::matmul::matmul};

use super::{
    Attributor, Query,
    gradients::{Gradients, finite},
};
use crate::{
    Error, Result,
    estimate::{DAMPING_RANGE, fisher::eigen},
};

/// Columns turned into f64 at a time.
const BLOCK: usize = 1024;

/// Which entries of the Fisher matrix are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// All, `(p, p)`.
    Whole,
    /// One block per tensor, each with its own damping.
    PerTensor,
}

/// `g_q^T (F + lambda I)^-1 g_i` with `F = (1/n) sum g_i g_i^T` and `lambda = c tr(F) / p`, of the
/// whole gradient or summed over its tensors.
///
/// With fewer rows than columns the `(n, n)` Gram matrix `K = G G^T = U diag(kappa) U^T` is
/// decomposed instead of `F`: by Woodbury's identity `G (F + lambda I)^-1 q = n (K + n lambda I)^-1
/// G q`. Decomposed once; every damping after that is cheap. Memory `16 min(n, p)^2` bytes per block.
#[derive(Clone, Debug)]
pub struct DampedFisher<'a> {
    gradients: &'a Gradients,
    blocks: Blocks,
    damping: f64,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    columns: Range<usize>,
    /// `tr F`.
    trace: f64,
    /// Whether eigenpairs are those of `K` and not of `F`.
    is_gram: bool,
    values: Vec<f64>,
    vectors: Mat<f64>,
}

impl<'a> DampedFisher<'a> {
    /// With damping `c`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the damping is outside [`DAMPING_RANGE`], [`Error::NoSignal`] if every
    /// gradient is zero, [`Error::Eigen`] if a decomposition does not converge.
    pub fn new(gradients: &'a Gradients, blocks: Blocks, damping: f64) -> Result<Self> {
        let all = 0..gradients.layout().len();
        let ranges = match blocks {
            Blocks::Whole => std::slice::from_ref(&all),
            Blocks::PerTensor => gradients.layout().ranges(),
        };
        let parts = ranges.iter().map(|columns| Part::new(gradients, columns.clone()));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        parts.retain(|part| part.trace > 0.0);
        if parts.is_empty() {
            return Err(Error::NoSignal);
        }
        Self { gradients, blocks, damping: 1.0, parts }.with_damping(damping)
    }

    /// The same with another damping; nothing is decomposed again.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is outside [`DAMPING_RANGE`].
    pub fn with_damping(self, damping: f64) -> Result<Self> {
        if DAMPING_RANGE.contains(&damping) {
            Ok(Self { damping, ..self })
        } else {
            Err(Error::setting("damping must be in 1e-6..=1e6", damping))
        }
    }
}

impl Part {
    fn new(gradients: &Gradients, columns: Range<usize>) -> Result<Self> {
        let (n, width) = (gradients.len(), columns.len());
        let is_gram = n < width;
        let size = n.min(width);
        let trace = gradients.squares(&columns).iter().sum::<f64>() / n as f64;
        let matrix =
            if is_gram { gram(gradients, &columns) } else { covariance(gradients, &columns) };
        if trace == 0.0 {
            return Ok(Self { columns, trace, is_gram, values: vec![], vectors: Mat::new() });
        }
        let lower: Vec<f64> =
            (0..size).flat_map(|i| (0..size).map(move |j| (i, j))).map(|at| matrix[at]).collect();
        let (values, vectors) = eigen(&lower, size)?;
        // Rounding may leave a zero below zero.
        let values = values.into_iter().map(|value| value.max(0.0)).collect();
        Ok(Self { columns, trace, is_gram, values, vectors })
    }

    fn lambda(&self, damping: f64) -> f64 {
        damping * self.trace / self.columns.len() as f64
    }

    /// `V diag(f(values)) V^T x`.
    fn apply(&self, x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for (k, value) in self.values.iter().enumerate() {
            let v = self.vectors.col(k);
            let share: f64 = v.iter().zip(x).map(|(v, x)| v * x).sum();
            let share = share * f(*value);
            out.iter_mut().zip(v.iter()).for_each(|(out, v)| *out += share * v);
        }
        out
    }

    fn scores(&self, gradients: &Gradients, q: &[f32], damping: f64) -> Vec<f64> {
        let (n, lambda) = (gradients.len() as f64, self.lambda(damping));
        if self.is_gram {
            let products = gradients.products(&self.columns, q);
            return self.apply(&products, |kappa| n / (kappa + n * lambda));
        }
        let q: Vec<f64> = q[self.columns.clone()].iter().map(|x| f64::from(*x)).collect();
        gradients.wide_products(&self.columns, &self.apply(&q, |mu| 1.0 / (mu + lambda)))
    }

    fn self_influence(&self, gradients: &Gradients, damping: f64) -> Vec<f64> {
        let (n, lambda) = (gradients.len() as f64, self.lambda(damping));
        let mut sums = vec![0.0; gradients.len()];
        for (k, value) in self.values.iter().enumerate() {
            let v: Vec<f64> = self.vectors.col(k).iter().copied().collect();
            if self.is_gram {
                let gain = n * value / (value + n * lambda);
                sums.iter_mut().zip(v).for_each(|(sum, v)| *sum += gain * v * v);
            } else {
                let products = gradients.wide_products(&self.columns, &v);
                let gain = 1.0 / (value + lambda);
                sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += gain * x * x);
            }
        }
        sums
    }
}

/// `G G^T` over the columns.
fn gram(gradients: &Gradients, columns: &Range<usize>) -> Mat<f64> {
    let n = gradients.len();
    let mut out = Mat::zeros(n, n);
    for start in columns.clone().step_by(BLOCK) {
        let width = BLOCK.min(columns.end - start);
        let block = Mat::from_fn(n, width, |i, j| f64::from(gradients.row(i)[start + j]));
        matmul(&mut out, Accum::Add, &block, block.transpose(), 1.0, Par::rayon(0));
    }
    out
}

/// `G^T G / n` over the columns.
fn covariance(gradients: &Gradients, columns: &Range<usize>) -> Mat<f64> {
    let (n, width) = (gradients.len(), columns.len());
    let mut out = Mat::zeros(width, width);
    for start in (0..n).step_by(BLOCK) {
        let rows = BLOCK.min(n - start);
        let value = |i: usize, j: usize| f64::from(gradients.row(start + i)[columns.start + j]);
        let block = Mat::from_fn(rows, width, value);
        matmul(&mut out, Accum::Add, block.transpose(), &block, 1.0 / n as f64, Par::rayon(0));
    }
    out
}

impl Attributor for DampedFisher<'_> {
    fn name(&self) -> String {
        let kind = match self.blocks {
            Blocks::Whole => "dense",
            Blocks::PerTensor => "block",
        };
        format!("{kind} Fisher, damping {}", self.damping)
    }

    fn rows(&self) -> usize {
        self.gradients.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        self.gradients.layout().check(query.gradient)?;
        let mut sums = vec![0.0; self.rows()];
        for part in &self.parts {
            let scores = part.scores(self.gradients, query.gradient, self.damping);
            sums.iter_mut().zip(scores).for_each(|(sum, x)| *sum += x);
        }
        finite(sums)
    }

    fn self_influence(&self) -> Option<Vec<f32>> {
        let mut sums = vec![0.0; self.rows()];
        for part in &self.parts {
            let scores = part.self_influence(self.gradients, self.damping);
            sums.iter_mut().zip(scores).for_each(|(sum, x)| *sum += x);
        }
        finite(sums).ok()
    }
}

//! The damped Fisher matrix of raw sketches, by its eigenvectors.

use std::ops::Range;

use faer::{
    Mat, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch},
};
use rayon::prelude::*;

use super::{
    kernel::{add_scaled, dot},
    raw::Raw,
    sketches::Sketches,
    whitening::{DAMPING_RANGE, Form, Whitening},
};
use crate::{Error, Result};

/// Eigenvalues below this share of the largest are the rounding of zero: their directions are
/// left to the damping, which treats a zero the same.
const NEGLIGIBLE: f64 = 1e-12;
/// Rows of `F` summed in one pass over the sketches, so that they stay in the cache.
const BLOCK: usize = 16;
/// Rows read from disk at a time.
const STEP: usize = 256;

/// `F = (1/n) sum s_i s_i^T` over the raw sketches of the training rows, kept as eigenvalues and unit
/// eigenvectors: the whole matrix, `(d, d)`, or its blocks on the diagonal alone.
///
/// Blocks are those of the adapter's tensors where sketches keep them apart. Each is damped by its own
/// size, so that tensors with long gradients do not drown the others, as layer-wise estimates do
/// (K-FAC, Martens and Grosse 2015; LoGra, Choe et al. 2024); it was the better estimate on every task
/// that was measured, and whitens with a fraction of the numbers.
///
/// With fewer rows than a block has dimensions its eigenpairs come from the `(n, n)` Gram matrix
/// `S S^T / n`, which has the same nonzero eigenvalues; otherwise from `F` itself. The decomposition
/// runs on one thread, so that the same machine gives the same bits whatever its load; other machines
/// may differ in the last bits, which is why an index stores its [`Whitening`].
#[derive(Clone, Debug)]
pub struct Fisher {
    dim: usize,
    rows: usize,
    trace: f64,
    blocks: Vec<Block>,
}

/// One block on the diagonal.
#[derive(Clone, Debug)]
struct Block {
    columns: Range<usize>,
    trace: f64,
    values: Vec<f64>,
    /// `(values.len(), columns)` row-major.
    vectors: Vec<f64>,
}

/// One value of the damping that [`Fisher::tune`] tried, and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The damping `c`.
    pub damping: f64,
    /// What the caller's score gave; larger is better.
    pub score: f64,
}

impl Fisher {
    /// The whole Fisher matrix of these raw sketches.
    ///
    /// # Errors
    /// [`Error::NoSignal`] if there is no row or every row is zero; [`Error::Eigen`] if the
    /// decomposition does not converge.
    pub fn new(sketches: &Sketches) -> Result<Self> {
        let whole = 0..sketches.dim();
        Self::of_blocks(sketches, std::slice::from_ref(&whole))
    }

    /// Its blocks on the diagonal: [`Projector::blocks`](super::Projector::blocks).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_blocks(sketches: &Sketches, blocks: &[Range<usize>]) -> Result<Self> {
        if sketches.is_empty() {
            return Err(Error::NoSignal);
        }
        let (by_gram, by_sum): (Vec<_>, Vec<_>) =
            blocks.iter().cloned().partition(|columns| sketches.len() < columns.len());
        let mut sum = Covariance::new(sketches.dim(), by_sum);
        sum.add(sketches.values());
        let mut fisher = sum.decompose()?;
        for columns in by_gram {
            fisher.blocks.push(Block::by_gram(sketches, columns)?);
        }
        fisher.checked()
    }

    /// The same, bit for bit, over those rows that count, which may be on disk: a few at a time where
    /// there are more of them than dimensions, else all.
    ///
    /// - `counts`: of each row
    pub(super) fn of_rows(raw: &Raw, counts: &[bool], blocks: &[Range<usize>]) -> Result<Self> {
        let dim = raw.dim();
        let is_many = counts.iter().filter(|counts| **counts).count() >= dim;
        let (mut sum, mut all) = (Covariance::new(dim, blocks.to_vec()), Sketches::new(dim));
        raw.blocks(STEP, |first, block| {
            let rows = block.chunks_exact(dim).zip(&counts[first..]);
            let mut rows = rows.filter(|(_, counts)| **counts).map(|(row, _)| row);
            if is_many {
                sum.add(&rows.collect::<Vec<_>>().concat());
                return Ok(());
            }
            rows.try_for_each(|row| all.push(row))
        })?;
        if is_many { sum.decompose()?.checked() } else { Self::of_blocks(&all, blocks) }
    }

    /// With its blocks in order, if one of them is not zero.
    fn checked(mut self) -> Result<Self> {
        self.blocks.sort_by_key(|block| block.columns.start);
        let values = self.blocks.iter().flat_map(|block| &block.values);
        let is_finite = self.trace.is_finite() && values.clone().all(|value| value.is_finite());
        if is_finite && values.count() > 0 { Ok(self) } else { Err(Error::NoSignal) }
    }

    /// `tr F`, the mean squared norm of the sketches.
    #[must_use]
    pub const fn trace(&self) -> f64 {
        self.trace
    }

    /// Rows that `F` is the mean over.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Nonzero eigenvalues of `F`, ascending in each block.
    pub fn eigenvalues(&self) -> impl Iterator<Item = f64> {
        self.blocks.iter().flat_map(|block| &block.values).copied()
    }

    /// `W = (F + lambda I)^(-1/2)` with `lambda = damping * tr(F) / d`, of each block with its own trace
    /// and width. A block in which every row is zero becomes zero.
    ///
    /// # Errors
    /// [`Error::Setting`] if the damping is outside [`DAMPING_RANGE`].
    pub fn whitening(&self, damping: f64) -> Result<Whitening> {
        if !DAMPING_RANGE.contains(&damping) {
            return Err(Error::setting("damping must be in 1e-6..=1e6", damping));
        }
        let form = |block: &Block| {
            let width = block.columns.len();
            let form = if block.values.is_empty() {
                Form::zero()
            } else {
                let lambda = damping * block.trace / width as f64;
                Form::from_eigen(width, lambda, &block.values, &block.vectors)
            };
            (width, form)
        };
        let lambda = damping * self.trace / self.dim as f64;
        Ok(Whitening::new(lambda, self.blocks.par_iter().map(form).collect()))
    }

    /// Scores the whitening of each damping in `grid` and returns the best trial (the first of
    /// equals) and all trials in order. Score on queries that the report does not use, for example
    /// with the rank correlation between influence and retraining.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty grid or a damping outside [`DAMPING_RANGE`],
    /// [`Error::NotFinite`] if a score is NaN or infinite, and what `score` returns.
    pub fn tune(
        &self,
        grid: &[f64],
        mut score: impl FnMut(&Whitening) -> Result<f64>,
    ) -> Result<(Trial, Vec<Trial>)> {
        let mut trials: Vec<Trial> = Vec::with_capacity(grid.len());
        for &damping in grid {
            let score = score(&self.whitening(damping)?)?;
            if !score.is_finite() {
                return Err(Error::NotFinite("tuning score"));
            }
            trials.push(Trial { damping, score });
        }
        let best = trials.iter().copied().reduce(|a, b| if b.score > a.score { b } else { a });
        let best = best.ok_or_else(|| Error::setting("damping grid must not be empty", 0))?;
        Ok((best, trials))
    }
}

impl Block {
    fn by_gram(sketches: &Sketches, columns: Range<usize>) -> Result<Self> {
        let (n, width) = (sketches.len(), columns.len());
        let row = |i: usize| &sketches.row(i)[columns.clone()];
        let mut gram = vec![0.0; n * n];
        gram.par_chunks_mut(n.max(1)).enumerate().for_each(|(i, out)| {
            for (j, cell) in out[..=i].iter_mut().enumerate() {
                *cell = dot(row(i), row(j)) / n as f64;
            }
        });
        let trace = (0..n).map(|i| dot(row(i), row(i))).sum::<f64>() / n as f64;
        let (values, basis) = eigen(&gram, n)?;
        let kept = kept(&values);
        // v_k = S^T u_k / sqrt(n mu_k) is a unit eigenvector of F.
        let vectors = kept.clone().into_par_iter().flat_map_iter(|k| {
            let scale = 1.0 / (n as f64 * values[k]).sqrt();
            let mut v = vec![0.0; width];
            (0..n).for_each(|i| add_scaled(&mut v, basis[(i, k)] * scale, row(i)));
            v
        });
        let vectors = vectors.collect();
        Ok(Self { columns, trace, values: values[kept].to_vec(), vectors })
    }

    /// - `lower`: lower triangle of the block, `(columns, columns)`
    fn decomposed(columns: Range<usize>, lower: &[f64]) -> Result<Self> {
        let width = columns.len();
        let (values, basis) = eigen(lower, width)?;
        let kept = kept(&values);
        let vectors = kept.clone().flat_map(|k| (0..width).map(move |i| (i, k)));
        let vectors = vectors.map(|at| basis[at]).collect();
        let trace = (0..width).map(|i| lower[i * width + i]).sum();
        Ok(Self { columns, trace, values: values[kept].to_vec(), vectors })
    }
}

/// `sum s_i s_i^T` of each block and `sum |s_i|^2` over rows given in order, some at a time.
///
/// Each number is one chain of additions in the order of the rows, so how they are cut makes no
/// difference to the bits: rows added to those of before give what all of them give at once.
struct Covariance {
    dim: usize,
    rows: usize,
    trace: f64,
    /// Each block's columns and the lower triangle of its sums.
    blocks: Vec<(Range<usize>, Vec<f64>)>,
}

impl Covariance {
    fn new(dim: usize, blocks: Vec<Range<usize>>) -> Self {
        let zeros = |columns: Range<usize>| {
            let size = columns.len() * columns.len();
            (columns, vec![0.0; size])
        };
        Self { dim, rows: 0, trace: 0.0, blocks: blocks.into_iter().map(zeros).collect() }
    }

    /// - `rows`: `(rows, d)`
    fn add(&mut self, rows: &[f32]) {
        let dim = self.dim;
        for (columns, sums) in &mut self.blocks {
            let width = columns.len();
            sums.par_chunks_mut(width * BLOCK).enumerate().for_each(|(block, out)| {
                let first = block * BLOCK;
                for s in rows.chunks_exact(dim).map(|row| &row[columns.clone()]) {
                    for (i, out) in (first..).zip(out.chunks_exact_mut(width)) {
                        add_scaled(&mut out[..=i], f64::from(s[i]), s);
                    }
                }
            });
        }
        for s in rows.chunks_exact(dim) {
            self.trace += dot(s, s);
            self.rows += 1;
        }
    }

    fn decompose(self) -> Result<Fisher> {
        let (dim, rows) = (self.dim, self.rows);
        let decompose = |(columns, mut sums): (Range<usize>, Vec<f64>)| {
            sums.iter_mut().for_each(|x| *x /= rows as f64);
            Block::decomposed(columns, &sums)
        };
        let blocks = self.blocks.into_iter().map(decompose).collect::<Result<_>>()?;
        Ok(Fisher { dim, rows, trace: self.trace / rows as f64, blocks })
    }
}

/// Ascending eigenvalues and eigenvectors (columns) of a matrix given by its lower triangle.
pub(super) fn eigen(lower: &[f64], size: usize) -> Result<(Vec<f64>, Mat<f64>)> {
    if let [only] = lower {
        return Ok((vec![*only], Mat::from_fn(1, 1, |_, _| 1.0)));
    }
    let full = Mat::from_fn(size, size, |i, j| lower[i.max(j) * size + i.min(j)]);
    let mut values = Diag::zeros(size);
    let mut vectors = Mat::zeros(size, size);
    let scratch = self_adjoint_evd_scratch::<f64>(
        size,
        ComputeEigenvectors::Yes,
        Par::Seq,
        Default::default(),
    );
    self_adjoint_evd(
        full.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| Error::Eigen(size))?;
    Ok(((0..size).map(|k| values[k]).collect(), vectors))
}

/// Range of the eigenvalues worth keeping, of an ascending list: none if all are zero.
fn kept(values: &[f64]) -> Range<usize> {
    let largest = values.last().copied().unwrap_or(0.0);
    let first = values.partition_point(|v| *v <= largest.max(0.0) * NEGLIGIBLE);
    first..values.len()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn random(n: usize, dim: usize, seed: u64) -> Sketches {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sketches = Sketches::new(dim);
        for _ in 0..n {
            let row: Vec<f32> =
                (0..dim).map(|j| rng.random_range(-1.0..1.0f32) / (1.0 + j as f32)).collect();
            sketches.push(&row).unwrap();
        }
        sketches
    }

    #[test]
    fn both_decompositions_whiten_alike() {
        for (n, dim) in [(12, 20), (20, 20), (50, 20)] {
            let sketches = random(n, dim, n as u64);
            let covariance = by_covariance(&sketches).unwrap();
            let gram = Block::by_gram(&sketches, 0..dim).unwrap();
            assert!((gram.trace - covariance.trace()).abs() < 1e-12 * gram.trace);
            let gram = Fisher { blocks: vec![gram], ..covariance.clone() };
            for damping in [1e-3, 0.1, 10.0] {
                let (one, other) =
                    (gram.whitening(damping).unwrap(), covariance.whitening(damping).unwrap());
                for s in random(5, dim, 99).rows() {
                    let (x, y) = (one.apply(s).unwrap(), other.apply(s).unwrap());
                    let size = dot_norm(&x);
                    for (x, y) in x.iter().zip(&y) {
                        assert!((x - y).abs() <= 1e-4 * size, "{n} {damping}: {x} {y}");
                    }
                }
            }
        }
    }

    fn by_covariance(sketches: &Sketches) -> Result<Fisher> {
        let whole = 0..sketches.dim();
        let mut sum = Covariance::new(sketches.dim(), std::iter::once(whole).collect());
        // In two parts, as rows that are added later are.
        let (before, after) = sketches.values().split_at(sketches.dim() * 5);
        sum.add(before);
        sum.add(after);
        sum.decompose()
    }

    fn dot_norm(x: &[f32]) -> f32 {
        x.iter().map(|x| x * x).sum::<f32>().sqrt()
    }
}

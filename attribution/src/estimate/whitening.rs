//! `W = (F + lambda I)^(-1/2)`, stored so that applying it has one order of operations.

use super::kernel::{add_scaled, dot, widest};
use crate::{Error, Result};

/// Damping `c` allowed in `lambda = c tr(F) / d`.
pub const DAMPING_RANGE: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// The symmetric matrix `W = (F + lambda I)^(-1/2)`, `(d, d)`, whole or in blocks on the diagonal.
///
/// With eigenpairs `(mu_k, v_k)` of a block of `F`,
/// `W = lambda^(-1/2) I + sum_k ((mu_k + lambda)^(-1/2) - lambda^(-1/2)) v_k v_k^T`.
/// Kept in this factored form when there are fewer than half as many eigenpairs as columns, else
/// multiplied out.
///
/// Applied to a row's and a query's raw sketch, `(W s_q) . (W s_i) = s_q^T (F + lambda I)^-1 s_i`
/// is the influence of the row on the query (Koh and Liang 2017, eq. 2, with the damped empirical
/// Fisher for the Hessian). [`apply`](Self::apply) sums in a fixed order: the bits do not depend
/// on the CPU, the threads or other sketches.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    dim: usize,
    lambda: f64,
    blocks: Vec<(usize, Form)>,
}

/// How a block is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// `(width, width)` row-major.
    Dense(Vec<f32>),
    /// `lambda^(-1/2)`, and per kept direction its gain and its unit vector, `(m, width)` row-major.
    Factored { identity: f32, gains: Vec<f32>, directions: Vec<f32> },
}

impl Form {
    /// Of a block that leaves nothing.
    pub(crate) const fn zero() -> Self {
        Self::Factored { identity: 0.0, gains: Vec::new(), directions: Vec::new() }
    }

    /// Of a block that changes nothing.
    pub(crate) const fn identity() -> Self {
        Self::Factored { identity: 1.0, gains: Vec::new(), directions: Vec::new() }
    }

    pub(crate) fn from_eigen(width: usize, lambda: f64, values: &[f64], vectors: &[f64]) -> Self {
        let identity = 1.0 / lambda.sqrt();
        let gains: Vec<f64> =
            values.iter().map(|mu| 1.0 / (mu + lambda).sqrt() - identity).collect();
        if 2 * values.len() < width {
            Self::Factored {
                identity: identity as f32,
                gains: gains.iter().map(|x| *x as f32).collect(),
                directions: vectors.iter().map(|x| *x as f32).collect(),
            }
        } else {
            Self::Dense(dense(width, identity, &gains, vectors))
        }
    }

    fn apply(&self, s: &[f32], out: &mut [f32]) {
        match self {
            Self::Dense(rows) => products(rows, s, out),
            Self::Factored { identity, gains, directions } => {
                let mut sums: Vec<f64> =
                    s.iter().map(|x| f64::from(*identity) * f64::from(*x)).collect();
                widest(|| {
                    for (gain, v) in gains.iter().zip(directions.chunks_exact(s.len())) {
                        add_scaled(&mut sums, f64::from(*gain) * dot(v, s), v);
                    }
                });
                out.iter_mut().zip(sums).for_each(|(out, x)| *out = x as f32);
            }
        }
    }
}

impl Whitening {
    /// - `blocks`: width and form of each, in order
    pub(crate) fn new(lambda: f64, blocks: Vec<(usize, Form)>) -> Self {
        Self { dim: blocks.iter().map(|(width, _)| width).sum(), lambda, blocks }
    }

    /// Width and form of each block, in order.
    pub(crate) fn blocks(&self) -> &[(usize, Form)] {
        &self.blocks
    }

    /// Dimension `d` of the sketches it whitens.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of its numbers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let numbers = |form: &Form| match form {
            Form::Dense(matrix) => matrix.len(),
            Form::Factored { gains, directions, .. } => 1 + gains.len() + directions.len(),
        };
        self.blocks.iter().map(|(_, form)| 4 * numbers(form)).sum()
    }

    /// `lambda`, in squared units of the raw sketches: the mean over the columns, where blocks have
    /// their own.
    #[must_use]
    pub const fn lambda(&self) -> f64 {
        self.lambda
    }

    /// `W s`, `(d,)`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `s` has not `d` numbers; [`Error::NotFinite`] if the result is not
    /// finite.
    pub fn apply(&self, s: &[f32]) -> Result<Vec<f32>> {
        if s.len() != self.dim {
            return Err(Error::shape("sketch", self.dim, s.len()));
        }
        let mut out = vec![0.0; s.len()];
        let mut first = 0;
        for (width, form) in &self.blocks {
            let columns = first..first + width;
            form.apply(&s[columns.clone()], &mut out[columns]);
            first += width;
        }
        if out.iter().all(|x| x.is_finite()) {
            Ok(out)
        } else {
            Err(Error::NotFinite("whitened sketch"))
        }
    }
}

/// `out = M s` for a square `M`, row-major: each number is a sum of its own, so threads make no
/// difference.
fn products(matrix: &[f32], s: &[f32], out: &mut [f32]) {
    use rayon::prelude::*;

    const ROWS: usize = 256;
    let part = |(rows, out): (&[f32], &mut [f32])| {
        widest(|| {
            for (row, out) in rows.chunks_exact(s.len()).zip(out) {
                *out = dot(row, s) as f32;
            }
        });
    };
    if s.len() <= ROWS {
        return part((matrix, out));
    }
    matrix.par_chunks(ROWS * s.len()).zip(out.par_chunks_mut(ROWS)).for_each(part);
}

fn dense(dim: usize, identity: f64, gains: &[f64], vectors: &[f64]) -> Vec<f32> {
    use rayon::prelude::*;

    let mut out = vec![0.0f32; dim * dim];
    out.par_chunks_mut(dim).enumerate().for_each(|(i, row)| {
        let mut sums = vec![0.0f64; dim];
        sums[i] = identity;
        for (gain, v) in gains.iter().zip(vectors.chunks_exact(dim)) {
            let gain = gain * v[i];
            sums.iter_mut().zip(v).for_each(|(sum, x)| *sum += gain * x);
        }
        row.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
    });
    out
}

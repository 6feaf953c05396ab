//! `W = (F + lambda I)^(-1/2)`, stored so that applying it has one order of operations.

use super::kernel::{add_scaled, dot, widest};
use crate::{Error, Result};

/// Damping `c` allowed in `lambda = c tr(F) / d`.
pub const DAMPING_RANGE: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// The symmetric matrix `W = (F + lambda I)^(-1/2)`, `(d, d)`.
///
/// With eigenpairs `(mu_k, v_k)` of `F`,
/// `W = lambda^(-1/2) I + sum_k ((mu_k + lambda)^(-1/2) - lambda^(-1/2)) v_k v_k^T`.
/// Kept in this factored form when there are fewer than `d / 2` eigenpairs, else multiplied out.
///
/// Applied to a row's and a query's raw sketch, `(W s_q) . (W s_i) = s_q^T (F + lambda I)^-1 s_i`
/// is the influence of the row on the query (Koh and Liang 2017, eq. 2, with the damped empirical
/// Fisher for the Hessian). [`apply`](Self::apply) sums in a fixed order: the bits do not depend
/// on the CPU, the threads or other sketches.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    dim: usize,
    lambda: f64,
    form: Form,
}

/// How the matrix is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// `(d, d)` row-major.
    Dense(Vec<f32>),
    /// `lambda^(-1/2)`, and per kept direction its gain and its unit vector, `(m, d)` row-major.
    Factored { identity: f32, gains: Vec<f32>, directions: Vec<f32> },
}

impl Whitening {
    pub(crate) fn from_eigen(dim: usize, lambda: f64, values: &[f64], vectors: &[f64]) -> Self {
        let identity = 1.0 / lambda.sqrt();
        let gains: Vec<f64> =
            values.iter().map(|mu| 1.0 / (mu + lambda).sqrt() - identity).collect();
        let form = if 2 * values.len() < dim {
            Form::Factored {
                identity: identity as f32,
                gains: gains.iter().map(|x| *x as f32).collect(),
                directions: vectors.iter().map(|x| *x as f32).collect(),
            }
        } else {
            Form::Dense(dense(dim, identity, &gains, vectors))
        };
        Self { dim, lambda, form }
    }

    pub(crate) const fn from_form(dim: usize, lambda: f64, form: Form) -> Self {
        Self { dim, lambda, form }
    }

    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }

    /// Dimension `d` of the sketches it whitens.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// `lambda`, in squared units of the raw sketches.
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
        let out: Vec<f32> = match &self.form {
            Form::Dense(rows) => products(rows, s),
            Form::Factored { identity, gains, directions } => {
                let mut sums: Vec<f64> =
                    s.iter().map(|x| f64::from(*identity) * f64::from(*x)).collect();
                widest(|| {
                    for (gain, v) in gains.iter().zip(directions.chunks_exact(self.dim)) {
                        add_scaled(&mut sums, f64::from(*gain) * dot(v, s), v);
                    }
                });
                sums.into_iter().map(|x| x as f32).collect()
            }
        };
        if out.iter().all(|x| x.is_finite()) {
            Ok(out)
        } else {
            Err(Error::NotFinite("whitened sketch"))
        }
    }
}

/// `M s` for `M: (d, d)`, row-major: each number is a sum of its own, so threads make no difference.
fn products(matrix: &[f32], s: &[f32]) -> Vec<f32> {
    use rayon::prelude::*;

    const ROWS: usize = 256;
    let mut out = vec![0.0; s.len()];
    let parts = matrix.par_chunks(ROWS * s.len()).zip(out.par_chunks_mut(ROWS));
    parts.for_each(|(rows, out)| {
        widest(|| {
            for (row, out) in rows.chunks_exact(s.len()).zip(out) {
                *out = dot(row, s) as f32;
            }
        });
    });
    out
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

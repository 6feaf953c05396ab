//! Attributors without a Hessian.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::{
    Attributor, Query,
    gradients::{Gradients, finite},
};
use crate::{
    Error, Result,
    estimate::{Sketches, kernel::dot},
    settle::keccak,
};

/// `g_q . g_i`: the first-order effect of one gradient step on the row.
#[derive(Clone, Copy, Debug)]
pub struct GradientDot<'a> {
    /// The rows' gradients.
    pub gradients: &'a Gradients,
}

impl Attributor for GradientDot<'_> {
    fn name(&self) -> String {
        "gradient dot".into()
    }

    fn rows(&self) -> usize {
        self.gradients.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        finite(products(self.gradients, query.gradient)?)
    }

    fn self_influence(&self) -> Option<Vec<f32>> {
        finite(self.gradients.squares(&(0..self.gradients.layout().len()))).ok()
    }
}

/// `g_q . g_i / (|g_q| |g_i|)`; 0 where either is zero.
#[derive(Clone, Copy, Debug)]
pub struct Cosine<'a> {
    /// The rows' gradients.
    pub gradients: &'a Gradients,
}

impl Attributor for Cosine<'_> {
    fn name(&self) -> String {
        "gradient cosine".into()
    }

    fn rows(&self) -> usize {
        self.gradients.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let products = products(self.gradients, query.gradient)?;
        let squares = self.gradients.squares(&(0..self.gradients.layout().len()));
        let own = dot(query.gradient, query.gradient);
        finite(products.into_iter().zip(squares).map(|(x, square)| ratio(x, own * square)))
    }
}

/// `sum_k eta_k g_q^k . g_i^k` over checkpoints `k` of the training run, with the learning rate
/// `eta_k` at each (TracInCP, Pruthi et al. 2020, eq. 3).
#[derive(Clone, Debug)]
pub struct TracIn<'a> {
    checkpoints: Vec<(f64, &'a Gradients)>,
}

impl<'a> TracIn<'a> {
    /// Over these checkpoints: the learning rate of each and the rows' gradients there.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none or a rate is not a finite number of at least 0;
    /// [`Error::Shape`] if they have not the same rows.
    pub fn new(checkpoints: Vec<(f64, &'a Gradients)>) -> Result<Self> {
        let Some((_, first)) = checkpoints.first() else {
            return Err(Error::setting("checkpoints must be at least one", 0));
        };
        for (rate, gradients) in &checkpoints {
            if !rate.is_finite() || *rate < 0.0 {
                return Err(Error::setting("a learning rate must be finite and not below 0", rate));
            }
            if gradients.len() != first.len() {
                return Err(Error::shape("rows of a checkpoint", first.len(), gradients.len()));
            }
        }
        Ok(Self { checkpoints })
    }
}

impl Attributor for TracIn<'_> {
    fn name(&self) -> String {
        format!("TracIn, {} checkpoints", self.checkpoints.len())
    }

    fn rows(&self) -> usize {
        self.checkpoints[0].1.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let (wanted, given) = (self.checkpoints.len(), query.checkpoints.len());
        if wanted != given {
            return Err(Error::shape("checkpoints of a query", wanted, given));
        }
        let mut sums = vec![0.0; self.rows()];
        for ((rate, gradients), q) in self.checkpoints.iter().zip(query.checkpoints) {
            let products = products(gradients, q)?;
            sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += rate * x);
        }
        finite(sums)
    }

    fn self_influence(&self) -> Option<Vec<f32>> {
        let mut sums = vec![0.0; self.rows()];
        for (rate, gradients) in &self.checkpoints {
            let squares = gradients.squares(&(0..gradients.layout().len()));
            sums.iter_mut().zip(squares).for_each(|(sum, x)| *sum += rate * x);
        }
        finite(sums).ok()
    }
}

/// Cosine of hidden states; 0 where either is zero.
#[derive(Clone, Debug)]
pub struct Representation {
    hidden: Sketches,
}

impl Representation {
    /// With these hidden states, `(h,)` of each row.
    #[must_use]
    pub const fn new(hidden: Sketches) -> Self {
        Self { hidden }
    }
}

impl Attributor for Representation {
    fn name(&self) -> String {
        "representation cosine".into()
    }

    fn rows(&self) -> usize {
        self.hidden.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let (q, width) = (query.hidden, self.hidden.dim());
        if q.len() != width {
            return Err(Error::shape("hidden state", width, q.len()));
        }
        let own = dot(q, q);
        finite(self.hidden.rows().map(|row| ratio(dot(q, row), own * dot(row, row))))
    }
}

/// Noise in -1 to 1 that depends on the seed and the query's gradient: what any attributor must beat.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// Training rows.
    pub rows: usize,
    /// Seed of the noise.
    pub seed: u64,
}

impl Attributor for Random {
    fn name(&self) -> String {
        "random".into()
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let bytes: Vec<u8> = query.gradient.iter().flat_map(|x| x.to_be_bytes()).collect();
        let seed = keccak(&[&self.seed.to_be_bytes(), &bytes, query.text.as_bytes()]);
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut draw = || f64::from(rng.next_u32()) / f64::from(1u32 << 31) - 1.0;
        finite((0..self.rows).map(|_| draw()))
    }
}

fn products(gradients: &Gradients, q: &[f32]) -> Result<Vec<f64>> {
    gradients.layout().check(q)?;
    Ok(gradients.products(&(0..q.len()), q))
}

/// `product / sqrt(squares)`, 0 for nothing.
fn ratio(product: f64, squares: f64) -> f64 {
    if squares > 0.0 { product / squares.sqrt() } else { 0.0 }
}

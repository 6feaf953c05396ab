//! Log-likelihood of target tokens.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    Result,
    kernels::{Kernel, dispatch, exp, max_lanes, sum_lanes},
    layers::{contiguous, tensor, with_values},
};

/// `sum_i -log softmax(logits_i)[targets_i]` for `logits (rows, vocab)`, as a scalar.
///
/// # Errors
/// [`crate::Error::Tensor`] if there is not one target per row or a target is outside the
/// vocabulary.
pub fn negative_log_likelihood(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    Ok(logits.contiguous()?.apply_op1(Op { targets: Arc::from(targets) })?)
}

struct Op {
    targets: Arc<[u32]>,
}

/// Log of the sum of exponentials of one row, and its softmax if asked for.
struct Normaliser<'a> {
    logits: &'a [f32],
    softmax: Option<&'a mut [f32]>,
    log_total: &'a mut f64,
}

impl Kernel for Normaliser<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let logits = self.logits;
        let top = max_lanes(logits);
        let total = sum_lanes([logits], |[logit]| exp(logit - top));
        *self.log_total = f64::from(top) + libm::log(f64::from(total));
        if let Some(softmax) = self.softmax {
            for (p, logit) in softmax.iter_mut().zip(logits) {
                *p = exp(logit - top) / total;
            }
        }
    }
}

/// Log-likelihood of each row's target, in f64.
pub(crate) fn log_likelihoods(logits: &[f32], targets: &[u32]) -> Vec<f64> {
    let width = logits.len() / targets.len().max(1);
    let rows = logits.par_chunks(width.max(1)).zip(targets);
    rows.map(|(logits, &target)| {
        let mut log_total = 0.0;
        dispatch(Normaliser { logits, softmax: None, log_total: &mut log_total });
        f64::from(logits[target as usize]) - log_total
    })
    .collect()
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "negative-log-likelihood"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, vocab) = l.shape().dims2()?;
        if rows != self.targets.len() || self.targets.iter().any(|&t| t as usize >= vocab) {
            bail!("{} targets for ({rows}, {vocab}) logits", self.targets.len());
        }
        let terms = log_likelihoods(contiguous(logits, l)?, &self.targets);
        let total = -terms.iter().sum::<f64>();
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    /// `softmax - one-hot`, times the gradient of the sum.
    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, vocab) = x.dims2()?;
        let scale = dy.to_scalar::<f32>()?;
        let mut gradient = vec![0.0; x.elem_count()];
        with_values(x, |logits| {
            let rows = gradient.par_chunks_mut(vocab).zip(logits.par_chunks(vocab));
            rows.zip(&self.targets[..]).for_each(|((out, logits), &target)| {
                let mut log_total = 0.0;
                dispatch(Normaliser { logits, softmax: Some(out), log_total: &mut log_total });
                out[target as usize] -= 1.0;
                out.iter_mut().for_each(|value| *value *= scale);
            });
        })?;
        Ok(Some(tensor(gradient, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{at_every_level, dispatch_at},
        layers::finite_difference::{check, random},
    };

    #[test]
    fn gradients_equal_finite_differences() {
        check(&[&random(1, (4, 23))], |v| negative_log_likelihood(&v[0], &[0, 22, 5, 5]));
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let logits = with_values(&random(1, (1, 75)), <[f32]>::to_vec).unwrap();
        at_every_level(76, |level, out| {
            let (softmax, total) = out.split_at_mut(75);
            let mut log_total = 0.0;
            let (logits, softmax) = (&logits[..], Some(softmax));
            dispatch_at(level, Normaliser { logits, softmax, log_total: &mut log_total });
            total[0] = log_total as f32;
        });
    }

    #[test]
    fn uniform_logits_cost_the_log_of_the_vocabulary() {
        let logits = tensor(vec![3.0; 2 * 50], (2, 50)).unwrap();
        let loss = negative_log_likelihood(&logits, &[1, 49]).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - 2.0 * 50f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn target_outside_the_vocabulary_is_an_error() {
        assert!(negative_log_likelihood(&random(1, (1, 4)), &[4]).is_err());
    }
}

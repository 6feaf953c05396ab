//! Probabilities under the model.

use crate::{
    Error, Result,
    kernels::{Kernel, LANES, dispatch, exp},
};

/// Index and value of the largest logit; the first of equal ones.
pub(super) fn likeliest(logits: &[f32]) -> (u32, f32) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let best = logits.iter().position(|logit| *logit == top).unwrap_or(0);
    (best as u32, top)
}

/// `log sum e^logit`, as the largest logit and the logarithm of the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normaliser {
    top: f32,
    log_total: f64,
}

impl Normaliser {
    /// # Errors
    /// [`Error::Request`] if there are no logits or one is not finite.
    pub(super) fn of(logits: &[f32]) -> Result<Self> {
        if logits.is_empty() {
            return Err(Error::Request("no logits".into()));
        }
        if let Some(id) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(Error::Request(format!("the logit of token {id} is {}", logits[id])));
        }
        let (_, top) = likeliest(logits);
        let mut total = 0.0;
        dispatch(Total { logits, top, total: &mut total });
        // libm's log, because the system's may differ in the last bit between machines.
        Ok(Self { top, log_total: libm::log(total) })
    }

    pub(super) fn logprob(&self, logit: f32) -> f32 {
        (f64::from(logit - self.top) - self.log_total) as f32
    }

    /// The `count` likeliest tokens.
    pub(super) fn top(&self, logits: &[f32], count: usize) -> Vec<(u32, f32)> {
        let mut top: Vec<u32> = Vec::with_capacity(count + 1);
        if count == 0 {
            return Vec::new();
        }
        for id in 0..logits.len() as u32 {
            let logit = logits[id as usize];
            if top.len() == count && logits[top[count - 1] as usize] >= logit {
                continue;
            }
            let at = top.partition_point(|other| logits[*other as usize] >= logit);
            top.insert(at, id);
            top.truncate(count);
        }
        top.into_iter().map(|id| (id, self.logprob(logits[id as usize]))).collect()
    }
}

/// `sum e^(logit - top)` in f64, in 16 lanes that are added at the end.
struct Total<'a> {
    logits: &'a [f32],
    top: f32,
    total: &'a mut f64,
}

impl Kernel for Total<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let mut lanes = [0.0f64; LANES];
        let (chunks, rest) = self.logits.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, logit) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(exp(logit - self.top));
            }
        }
        for (lane, logit) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(exp(logit - self.top));
        }
        *self.total = lanes.iter().sum();
    }
}

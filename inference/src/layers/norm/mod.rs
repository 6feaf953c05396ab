//! Normalisation of each token's features.

mod layer;
mod rms;

use candle_core::Tensor;

pub(crate) use self::layer::moments;
use crate::Result;

/// Which normalisation; `x` is a row, all means are over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x w / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019).
    Rms,
    /// `x (1 + w) / sqrt(mean(x^2) + eps)`, as Gemma stores it.
    RmsPlusOne,
    /// `(x - mean(x)) w / sqrt(var(x) + eps) + b` (Ba et al. 2016).
    Layer,
}

/// A normalisation with a weight per feature, and for [`NormKind::Layer`] a bias.
#[derive(Clone, Debug)]
pub struct Norm {
    kind: NormKind,
    weight: Tensor,
    bias: Option<Tensor>,
    /// `1 + w` where it is wanted and `w` does not change.
    shifted: Option<Tensor>,
    eps: f32,
}

impl Norm {
    /// - `weight`, `bias`: `(features,)`, variables if they are trained
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if a bias is missing or one too many.
    pub fn new(kind: NormKind, weight: Tensor, bias: Option<Tensor>, eps: f32) -> Result<Self> {
        if bias.is_some() != (kind == NormKind::Layer) {
            return Err(crate::Error::Shape(format!("bias of a {kind:?} norm")));
        }
        let frozen = !weight.track_op();
        let shifted =
            (kind == NormKind::RmsPlusOne && frozen).then(|| &weight + 1.0).transpose()?;
        Ok(Self { kind, weight, bias, shifted, eps })
    }

    /// The weight, `(features,)`.
    pub const fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `(features,)`.
    pub const fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Normalises each row of `x (tokens, features)`; differentiable.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if `x` has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        let op = rms::Op { eps: self.eps };
        Ok(match (self.kind, &self.bias, &self.shifted) {
            (NormKind::Layer, Some(bias), _) => {
                x.apply_op3(&self.weight, bias, layer::Op { eps: self.eps })?
            }
            (NormKind::RmsPlusOne, _, Some(shifted)) => x.apply_op2(shifted, op)?,
            (NormKind::RmsPlusOne, ..) => x.apply_op2(&(&self.weight + 1.0)?, op)?,
            _ => x.apply_op2(&self.weight, op)?,
        })
    }

    /// Normalises each of the `count` heads of every row of `x (tokens, count * features)` alone.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_heads(&self, x: &Tensor, count: usize) -> Result<Tensor> {
        let (tokens, width) = x.dims2()?;
        let heads = x.contiguous()?.reshape((tokens * count, width / count.max(1)))?;
        Ok(self.forward(&heads)?.reshape((tokens, width))?)
    }
}

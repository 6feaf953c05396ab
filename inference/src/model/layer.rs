//! One decoder layer.

use std::sync::Arc;

use candle_core::Tensor;

use super::{
    AdapterDelta,
    attention::Heads,
    block::{Block, Norms},
    mlp,
    shard::sum_over,
    source::Projection,
};
use crate::{
    Result,
    comm::Comm,
    config::{ExpertSpec, ModelSpec, ResidualForm},
    kv::KvStore,
    layers::{activation::Activation, norm::Norm, rope::Rotation},
    step::Step,
};

/// What all layers of a forward pass share.
pub(super) struct Pass<'a> {
    pub(super) step: &'a Step,
    /// Rotation in layers that see everything, and in those with a window.
    pub(super) rotations: Option<[Rotation; 2]>,
    pub(super) delta: &'a dyn AdapterDelta,
    pub(super) comm: &'a dyn Comm,
}

impl Pass<'_> {
    /// A projection of all tokens, with what adapters add.
    pub(super) fn project(&self, projection: &Projection, x: &Tensor) -> Result<Tensor> {
        match projection.site {
            Some(site) => self.delta.project(site, &projection.linear, x),
            None => projection.linear.forward(x),
        }
    }

    /// A projection of some tokens: row `i` of `x` is token `rows[i]`.
    pub(super) fn project_rows(
        &self,
        projection: &Projection,
        rows: &[usize],
        x: &Tensor,
    ) -> Result<Tensor> {
        match projection.site {
            Some(site) => self.delta.project_rows(site, rows, &projection.linear, x),
            None => projection.linear.forward(x),
        }
    }
}

/// Attention and MLP with their norms, added up as the model's [`ResidualForm`] says.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) block: Block<Projection, Norm>,
    pub(super) heads: Heads,
    residual: ResidualForm,
    activation: Activation,
    experts: Option<Arc<ExpertSpec>>,
}

impl Layer {
    pub(super) fn new(spec: &ModelSpec, index: usize, block: Block<Projection, Norm>) -> Self {
        Self {
            block,
            heads: Heads::new(spec, index),
            residual: spec.residual,
            activation: spec.mlp.activation,
            experts: spec.experts.clone().map(Arc::new),
        }
    }

    fn mlp(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        mlp::forward(&self.block.mlp, self.activation, self.experts.as_deref(), pass, x)
    }

    pub(super) fn forward(
        &self,
        hidden: &Tensor,
        pass: &Pass<'_>,
        kv: Option<&mut dyn KvStore>,
    ) -> Result<Tensor> {
        let Norms { attention, attention_post, mlp, mlp_post } = &self.block.norms;
        let after = |norm: &Option<Norm>, x: Tensor| match norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        };
        let x = attention.forward(hidden)?;
        let attended = self.heads.forward(&self.block.attention, pass, &x, kv)?;
        if let ResidualForm::Parallel { .. } = self.residual {
            let x = mlp.as_ref().map_or(Ok(x), |norm| norm.forward(hidden))?;
            return Ok((hidden + sum_over(pass.comm, (self.mlp(pass, &x)? + attended)?)?)?);
        }
        let attended = sum_over(pass.comm, attended)?;
        let hidden = (hidden + after(attention_post, attended)?)?;
        let x = match mlp {
            Some(norm) => norm.forward(&hidden)?,
            None => x,
        };
        let out = after(mlp_post, sum_over(pass.comm, self.mlp(pass, &x)?)?)?;
        Ok((hidden + out)?)
    }
}

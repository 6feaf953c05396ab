//! One decoder layer.

use std::sync::Arc;

use candle_core::Tensor;

use super::{AdapterDelta, Projection, SiteId, parameters::Source};
use crate::{
    Result,
    config::ModelSpec,
    kv::KvStore,
    layers::{
        Linear,
        attention::{AttentionShape, attend, attend_cached},
        mlp::silu_gate,
        norm::RmsNorm,
        rope::Rope,
    },
    step::Step,
};

/// `h + attention(norm(h))`, then `h + mlp(norm(h))`.
#[derive(Debug)]
pub(super) struct Layer {
    index: usize,
    shape: AttentionShape,
    input_norm: RmsNorm,
    post_attention_norm: RmsNorm,
    /// In the order of [`Projection::ALL`].
    projections: [Linear; 7],
}

impl Layer {
    pub(super) fn build(index: usize, spec: &ModelSpec, source: &mut Source<'_>) -> Result<Self> {
        let mut linear = |projection| {
            let site = SiteId { layer: index, projection };
            source.linear(&format!("{}.weight", site.module_path()))
        };
        let projections = [
            linear(Projection::Q)?,
            linear(Projection::K)?,
            linear(Projection::V)?,
            linear(Projection::O)?,
            linear(Projection::Gate)?,
            linear(Projection::Up)?,
            linear(Projection::Down)?,
        ];
        let norm = |name: &str| format!("model.layers.{index}.{name}.weight");
        Ok(Self {
            index,
            shape: AttentionShape::new(spec.heads, spec.kv_heads, spec.head_dim),
            input_norm: source.norm(&norm("input_layernorm"), spec.norm_eps)?,
            post_attention_norm: source.norm(&norm("post_attention_layernorm"), spec.norm_eps)?,
            projections,
        })
    }

    pub(super) const fn projection(&self, projection: Projection) -> &Linear {
        &self.projections[projection as usize]
    }

    /// Values of the parameter with this path inside the layer (`mlp.up_proj`).
    pub(super) fn parameter(&self, path: &str) -> Result<Vec<f32>> {
        let norm = match path {
            "input_layernorm" => &self.input_norm,
            "post_attention_layernorm" => &self.post_attention_norm,
            _ => {
                let projection = Projection::ALL.into_iter().find(|p| p.path() == path);
                let projection = projection.expect("parameter names are made by `parameters`");
                return self.projection(projection).weight();
            }
        };
        Ok(norm.weight().to_vec1::<f32>()?)
    }

    fn project(
        &self,
        projection: Projection,
        x: &Tensor,
        delta: &dyn AdapterDelta,
    ) -> Result<Tensor> {
        let y = self.projection(projection).forward(x)?;
        delta.add(SiteId { layer: self.index, projection }, x, y)
    }

    pub(super) fn forward(
        &self,
        hidden: &Tensor,
        step: &Step,
        positions: &Arc<[u32]>,
        rope: &Rope,
        kv: Option<&mut dyn KvStore>,
        delta: &dyn AdapterDelta,
    ) -> Result<Tensor> {
        let x = self.input_norm.forward(hidden)?;
        let q = rope.forward(&self.project(Projection::Q, &x, delta)?, positions)?;
        let k = rope.forward(&self.project(Projection::K, &x, delta)?, positions)?;
        let v = self.project(Projection::V, &x, delta)?;
        let attended = match kv {
            Some(kv) => attend_cached(&self.shape, step, self.index, kv, &q, &k, &v)?,
            None => attend(&self.shape, step, &q, &k, &v)?,
        };
        let hidden = (hidden + self.project(Projection::O, &attended, delta)?)?;

        let x = self.post_attention_norm.forward(&hidden)?;
        let gate = self.project(Projection::Gate, &x, delta)?;
        let up = self.project(Projection::Up, &x, delta)?;
        let out = self.project(Projection::Down, &silu_gate(&gate, &up)?, delta)?;
        Ok((hidden + out)?)
    }
}

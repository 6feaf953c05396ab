//! One decoder layer.

use std::sync::Arc;

use candle_core::Tensor;

use super::{AdapterDelta, Site, SiteId, parameters::Source};
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

const PATHS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;
const O: usize = 3;
const GATE: usize = 4;
const UP: usize = 5;
const DOWN: usize = 6;

/// `h + attention(norm(h))`, then `h + mlp(norm(h))`.
#[derive(Debug)]
pub(super) struct Layer {
    index: usize,
    shape: AttentionShape,
    input_norm: RmsNorm,
    post_attention_norm: RmsNorm,
    /// q, k, v, o, gate, up, down.
    projections: [(SiteId, Linear); 7],
}

impl Layer {
    /// `sites` are the layer's own.
    pub(super) fn build(
        index: usize,
        spec: &ModelSpec,
        sites: &[Site; 7],
        source: &mut Source<'_>,
    ) -> Result<Self> {
        let mut linear = |site: &Site| {
            source.linear(&format!("{}.weight", site.path)).map(|linear| (site.id, linear))
        };
        let [q, k, v, o, gate, up, down] = sites;
        let projections = [
            linear(q)?,
            linear(k)?,
            linear(v)?,
            linear(o)?,
            linear(gate)?,
            linear(up)?,
            linear(down)?,
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

    /// Values of the parameter with this path inside the layer (`mlp.up_proj`).
    pub(super) fn parameter(&self, path: &str) -> Result<Vec<f32>> {
        let norm = match path {
            "input_layernorm" => &self.input_norm,
            "post_attention_layernorm" => &self.post_attention_norm,
            _ => {
                let index = PATHS.iter().position(|p| *p == path);
                let index = index.expect("parameter names are made by `parameters`");
                return self.projections[index].1.weight();
            }
        };
        Ok(norm.weight().to_vec1::<f32>()?)
    }

    /// Bytes that the frozen projections take.
    pub(super) fn weight_bytes(&self) -> usize {
        self.projections.iter().map(|(_, linear)| linear.weight_bytes()).sum()
    }

    fn project(&self, index: usize, x: &Tensor, delta: &dyn AdapterDelta) -> Result<Tensor> {
        let (site, linear) = &self.projections[index];
        delta.add(*site, x, linear.forward(x)?)
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
        let q = rope.forward(&self.project(Q, &x, delta)?, positions)?;
        let k = rope.forward(&self.project(K, &x, delta)?, positions)?;
        let v = self.project(V, &x, delta)?;
        let attended = match kv {
            Some(kv) => attend_cached(&self.shape, step, self.index, kv, &q, &k, &v)?,
            None => attend(&self.shape, step, &q, &k, &v)?,
        };
        let hidden = (hidden + self.project(O, &attended, delta)?)?;

        let x = self.post_attention_norm.forward(&hidden)?;
        let gate = self.project(GATE, &x, delta)?;
        let up = self.project(UP, &x, delta)?;
        let out = self.project(DOWN, &silu_gate(&gate, &up)?, delta)?;
        Ok((hidden + out)?)
    }
}

//! Attention of one layer: projections, norms and rotation of heads.

use candle_core::Tensor;

use super::{
    block::{Attention, LatentQuery, Qkv},
    layer::Pass,
    source::Projection,
};
use crate::{
    Result,
    config::{ModelSpec, PositionSpec, QkvForm},
    kv::KvStore,
    layers::{
        attention::{AttentionShape, attend, attend_cached},
        columns::{Columns, join_heads},
        norm::Norm,
        rope::Rotation,
    },
};

/// How a layer attends.
#[derive(Debug)]
pub(super) struct Heads {
    layer: usize,
    shape: AttentionShape,
    form: QkvForm,
    /// Which of a pass's rotations.
    rotation: usize,
}

impl Heads {
    pub(super) fn new(spec: &ModelSpec, layer: usize) -> Self {
        let attention = &spec.attention;
        let alibi = match &spec.positions {
            PositionSpec::Alibi(slopes) => Some(slopes.clone()),
            _ => None,
        };
        let window = attention.windows[layer];
        Self {
            layer,
            shape: AttentionShape { window, ..attention.shape(alibi) },
            form: attention.form,
            rotation: usize::from(window.is_some()),
        }
    }

    fn rotation<'a>(&self, pass: &'a Pass<'_>) -> Option<&'a Rotation> {
        pass.rotations.as_ref().map(|rotations| &rotations[self.rotation])
    }

    /// `(tokens, hidden)` of attention over the normalised `x (tokens, hidden)`.
    pub(super) fn forward(
        &self,
        parts: &Attention<Projection, Norm>,
        pass: &Pass<'_>,
        x: &Tensor,
        kv: Option<&mut dyn KvStore>,
    ) -> Result<Tensor> {
        let (mut q, mut k, v) = match &parts.qkv {
            Qkv::Separate { q, k, v } => {
                (pass.project(q, x)?, pass.project(k, x)?, pass.project(v, x)?)
            }
            Qkv::Fused(qkv) => self.split(&pass.project(qkv, x)?)?,
            Qkv::Latent { q, kv_a, kv_b, kv_norm } => {
                let q = Self::latent_queries(q, pass, x)?;
                let (k, v) = self.expand(pass, x, kv_a, kv_b, kv_norm)?;
                (q, k, v)
            }
        };
        if let Some((q_norm, k_norm)) = &parts.head_norms {
            q = q_norm.forward_heads(&q, self.shape.heads)?;
            k = k_norm.forward_heads(&k, self.shape.kv_heads)?;
        }
        if let Some(rotation) = self.rotation(pass) {
            q = rotation.forward(&q)?;
            // The latent's shared key is turned before it is put into the heads.
            if !matches!(parts.qkv, Qkv::Latent { .. }) {
                k = rotation.forward(&k)?;
            }
        }
        let attended = match kv {
            Some(kv) => attend_cached(&self.shape, pass.step, self.layer, kv, &q, &k, &v)?,
            None => attend(&self.shape, pass.step, &q, &k, &v)?,
        };
        pass.project(&parts.o, &attended)
    }

    /// Queries, keys and values of a fused projection.
    fn split(&self, fused: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let AttentionShape { heads, kv_heads, head_dim, value_dim, .. } = self.shape;
        let widths = match self.form {
            QkvForm::FusedHeads => [heads / kv_heads * head_dim, head_dim, value_dim],
            _ => [heads * head_dim, kv_heads * head_dim, kv_heads * value_dim],
        };
        let count = if self.form == QkvForm::FusedHeads { kv_heads } else { 1 };
        let stride = widths.iter().sum();
        let part = |first, width| Columns { first, width, stride, count }.of(fused);
        let [q, k, v] = widths;
        Ok((part(0, q)?, part(q, k)?, part(q + k, v)?))
    }

    fn latent_queries(
        query: &LatentQuery<Projection, Norm>,
        pass: &Pass<'_>,
        x: &Tensor,
    ) -> Result<Tensor> {
        match query {
            LatentQuery::Full(q) => pass.project(q, x),
            LatentQuery::Latent { a, b, norm } => {
                pass.project(b, &norm.forward(&pass.project(a, x)?)?)
            }
        }
    }

    /// Keys and values of all heads from their latent; keys are rotated already.
    fn expand(
        &self,
        pass: &Pass<'_>,
        x: &Tensor,
        kv_a: &Projection,
        kv_b: &Projection,
        kv_norm: &Norm,
    ) -> Result<(Tensor, Tensor)> {
        let AttentionShape { heads, head_dim, value_dim, .. } = self.shape;
        let rope_dim = match self.form {
            QkvForm::Latent { rope_dim, .. } => rope_dim,
            _ => 0,
        };
        let own_dim = head_dim - rope_dim;
        let compressed = pass.project(kv_a, x)?;
        let rank = kv_b.linear.d_in();
        let latent = kv_norm.forward(&Columns::range(0, rank).of(&compressed)?)?;
        let mut shared = Columns::range(rank, rope_dim).of(&compressed)?;
        if let Some(rotation) = self.rotation(pass) {
            shared = rotation.forward_part(&shared)?;
        }
        let expanded = pass.project(kv_b, &latent)?;
        let stride = own_dim + value_dim;
        let part = |first, width| Columns { first, width, stride, count: heads }.of(&expanded);
        Ok((join_heads(&part(0, own_dim)?, &shared, heads)?, part(own_dim, value_dim)?))
    }
}

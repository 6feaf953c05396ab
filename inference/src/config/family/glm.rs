//! GLM-4 in the form of `transformers`: `glm` (GLM-4-9B) and `glm4` (GLM-4-0414).

use super::{attention, llama::base_at, rope};
use crate::{
    Result,
    config::{
        MlpForm, ModelSpec, Names, ResidualForm, fields::Fields, names::LLAMA, rope::RopeSource,
    },
};

/// Half of each head is rotated, in pairs of neighbours; gate and up are one projection.
pub(super) fn glm(fields: Fields<'_>) -> Result<ModelSpec> {
    let max_positions = fields.size("max_position_embeddings")?;
    let source = RopeSource::new(fields)?;
    let positions = rope(&source, attention(fields)?.head_dim, max_positions, true, 0.5)?;
    let mut spec = base_at(fields, positions)?;
    spec.attention.qkv_bias = fields.flag_or("attention_bias", true)?;
    spec.mlp.form = MlpForm::FusedGated;
    Ok(spec)
}

pub(super) fn glm4(fields: Fields<'_>) -> Result<ModelSpec> {
    let names = Names {
        attention_post_norm: "post_self_attn_layernorm",
        mlp_post_norm: "post_mlp_layernorm",
        ..LLAMA
    };
    Ok(ModelSpec { residual: ResidualForm::Sandwich, names, ..glm(fields)? })
}

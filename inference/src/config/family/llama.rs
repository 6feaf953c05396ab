//! LLaMA 1 to 3, and what has its shape: Mistral, DeepSeek LLM, Coder and R1-distill.

use super::{attention, norm, rope, windows};
use crate::{
    Result,
    config::{
        MlpForm, MlpSpec, ModelSpec, PositionSpec, ResidualForm, fields::Fields, names::LLAMA,
        rope::RopeSource,
    },
    layers::{activation::Activation, norm::NormKind},
};

/// The plain form: RMS norms, rotated heads, gated MLP with SiLU, no biases.
pub(super) fn base(fields: Fields<'_>) -> Result<ModelSpec> {
    let max_positions = fields.size("max_position_embeddings")?;
    let source = RopeSource::new(fields)?;
    let positions = rope(&source, attention(fields)?.head_dim, max_positions, false, 1.0)?;
    base_at(fields, positions)
}

/// As [`base`] with other positions.
pub(super) fn base_at(fields: Fields<'_>, positions: PositionSpec) -> Result<ModelSpec> {
    Ok(ModelSpec {
        vocab_size: fields.size("vocab_size")?,
        hidden_size: fields.size("hidden_size")?,
        layers: fields.size("num_hidden_layers")?,
        max_positions: fields.size("max_position_embeddings")?,
        attention: attention(fields)?,
        positions,
        mlp: MlpSpec {
            intermediate_size: fields.size("intermediate_size")?,
            activation: super::activation(fields, "hidden_act", Activation::Silu)?,
            form: MlpForm::Gated,
            bias: false,
        },
        experts: None,
        norm: norm(fields, NormKind::Rms, "rms_norm_eps", 1e-6)?,
        residual: ResidualForm::Sequential,
        embedding_scale: None,
        embedding_norm: false,
        logit_softcap: None,
        tied_embeddings: fields.flag_or("tie_word_embeddings", false)?,
        bos: None,
        eos: Vec::new(),
        pad: None,
        names: LLAMA,
        source: serde_json::Map::new(),
    })
}

pub(super) fn llama(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = base(fields)?;
    let bias = fields.flag_or("attention_bias", false)?;
    (spec.attention.qkv_bias, spec.attention.out_bias) = (bias, bias);
    spec.mlp.bias = fields.flag_or("mlp_bias", false)?;
    Ok(spec)
}

pub(super) fn mistral(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = base(fields)?;
    let window = fields.optional_size("sliding_window")?;
    let window = fields.or_default("sliding_window", window, 4096);
    spec.attention.windows = windows(fields, spec.layers, window, |_| true)?;
    Ok(spec)
}

//! GPT-2: learned positions, weights stored as `(d_in, d_out)`.

use super::{activation, divided, inverse_root, norm, windows};
use crate::{
    Result,
    config::{
        AttentionNames, AttentionSpec, MlpForm, MlpSpec, ModelSpec, Names, PositionSpec, QkvForm,
        ResidualForm, fields::Fields, names::LLAMA,
    },
    layers::{activation::Activation, norm::NormKind},
};

const NAMES: Names = Names {
    optional_prefix: "transformer.",
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    layers: "transformer.h",
    final_norm: "transformer.ln_f",
    attention_norm: "ln_1",
    mlp_norm: "ln_2",
    attention: AttentionNames { qkv: "attn.c_attn", o: "attn.c_proj", ..LLAMA.attention },
    up: "c_fc",
    down: "c_proj",
    repeated: &["attn.bias", "attn.masked_bias"],
    fan_in_fan_out: true,
    ..LLAMA
};

pub(super) fn gpt2(fields: Fields<'_>) -> Result<ModelSpec> {
    fields.must_be("scale_attn_weights", true)?;
    fields.must_be("scale_attn_by_inverse_layer_idx", false)?;
    fields.must_be("add_cross_attention", false)?;
    let hidden_size = fields.size_of(&["n_embd", "hidden_size"])?;
    let layers = fields.size_of(&["n_layer", "num_hidden_layers"])?;
    let heads = fields.size_of(&["n_head", "num_attention_heads"])?;
    let head_dim = divided(hidden_size, heads);
    let inner = fields.optional_size("n_inner")?.unwrap_or(hidden_size.saturating_mul(4));
    Ok(ModelSpec {
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        layers,
        max_positions: fields.size_of(&["n_positions", "max_position_embeddings"])?,
        positions: PositionSpec::Learned,
        attention: AttentionSpec {
            heads,
            kv_heads: heads,
            head_dim,
            value_dim: head_dim,
            scale: inverse_root(head_dim as f64),
            softcap: None,
            windows: windows(fields, layers, None, |_| false)?,
            form: QkvForm::FusedParts,
            qkv_bias: true,
            out_bias: true,
            qk_norm: false,
        },
        mlp: MlpSpec {
            intermediate_size: inner,
            activation: activation(fields, "activation_function", Activation::GeluTanh)?,
            form: MlpForm::Plain,
            bias: true,
        },
        experts: None,
        norm: norm(fields, NormKind::Layer, "layer_norm_epsilon", 1e-5)?,
        residual: ResidualForm::Sequential,
        embedding_scale: None,
        embedding_norm: false,
        logit_softcap: None,
        tied_embeddings: fields.flag_or("tie_word_embeddings", true)?,
        bos: None,
        eos: Vec::new(),
        pad: None,
        names: NAMES,
        source: serde_json::Map::new(),
    })
}

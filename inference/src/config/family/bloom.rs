//! BLOOM: ALiBi, a norm after the embedding, queries, keys and values fused head by head.

use super::{alibi_slopes, divided, inverse_root, norm, windows};
use crate::{
    Result,
    config::{
        AttentionSpec, MAX_SIZE, MlpForm, MlpSpec, ModelSpec, PositionSpec, QkvForm, ResidualForm,
        fields::Fields, names::BLOOM,
    },
    layers::{activation::Activation, norm::NormKind},
};

pub(super) fn bloom(fields: Fields<'_>) -> Result<ModelSpec> {
    fields.must_be("apply_residual_connection_post_layernorm", false)?;
    let hidden_size = fields.size_of(&["hidden_size", "n_embed"])?;
    let layers = fields.size_of(&["n_layer", "num_hidden_layers"])?;
    let heads = fields.size_of(&["n_head", "num_attention_heads"])?;
    let head_dim = divided(hidden_size, heads);
    Ok(ModelSpec {
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        layers,
        max_positions: fields.optional_size("seq_length")?.unwrap_or(2048),
        positions: PositionSpec::Alibi(alibi_slopes(heads.min(MAX_SIZE)).into()),
        attention: AttentionSpec {
            heads,
            kv_heads: heads,
            head_dim,
            value_dim: head_dim,
            scale: inverse_root(head_dim as f64),
            softcap: None,
            windows: windows(fields, layers, None, |_| false)?,
            form: QkvForm::FusedHeads,
            qkv_bias: true,
            out_bias: true,
            qk_norm: false,
        },
        mlp: MlpSpec {
            intermediate_size: hidden_size.saturating_mul(4),
            activation: Activation::GeluTanh,
            form: MlpForm::Plain,
            bias: true,
        },
        experts: None,
        norm: norm(fields, NormKind::Layer, "layer_norm_epsilon", 1e-5)?,
        residual: ResidualForm::Sequential,
        embedding_scale: None,
        embedding_norm: true,
        logit_softcap: None,
        tied_embeddings: fields.flag_or("tie_word_embeddings", true)?,
        bos: None,
        eos: Vec::new(),
        pad: None,
        names: BLOOM,
        source: serde_json::Map::new(),
    })
}

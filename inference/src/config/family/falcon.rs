//! Falcon: 7B (one key head, one norm), 40B and 11B (grouped heads, two norms or one) and RW (ALiBi).

use half::bf16;

use super::{alibi_slopes, divided, inverse_root, norm, rope, windows};
use crate::{
    Error, Result,
    config::{
        AttentionSpec, MlpForm, MlpSpec, ModelSpec, Names, PositionSpec, QkvForm, ResidualForm,
        fields::Fields, names::BLOOM, rope::RopeSource,
    },
    layers::{activation::Activation, norm::NormKind},
};

pub(super) fn falcon(fields: Fields<'_>) -> Result<ModelSpec> {
    let grouped = fields.flag_or("new_decoder_architecture", false)?;
    let residual = residual(fields, grouped)?;
    let attention = attention(fields, grouped)?;
    let max_positions = fields.optional_size("max_position_embeddings")?.unwrap_or(2048);
    let hidden_size = fields.size_of(&["hidden_size", "n_embed"])?;
    let inner = fields.optional_size("ffn_hidden_size")?;
    let two_norms = residual == ResidualForm::Parallel { shared_norm: false };
    let names = if two_norms {
        Names { attention_norm: "ln_attn", mlp_norm: "ln_mlp", ..BLOOM }
    } else {
        BLOOM
    };
    Ok(ModelSpec {
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        layers: layers(fields)?,
        max_positions,
        positions: positions(fields, &attention, max_positions)?,
        mlp: MlpSpec {
            intermediate_size: inner.unwrap_or(hidden_size.saturating_mul(4)),
            activation: super::activation(fields, "activation", Activation::Gelu)?,
            form: MlpForm::Plain,
            bias: attention.out_bias,
        },
        attention,
        experts: None,
        norm: norm(fields, NormKind::Layer, "layer_norm_epsilon", 1e-5)?,
        residual,
        embedding_scale: None,
        embedding_norm: false,
        logit_softcap: None,
        tied_embeddings: fields.flag_or("tie_word_embeddings", true)?,
        bos: None,
        eos: Vec::new(),
        pad: None,
        names,
        source: serde_json::Map::new(),
    })
}

fn layers(fields: Fields<'_>) -> Result<usize> {
    fields.size_of(&["num_hidden_layers", "n_layer"])
}

fn residual(fields: Fields<'_>, grouped: bool) -> Result<ResidualForm> {
    let parallel = fields.flag_or("parallel_attn", true)?;
    if !parallel && grouped {
        let message = "new_decoder_architecture without parallel_attn is not supported";
        return Err(Error::Config(message.into()));
    }
    if !parallel {
        return Ok(ResidualForm::Sequential);
    }
    let default = if grouped { 2 } else { 1 };
    match (fields.optional_size("num_ln_in_parallel_attn")?.unwrap_or(default), grouped) {
        (1, _) => Ok(ResidualForm::Parallel { shared_norm: true }),
        (2, true) => Ok(ResidualForm::Parallel { shared_norm: false }),
        (count, _) => {
            let message = format!("num_ln_in_parallel_attn {count} is not supported");
            Err(Error::Config(message))
        }
    }
}

fn attention(fields: Fields<'_>, grouped: bool) -> Result<AttentionSpec> {
    let heads = fields.size_of(&["num_attention_heads", "n_head"])?;
    let head_dim = divided(fields.size_of(&["hidden_size", "n_embed"])?, heads);
    let multi_query = fields.flag_or("multi_query", true)?;
    let kv_heads = if grouped {
        fields.optional_size("num_kv_heads")?.unwrap_or(heads)
    } else if multi_query {
        1
    } else {
        heads
    };
    let bias = fields.flag_or("bias", false)?;
    Ok(AttentionSpec {
        heads,
        kv_heads,
        head_dim,
        value_dim: head_dim,
        scale: inverse_root(head_dim as f64),
        softcap: None,
        windows: windows(fields, layers(fields)?, None, |_| false)?,
        // With one key head, its queries, key and value are all queries, keys, values.
        form: QkvForm::FusedHeads,
        qkv_bias: bias,
        out_bias: bias,
        qk_norm: false,
    })
}

fn positions(
    fields: Fields<'_>,
    attention: &AttentionSpec,
    max_positions: usize,
) -> Result<PositionSpec> {
    if !fields.flag_or("alibi", false)? {
        let source = RopeSource::new(fields)?;
        return rope(&source, attention.head_dim, max_positions, false, 1.0);
    }
    // Falcon rounds the slopes to bf16 and scales them together with the scores.
    let slopes = alibi_slopes(attention.heads.min(crate::config::MAX_SIZE));
    let scaled = |slope: f32| bf16::from_f32(slope).to_f32() * attention.scale;
    Ok(PositionSpec::Alibi(slopes.into_iter().map(scaled).collect()))
}

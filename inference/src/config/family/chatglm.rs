//! ChatGLM 3 (and 2, and the first GLM-4-9B) with the names of its own repository's code.

use std::sync::Arc;

use super::{divided, inverse_root, norm};
use crate::{
    Result,
    config::{
        AttentionNames, AttentionSpec, MlpForm, MlpSpec, ModelSpec, Names, PositionSpec, QkvForm,
        ResidualForm, RopeSpec, fields::Fields, names::LLAMA,
    },
    layers::{activation::Activation, norm::NormKind},
};

const NAMES: Names = Names {
    optional_prefix: "",
    embedding: "transformer.embedding.word_embeddings",
    layers: "transformer.encoder.layers",
    final_norm: "transformer.encoder.final_layernorm",
    head: "transformer.output_layer",
    attention: AttentionNames {
        qkv: "self_attention.query_key_value",
        o: "self_attention.dense",
        ..LLAMA.attention
    },
    gate_up: "dense_h_to_4h",
    down: "dense_4h_to_h",
    repeated: &["rotary_pos_emb.inv_freq"],
    ..LLAMA
};

pub(super) fn chatglm(fields: Fields<'_>) -> Result<ModelSpec> {
    for name in ["rmsnorm", "post_layer_norm"] {
        fields.must_be(name, true)?;
    }
    fields.must_be("apply_residual_connection_post_layernorm", false)?;
    fields.must_be("quantization_bit", 0)?;
    fields.must_be_absent("pre_seq_len")?;
    let layers = fields.size("num_layers")?;
    let attention = attention(fields, layers)?;
    let max_positions = fields.size("seq_length")?;
    let bias = fields.flag_or("add_bias_linear", false)?;
    Ok(ModelSpec {
        vocab_size: fields.size_of(&["padded_vocab_size", "vocab_size"])?,
        hidden_size: fields.size("hidden_size")?,
        layers,
        max_positions,
        positions: half_rope(attention.head_dim, fields.number_or("rope_ratio", 1.0)?),
        attention,
        mlp: MlpSpec {
            intermediate_size: fields.size("ffn_hidden_size")?,
            activation: Activation::Silu,
            form: MlpForm::FusedGated,
            bias,
        },
        experts: None,
        norm: norm(fields, NormKind::Rms, "layernorm_epsilon", 1e-5)?,
        residual: ResidualForm::Sequential,
        embedding_scale: None,
        embedding_norm: false,
        logit_softcap: None,
        tied_embeddings: fields.flag_or("tie_word_embeddings", false)?,
        bos: None,
        eos: Vec::new(),
        pad: None,
        names: NAMES,
        source: serde_json::Map::new(),
    })
}

fn attention(fields: Fields<'_>, layers: usize) -> Result<AttentionSpec> {
    let heads = fields.size("num_attention_heads")?;
    let derived = divided(fields.size("hidden_size")?, heads);
    let head_dim = fields.optional_size("kv_channels")?.unwrap_or(derived);
    // Scaling of queries by layer is undone inside the softmax: it changes nothing but the range.
    let bias = fields.flag_or("add_bias_linear", false)?;
    let grouped = fields.flag_or("multi_query_attention", false)?;
    Ok(AttentionSpec {
        heads,
        kv_heads: if grouped { fields.size("multi_query_group_num")? } else { heads },
        head_dim,
        value_dim: head_dim,
        scale: inverse_root(head_dim as f64),
        softcap: None,
        windows: super::windows(fields, layers, None, |_| false)?,
        form: if grouped { QkvForm::FusedParts } else { QkvForm::FusedHeads },
        qkv_bias: bias || fields.flag_or("add_qkv_bias", false)?,
        out_bias: bias,
        qk_norm: false,
    })
}

/// `RotaryEmbedding(head_dim / 2)` of the model's code: the first half of a head is rotated in pairs
/// of neighbours, with base `10000 rope_ratio`.
fn half_rope(head_dim: usize, ratio: f64) -> PositionSpec {
    let dims = head_dim / 2;
    let frequency = |i| 1.0 / libm::pow(10_000.0 * ratio, 2.0 * i as f64 / dims as f64) as f32;
    let frequencies: Arc<[f32]> = (0..dims / 2).map(frequency).collect();
    let rope = RopeSpec { first: 0, interleaved: true, frequencies, factor: 1.0 };
    PositionSpec::Rope { global: rope.clone(), local: rope }
}

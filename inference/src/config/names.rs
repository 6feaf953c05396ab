//! What a family calls its modules in checkpoints.

/// Module names. Those of a layer are paths within it; a family uses the ones that its
/// [`ModelSpec`](super::ModelSpec) needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// Begin of all names but the head's that some checkpoints leave out.
    pub optional_prefix: &'static str,
    /// Token embedding.
    pub embedding: &'static str,
    /// Norm after it.
    pub embedding_norm: &'static str,
    /// Position embedding.
    pub positions: &'static str,
    /// The list of layers.
    pub layers: &'static str,
    /// Norm after the last layer.
    pub final_norm: &'static str,
    /// Output projection.
    pub head: &'static str,
    /// Norm before attention.
    pub attention_norm: &'static str,
    /// Norm after attention.
    pub attention_post_norm: &'static str,
    /// Norm before the MLP.
    pub mlp_norm: &'static str,
    /// Norm after the MLP.
    pub mlp_post_norm: &'static str,
    /// Attention's projections.
    pub attention: AttentionNames,
    /// The MLP as a whole.
    pub mlp: &'static str,
    /// The projections of an MLP, within it.
    pub gate: &'static str,
    /// Up, or the only one before the activation.
    pub up: &'static str,
    /// Gate and up in one.
    pub gate_up: &'static str,
    /// The last one.
    pub down: &'static str,
    /// Ends of tensors that repeat what the configuration says, and are not read.
    pub repeated: &'static [&'static str],
    /// Whether projections of layers are stored as `(d_in, d_out)`.
    pub fan_in_fan_out: bool,
}

/// Attention's modules, within a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionNames {
    /// Queries.
    pub q: &'static str,
    /// Keys.
    pub k: &'static str,
    /// Values.
    pub v: &'static str,
    /// All three in one.
    pub qkv: &'static str,
    /// Output.
    pub o: &'static str,
    /// Norm of each head's queries.
    pub q_norm: &'static str,
    /// Norm of each head's keys.
    pub k_norm: &'static str,
}

/// The names of LLaMA and of those that follow it.
pub(super) const LLAMA: Names = Names {
    optional_prefix: "model.",
    embedding: "model.embed_tokens",
    embedding_norm: "",
    positions: "",
    layers: "model.layers",
    final_norm: "model.norm",
    head: "lm_head",
    attention_norm: "input_layernorm",
    attention_post_norm: "",
    mlp_norm: "post_attention_layernorm",
    mlp_post_norm: "",
    attention: AttentionNames {
        q: "self_attn.q_proj",
        k: "self_attn.k_proj",
        v: "self_attn.v_proj",
        qkv: "",
        o: "self_attn.o_proj",
        q_norm: "self_attn.q_norm",
        k_norm: "self_attn.k_norm",
    },
    mlp: "mlp",
    gate: "gate_proj",
    up: "up_proj",
    gate_up: "gate_up_proj",
    down: "down_proj",
    repeated: &["rotary_emb.inv_freq"],
    fan_in_fan_out: false,
};

/// The names of BLOOM and Falcon.
pub(super) const BLOOM: Names = Names {
    optional_prefix: "transformer.",
    embedding: "transformer.word_embeddings",
    embedding_norm: "transformer.word_embeddings_layernorm",
    layers: "transformer.h",
    final_norm: "transformer.ln_f",
    attention: AttentionNames {
        qkv: "self_attention.query_key_value",
        o: "self_attention.dense",
        ..LLAMA.attention
    },
    up: "dense_h_to_4h",
    down: "dense_4h_to_h",
    ..LLAMA
};

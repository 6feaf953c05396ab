//! Tensor names of llama.cpp's architectures, and the order of their rows.

use super::Metadata;
use crate::{Error, Result};

/// An architecture's tensors.
#[derive(Debug)]
pub(super) struct NameMap {
    architecture: Architecture,
    heads: usize,
    kv_heads: usize,
}

/// The `general.architecture`s that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    /// LLaMA and Mistral.
    Llama,
    Qwen2,
    Qwen3,
}

/// Outside of the layers.
const TOP: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Inside a layer.
const LAYER: [(&str, &str); 14] = [
    ("attn_norm.weight", "input_layernorm.weight"),
    ("attn_q.weight", "self_attn.q_proj.weight"),
    ("attn_q.bias", "self_attn.q_proj.bias"),
    ("attn_k.weight", "self_attn.k_proj.weight"),
    ("attn_k.bias", "self_attn.k_proj.bias"),
    ("attn_v.weight", "self_attn.v_proj.weight"),
    ("attn_v.bias", "self_attn.v_proj.bias"),
    ("attn_output.weight", "self_attn.o_proj.weight"),
    ("attn_q_norm.weight", "self_attn.q_norm.weight"),
    ("attn_k_norm.weight", "self_attn.k_norm.weight"),
    ("ffn_norm.weight", "post_attention_layernorm.weight"),
    ("ffn_gate.weight", "mlp.gate_proj.weight"),
    ("ffn_up.weight", "mlp.up_proj.weight"),
    ("ffn_down.weight", "mlp.down_proj.weight"),
];

impl Architecture {
    pub(super) fn of(metadata: &Metadata) -> Result<Self> {
        match metadata.text("general.architecture")? {
            Some("llama") => Ok(Self::Llama),
            Some("qwen2") => Ok(Self::Qwen2),
            Some("qwen3") => Ok(Self::Qwen3),
            other => Err(Error::Config(format!("GGUF architecture {other:?} is not supported"))),
        }
    }

    /// The prefix of its keys.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

impl NameMap {
    pub(super) fn of(metadata: &Metadata) -> Result<Self> {
        let architecture = Architecture::of(metadata)?;
        let count = |key: &str| -> Result<Option<usize>> {
            let value = metadata.unsigned(&format!("{}.{key}", architecture.key()))?;
            Ok(value.and_then(|value| usize::try_from(value).ok()))
        };
        let heads = count("attention.head_count")?.unwrap_or(0);
        let kv_heads = count("attention.head_count_kv")?.unwrap_or(heads);
        Ok(Self { architecture, heads, kv_heads })
    }

    /// The Hugging Face name of a tensor; `None` for one that says nothing more than the metadata.
    pub(super) fn to_hf(&self, name: &str) -> Result<Option<String>> {
        if let Some((_, hf)) = TOP.iter().find(|(gguf, _)| *gguf == name) {
            return Ok(Some((*hf).to_owned()));
        }
        let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        if let Some((index, rest)) = layer
            && let Some((_, hf)) = LAYER.iter().find(|(gguf, _)| *gguf == rest)
            && let Ok(index) = index.parse::<u16>()
        {
            return Ok(Some(format!("model.layers.{index}.{hf}")));
        }
        Err(Error::Weights(format!("GGUF tensor {name} is not part of the model")))
    }

    /// Which stored row is each row of a tensor: llama.cpp rotates pairs `(2i, 2i + 1)` of a head in
    /// the `llama` architecture, Hugging Face `(i, i + half)`.
    pub(super) fn row_order(&self, name: &str, rows: usize) -> Option<Vec<usize>> {
        let heads = match name.rsplit_once("self_attn.")?.1 {
            "q_proj.weight" | "q_proj.bias" => self.heads,
            "k_proj.weight" | "k_proj.bias" => self.kv_heads,
            _ => return None,
        };
        let even = heads > 0 && rows.is_multiple_of(2 * heads);
        if self.architecture != Architecture::Llama || !even {
            return None;
        }
        let width = rows / heads;
        let half = width / 2;
        let stored = |row: usize| row / width * width + 2 * (row % half) + row % width / half;
        Some((0..rows).map(stored).collect())
    }

    /// Refuses metadata that changes the arithmetic in a way that is not read.
    pub(super) fn check(&self, metadata: &Metadata) -> Result<()> {
        let key = |name: &str| format!("{}.{name}", self.architecture.key());
        if metadata.unsigned(&key("expert_count"))?.is_some_and(|count| count > 0) {
            return Err(Error::Config("GGUF models with experts are not supported".into()));
        }
        let window = metadata.unsigned(&key("attention.sliding_window"))?;
        if self.architecture != Architecture::Llama && window.is_some() {
            return Err(Error::Config("GGUF: a sliding window is not read here".into()));
        }
        Ok(())
    }
}

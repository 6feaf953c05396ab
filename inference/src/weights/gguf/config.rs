//! The `config.json` that says what a GGUF file's metadata says.

use serde_json::{Value as Json, json};

use super::{Gguf, names::Architecture};
use crate::{Error, Result};

impl Gguf {
    /// A Hugging Face `config.json` for the model.
    ///
    /// # Errors
    /// [`Error::Config`] if a size is missing or the positions are scaled in a way that is not read;
    /// [`Error::Weights`] if a value has another type than it should.
    pub fn config(&self) -> Result<String> {
        let architecture = Architecture::of(&self.metadata)?;
        let size = |name: &str| self.size(architecture, name);
        let needed = |name: &str| {
            size(name)?.ok_or_else(|| Error::Config(format!("GGUF: {name} is missing")))
        };
        let hidden = needed("embedding_length")?;
        let heads = needed("attention.head_count")?;
        let head_dim = match size("attention.key_length")? {
            Some(width) => width,
            None if heads == 0 => 0,
            None => hidden / heads,
        };
        if size("attention.value_length")?.is_some_and(|width| width != head_dim) {
            return Err(Error::Config("GGUF: keys and values of different widths".into()));
        }
        if size("rope.dimension_count")?.is_some_and(|width| width != head_dim) {
            return Err(Error::Config("GGUF: a part of each head is rotated".into()));
        }
        let has = |name: &str| self.tensors.contains_key(name);
        let vocabulary = self.tensors.get("model.embed_tokens.weight").map(|entry| entry.shape[0]);
        let key = |name: &str| format!("{}.{name}", architecture.key());
        let id = |name: &str| self.metadata.unsigned(&format!("tokenizer.ggml.{name}_token_id"));
        let window = size("attention.sliding_window")?;
        let (model_type, class) = match architecture {
            Architecture::Llama if window.is_some() => ("mistral", "MistralForCausalLM"),
            Architecture::Llama => ("llama", "LlamaForCausalLM"),
            Architecture::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
            Architecture::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
        };
        let config = json!({
            "architectures": [class],
            "model_type": model_type,
            "hidden_act": "silu",
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": needed("feed_forward_length")?,
            "num_hidden_layers": needed("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": size("attention.head_count_kv")?.unwrap_or(heads),
            "head_dim": head_dim,
            "rms_norm_eps": self.decimal(&key("attention.layer_norm_rms_epsilon"))?,
            "rope_theta": self.decimal(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            "rope_scaling": self.rope_scaling(architecture)?,
            "max_position_embeddings": needed("context_length")?,
            "tie_word_embeddings": !has("lm_head.weight"),
            "attention_bias": has("model.layers.0.self_attn.q_proj.bias"),
            "mlp_bias": false,
            "sliding_window": window,
            "bos_token_id": id("bos")?,
            "eos_token_id": id("eos")?,
            "pad_token_id": id("padding")?,
        });
        Ok(config.to_string())
    }

    fn size(&self, architecture: Architecture, name: &str) -> Result<Option<u64>> {
        self.metadata.unsigned(&format!("{}.{name}", architecture.key()))
    }

    /// A float that was written from a decimal: 1e-5 as an f32 reads as 1e-5.
    fn decimal(&self, key: &str) -> Result<Option<f64>> {
        let value = self.metadata.float(key)?;
        Ok(value.and_then(|value| (value as f32).to_string().parse().ok()))
    }

    fn rope_scaling(&self, architecture: Architecture) -> Result<Json> {
        let key = |name: &str| format!("{}.rope.scaling.{name}", architecture.key());
        let kind = self.metadata.text(&key("type"))?;
        let factor = self.decimal(&key("factor"))?;
        match (kind, factor) {
            (None | Some("none"), _) => Ok(Json::Null),
            (Some("linear"), Some(factor)) => {
                Ok(json!({ "rope_type": "linear", "factor": factor }))
            }
            (Some("yarn"), Some(factor)) => {
                let original = self.metadata.unsigned(&key("original_context_length"))?;
                let length = json!(original);
                Ok(json!({
                    "rope_type": "yarn",
                    "factor": factor,
                    "original_max_position_embeddings": length,
                }))
            }
            (kind, _) => Err(Error::Config(format!("GGUF: rope scaling {kind:?} is not read"))),
        }
    }
}

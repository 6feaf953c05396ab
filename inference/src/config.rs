//! `config.json` of a Hugging Face model, checked and turned into a [`ModelSpec`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Largest `config.json` read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Largest value of any size in the configuration: it keeps every product of two within `usize`.
const MAX_SIZE: usize = 1 << 20;

/// Token ids that end an answer: one id or a list, as `config.json` allows both.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// The fields of `config.json` that the LLaMA family uses; others are carried by HF but say nothing
/// that changes the arithmetic.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct HfConfig {
    #[serde(default)]
    architectures: Vec<String>,
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    rope_parameters: Option<serde_json::Value>,
    max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    hidden_act: Option<String>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
    pad_token_id: Option<u32>,
}

/// Everything about a decoder that is not a weight. All sizes are at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence, in tokens.
    pub max_positions: usize,
    /// Whether the output projection is the embedding table.
    pub tied_embeddings: bool,
    /// Begin-of-sequence token.
    pub bos: Option<u32>,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
    /// Padding token.
    pub pad: Option<u32>,
}

impl ModelSpec {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Config`] if it is not JSON, is another family,
    /// or asks for anything that the decoder would compute differently (scaled rope, biases,
    /// another activation, sizes out of bounds).
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let length = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
        if length > MAX_CONFIG_BYTES {
            return Err(Error::Config(format!("config.json has {length} bytes")));
        }
        Self::parse(&std::fs::read_to_string(&path).map_err(Error::io(&path))?)
    }

    /// Parses the text of a `config.json`; see [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str) -> Result<Self> {
        let config: HfConfig =
            serde_json::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
        reject_unsupported(&config)?;
        let rope_theta = rope_theta(&config)?;
        let head_dim = match config.head_dim {
            Some(width) => width,
            None if config.num_attention_heads == 0 => 0,
            None => config.hidden_size / config.num_attention_heads,
        };
        let spec = Self {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads.unwrap_or(config.num_attention_heads),
            head_dim,
            norm_eps: config.rms_norm_eps as f32,
            rope_theta,
            max_positions: config.max_position_embeddings,
            tied_embeddings: config.tie_word_embeddings,
            bos: config.bos_token_id,
            eos: match config.eos_token_id {
                None => Vec::new(),
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
            pad: config.pad_token_id,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// Checks the bounds stated on the fields.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_positions),
        ];
        for (name, value) in sizes {
            if value == 0 || value > MAX_SIZE {
                return Err(Error::Config(format!("{name} {value} is not in 1..={MAX_SIZE}")));
            }
        }
        if self.layers > 1024 {
            return Err(Error::Config(format!("num_hidden_layers {} is above 1024", self.layers)));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::Config(format!(
                "{} heads are not a multiple of {} key/value heads",
                self.heads, self.kv_heads
            )));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::Config(format!("head_dim {} is odd", self.head_dim)));
        }
        if self.heads * self.head_dim > MAX_SIZE {
            return Err(Error::Config("heads times head_dim is too large".into()));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err(Error::Config(format!("rms_norm_eps {} is not in (0, 1)", self.norm_eps)));
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return Err(Error::Config(format!("rope_theta {} is below 1", self.rope_theta)));
        }
        let special = self.bos.iter().chain(&self.eos).chain(&self.pad);
        if let Some(id) = special.copied().find(|&id| id as usize >= self.vocab_size) {
            return Err(Error::Config(format!("special token {id} is outside the vocabulary")));
        }
        Ok(())
    }

    /// The `config.json` that [`Self::parse`] reads back and `transformers` loads.
    pub fn to_json(&self) -> String {
        let eos = match self.eos.as_slice() {
            [] => serde_json::Value::Null,
            [id] => (*id).into(),
            ids => ids.into(),
        };
        let value = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            // Through decimal text, so that 1e-5 is written as 1e-5 and not as its f64 expansion.
            "rms_norm_eps": self.norm_eps.to_string().parse::<f64>().unwrap_or(1e-5),
            "rope_theta": self.rope_theta,
            "rope_scaling": null,
            "max_position_embeddings": self.max_positions,
            "tie_word_embeddings": self.tied_embeddings,
            "attention_bias": false,
            "mlp_bias": false,
            "bos_token_id": self.bos,
            "eos_token_id": eos,
            "pad_token_id": self.pad,
            "torch_dtype": "bfloat16",
        });
        format!("{value:#}\n")
    }

    /// Number of weights.
    pub const fn parameter_count(&self) -> usize {
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        let attention = self.hidden_size * (2 * queries + 2 * keys);
        let mlp = 3 * self.hidden_size * self.intermediate_size;
        let tables = if self.tied_embeddings { 1 } else { 2 };
        self.layers * (attention + mlp + 2 * self.hidden_size)
            + self.hidden_size
            + tables * self.vocab_size * self.hidden_size
    }
}

fn reject_unsupported(config: &HfConfig) -> Result<()> {
    let refuse = |what: String| Err(Error::Config(what));
    if config.model_type != "llama" {
        return refuse(format!("model_type {:?} is not supported", config.model_type));
    }
    if config.architectures.iter().any(|name| name != "LlamaForCausalLM") {
        return refuse(format!("architectures {:?} are not supported", config.architectures));
    }
    if config.attention_bias || config.mlp_bias {
        return refuse("biases are not supported".into());
    }
    match config.hidden_act.as_deref() {
        None | Some("silu") => {}
        Some(name) => return refuse(format!("hidden_act {name:?} is not supported")),
    }
    if config.rope_scaling.as_ref().is_some_and(|value| !value.is_null()) {
        return refuse("rope_scaling is not supported".into());
    }
    Ok(())
}

/// `rope_theta` at the top level, or in `rope_parameters` as newer `transformers` write it.
fn rope_theta(config: &HfConfig) -> Result<f64> {
    let nested = match &config.rope_parameters {
        None | Some(serde_json::Value::Null) => None,
        Some(parameters) => {
            let kind = parameters.get("rope_type").and_then(|kind| kind.as_str());
            if kind.is_some_and(|kind| kind != "default") {
                return Err(Error::Config(format!("rope_type {kind:?} is not supported")));
            }
            parameters.get("rope_theta").and_then(serde_json::Value::as_f64)
        }
    };
    Ok(config.rope_theta.or(nested).unwrap_or(10_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ModelSpec {
        ModelSpec {
            vocab_size: 64,
            hidden_size: 16,
            intermediate_size: 24,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 4,
            norm_eps: 1e-5,
            rope_theta: 10_000.0,
            max_positions: 32,
            tied_embeddings: true,
            bos: Some(1),
            eos: vec![2],
            pad: Some(3),
        }
    }

    #[test]
    fn written_configuration_reads_back() {
        assert_eq!(ModelSpec::parse(&spec().to_json()).unwrap(), spec());
    }

    #[test]
    fn what_would_be_computed_differently_is_refused() {
        let base: serde_json::Value = serde_json::from_str(&spec().to_json()).unwrap();
        let cases = [
            ("model_type", serde_json::json!("gpt2")),
            ("hidden_act", serde_json::json!("gelu")),
            ("attention_bias", serde_json::json!(true)),
            ("rope_scaling", serde_json::json!({"type": "linear", "factor": 2.0})),
            ("num_key_value_heads", serde_json::json!(3)),
            ("num_attention_heads", serde_json::json!(0)),
            ("hidden_size", serde_json::json!(1u64 << 40)),
            ("vocab_size", serde_json::json!(-1)),
            ("head_dim", serde_json::json!(3)),
            ("rms_norm_eps", serde_json::json!(0.0)),
            ("eos_token_id", serde_json::json!([64])),
        ];
        for (field, value) in cases {
            let mut config = base.clone();
            config[field] = value;
            let error = ModelSpec::parse(&config.to_string()).unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{field}: {error}");
        }
    }

    #[test]
    fn head_width_and_rope_base_have_the_family_defaults() {
        let mut config: serde_json::Value = serde_json::from_str(&spec().to_json()).unwrap();
        let fields = config.as_object_mut().unwrap();
        fields.remove("head_dim");
        fields.remove("rope_theta");
        fields.insert(
            "rope_parameters".into(),
            serde_json::json!({"rope_type": "default", "rope_theta": 5000.0}),
        );
        let parsed = ModelSpec::parse(&config.to_string()).unwrap();
        assert_eq!((parsed.head_dim, parsed.rope_theta), (4, 5000.0));
    }
}

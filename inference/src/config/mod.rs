//! `config.json` of a Hugging Face model, checked and turned into a [`ModelSpec`].

mod family;
mod fields;
mod names;
mod rope;
mod spec;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Map, Value};

use self::fields::Fields;
pub use self::{
    names::{AttentionNames, Names},
    spec::{
        AttentionSpec, ExpertSpec, MlpForm, MlpSpec, NormSpec, PositionSpec, QkvForm, ResidualForm,
        RopeSpec,
    },
};
use crate::{Error, Result, kv::KvShape, model::parameters};

/// Largest `config.json` read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Largest value of any size in the configuration: it keeps every product of two within `usize`.
const MAX_SIZE: usize = 1 << 20;
/// Most layers.
const MAX_LAYERS: usize = 1024;
/// Most experts of all layers together: each has projections with names of their own.
const MAX_EXPERTS: usize = 1 << 16;

/// Everything about a decoder that is not a weight. All sizes are at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Longest sequence, in tokens.
    pub max_positions: usize,
    /// Attention.
    pub attention: AttentionSpec,
    /// Where a token's position enters.
    pub positions: PositionSpec,
    /// The MLP of layers without experts.
    pub mlp: MlpSpec,
    /// Experts, if some layers have them.
    pub experts: Option<ExpertSpec>,
    /// Normalisation.
    pub norm: NormSpec,
    /// How a layer's parts are added up.
    pub residual: ResidualForm,
    /// Factor of the token embedding.
    pub embedding_scale: Option<f32>,
    /// Whether the embedding is normalised.
    pub embedding_norm: bool,
    /// Bound of the logits: `cap tanh(logit / cap)`.
    pub logit_softcap: Option<f32>,
    /// Whether the output projection is the embedding table.
    pub tied_embeddings: bool,
    /// Begin-of-sequence token.
    pub bos: Option<u32>,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
    /// Padding token.
    pub pad: Option<u32>,
    /// What the weights are called.
    pub names: Names,
    /// The configuration that it was read from.
    pub source: Map<String, Value>,
}

/// Sizes of a model of LLaMA's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaSizes {
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

impl LlamaSizes {
    /// The specification of a LLaMA with these sizes.
    ///
    /// # Errors
    /// [`Error::Config`] naming a size that is out of bounds.
    pub fn spec(&self) -> Result<ModelSpec> {
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
            "eos_token_id": token_list(&self.eos),
            "pad_token_id": self.pad,
            "torch_dtype": "bfloat16",
        });
        ModelSpec::parse(&value.to_string())
    }
}

impl ModelSpec {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Config`] if it is not JSON, is of an unknown
    /// family, or asks for anything that the decoder would compute differently.
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
        let source: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
        let fields = Fields::new(&source);
        let bos = fields.tokens("bos_token_id")?.first().copied();
        // Some configurations write -1 for none.
        let none = fields.get("pad_token_id").is_some_and(|pad| pad.as_i64() == Some(-1));
        let pad = if none { None } else { fields.tokens("pad_token_id")?.first().copied() };
        let eos = fields.tokens("eos_token_id")?;
        let spec = Self { bos, eos, pad, ..family::read(fields)? };
        let spec = Self { source, ..spec };
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
            ("intermediate_size", self.mlp.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("max_position_embeddings", self.max_positions),
        ];
        for (name, value) in sizes {
            check_size(name, value)?;
        }
        if self.layers > MAX_LAYERS {
            return Err(Error::Config(format!(
                "num_hidden_layers {} is above {MAX_LAYERS}",
                self.layers
            )));
        }
        let eps = self.norm.eps;
        if !(eps > 0.0 && eps < 1.0) {
            return Err(Error::Config(format!("epsilon {eps} of norms is not in (0, 1)")));
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if let Some(cap) = self.logit_softcap.filter(|cap| !positive(*cap)) {
            return Err(Error::Config(format!("final_logit_softcapping {cap} is not positive")));
        }
        self.attention.validate(self.layers)?;
        if let PositionSpec::Rope { global, local } = &self.positions {
            global.validate(self.attention.head_dim)?;
            local.validate(self.attention.head_dim)?;
        }
        if let Some(experts) = &self.experts {
            experts.validate()?;
            let (layers, count) = (self.layers, experts.count);
            if layers * count > MAX_EXPERTS {
                let message =
                    format!("{layers} layers of {count} experts, of at most {MAX_EXPERTS}");
                return Err(Error::Config(message));
            }
        }
        let special = self.bos.iter().chain(&self.eos).chain(&self.pad);
        if let Some(id) = special.copied().find(|&id| id as usize >= self.vocab_size) {
            return Err(Error::Config(format!("special token {id} is outside the vocabulary")));
        }
        Ok(())
    }

    /// The `config.json` that [`Self::parse`] reads back and `transformers` loads: the one that it
    /// was read from, with the special tokens of this specification.
    pub fn to_json(&self) -> String {
        let mut value = self.source.clone();
        value.insert("bos_token_id".into(), self.bos.into());
        value.insert("eos_token_id".into(), token_list(&self.eos));
        value.insert("pad_token_id".into(), self.pad.into());
        format!("{:#}\n", Value::Object(value))
    }

    /// Number of weights.
    pub fn parameter_count(&self) -> usize {
        parameters(self).iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// What a cache keeps of each token.
    pub const fn kv_shape(&self) -> KvShape {
        let AttentionSpec { kv_heads, head_dim, value_dim, .. } = &self.attention;
        KvShape {
            layers: self.layers,
            key_width: *kv_heads * *head_dim,
            value_width: *kv_heads * *value_dim,
        }
    }
}

fn token_list(tokens: &[u32]) -> Value {
    match tokens {
        [] => Value::Null,
        [id] => (*id).into(),
        ids => ids.into(),
    }
}

fn check_size(name: &str, value: usize) -> Result<()> {
    if value == 0 || value > MAX_SIZE {
        return Err(Error::Config(format!("{name} {value} is not in 1..={MAX_SIZE}")));
    }
    Ok(())
}

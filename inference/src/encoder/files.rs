//! The files of an encoder's folder.

use std::{collections::HashMap, path::Path};

use candle_transformers::models::bert::Config;
use serde_json::Value;
use sha3::{Digest as _, Keccak256};
use tokenizers::{Tokenizer, TruncationParams};

use super::VECTOR_SCALE;
use crate::{Error, Result, weights::Checkpoint};

/// Largest file of a tokenizer or configuration, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bounds of what `config.json` may ask for.
const MAX_LAYERS: usize = 64;
const MAX_WIDTH: usize = 1 << 14;
const MAX_VOCABULARY: usize = 1 << 20;
const MAX_POSITIONS: usize = 1 << 14;

/// How the hidden states become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean,
    First,
}

/// What an encoder is made of.
pub(super) struct Files {
    pub(super) config: Config,
    /// Values of every tensor of [`shapes`], by name.
    pub(super) tensors: HashMap<String, Vec<f32>>,
    pub(super) tokenizer: Tokenizer,
    pub(super) pooling: Pooling,
    pub(super) max_tokens: usize,
    pub(super) hash: [u8; 32],
}

impl Files {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let config_text = text(&dir.join("config.json"))?;
        let config = config(&config_text)?;
        let tokenizer_text = text(&dir.join("tokenizer.json"))?;
        let pooling = match optional(&dir.join("1_Pooling/config.json"))? {
            Some(value) => pooling(&value)?,
            None => Pooling::Mean,
        };
        let seen = match optional(&dir.join("sentence_bert_config.json"))? {
            Some(value) => value["max_seq_length"].as_u64().map(|seen| seen as usize),
            None => None,
        };
        let positions = config.max_position_embeddings;
        let max_tokens = seen.unwrap_or(positions).min(positions);
        let mut hasher = Keccak256::new();
        hasher.update(format!("encoder 2 {pooling:?} {max_tokens} {VECTOR_SCALE}"));
        for text in [&config_text, &tokenizer_text] {
            hasher.update(Keccak256::digest(text));
        }
        let tensors = tensors(dir, &config, &mut hasher)?;
        let tokenizer = tokenizer(&tokenizer_text, max_tokens)?;
        Ok(Self { config, tensors, tokenizer, pooling, max_tokens, hash: hasher.finalize().into() })
    }
}

fn config(text: &str) -> Result<Config> {
    let bad = |why: String| Error::Config(format!("config.json: {why}"));
    let value: Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let positions = value["position_embedding_type"].as_str().unwrap_or("absolute");
    if value["model_type"] != "bert" || positions != "absolute" {
        let kind = &value["model_type"];
        return Err(bad(format!(
            "a model of type {kind} with {positions} positions is no encoder"
        )));
    }
    let config: Config = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let bounds = [
        ("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS),
        ("hidden_size", config.hidden_size, MAX_WIDTH),
        ("intermediate_size", config.intermediate_size, MAX_WIDTH),
        ("num_attention_heads", config.num_attention_heads, config.hidden_size),
        ("vocab_size", config.vocab_size, MAX_VOCABULARY),
        ("type_vocab_size", config.type_vocab_size, MAX_WIDTH),
        // Two tokens stand around every text.
        (
            "max_position_embeddings",
            config.max_position_embeddings.saturating_sub(2),
            MAX_POSITIONS,
        ),
    ];
    for (name, given, most) in bounds {
        if given == 0 || given > most {
            return Err(bad(format!("{name} must be 1 to {most}, got {given}")));
        }
    }
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        let heads = config.num_attention_heads;
        return Err(bad(format!("{heads} heads do not divide {}", config.hidden_size)));
    }
    Ok(config)
}

fn pooling(value: &Value) -> Result<Pooling> {
    let on: Vec<&str> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, on)| name.starts_with("pooling_mode") && on.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    match on[..] {
        ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::First),
        _ => Err(Error::Config(format!("1_Pooling/config.json: pools by {on:?}"))),
    }
}

/// Reads every tensor of the model and hashes its values.
fn tensors(
    dir: &Path,
    config: &Config,
    hasher: &mut Keccak256,
) -> Result<HashMap<String, Vec<f32>>> {
    let checkpoint = Checkpoint::open(dir)?;
    let prefix =
        if checkpoint.names().any(|name| name.starts_with("bert.")) { "bert." } else { "" };
    let mut tensors = HashMap::new();
    for (name, shape) in shapes(config) {
        let values = checkpoint.read(&format!("{prefix}{name}"), &shape)?;
        for value in &values {
            hasher.update(value.to_le_bytes());
        }
        tensors.insert(name, values);
    }
    Ok(tensors)
}

/// Names and shapes of what the model reads.
pub(super) fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (width, wide) = (config.hidden_size, config.intermediate_size);
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".into(), vec![config.vocab_size, width]),
        (
            "embeddings.position_embeddings.weight".into(),
            vec![config.max_position_embeddings, width],
        ),
        ("embeddings.token_type_embeddings.weight".into(), vec![config.type_vocab_size, width]),
    ];
    let norm = |shapes: &mut Vec<_>, name: String| {
        shapes.push((format!("{name}.LayerNorm.weight"), vec![width]));
        shapes.push((format!("{name}.LayerNorm.bias"), vec![width]));
    };
    norm(&mut shapes, "embeddings".into());
    for layer in 0..config.num_hidden_layers {
        let at = format!("encoder.layer.{layer}");
        for (name, out, of) in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", wide, width),
            ("output.dense", width, wide),
        ] {
            shapes.push((format!("{at}.{name}.weight"), vec![out, of]));
            shapes.push((format!("{at}.{name}.bias"), vec![out]));
        }
        norm(&mut shapes, format!("{at}.attention.output"));
        norm(&mut shapes, format!("{at}.output"));
    }
    shapes
}

/// Cuts at `max_tokens` and never pads, whatever the file says.
fn tokenizer(text: &str, max_tokens: usize) -> Result<Tokenizer> {
    let failed = |e: tokenizers::Error| Error::Tokenizer(format!("tokenizer.json: {e}"));
    let mut tokenizer: Tokenizer = text.parse().map_err(failed)?;
    tokenizer.with_padding(None);
    let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(failed)?;
    Ok(tokenizer)
}

fn text(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::Config(format!("{} has {length} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(Error::io(path))
}

fn optional(path: &Path) -> Result<Option<Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let bad = |e: serde_json::Error| Error::Config(format!("{}: {e}", path.display()));
    serde_json::from_str(&text(path)?).map(Some).map_err(bad)
}

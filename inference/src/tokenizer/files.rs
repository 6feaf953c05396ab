//! The files of a tokenizer in a model folder.

use std::path::Path;

use serde_json::{Value, json};

use super::{config::HfTokenizerConfig, spm};
use crate::{Error, Result};

/// Largest file of a tokenizer, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How Qwen 2 cuts text before merging; GPT-2's rule is built in.
const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The `tokenizer.json` of a folder, as it stands there or made of what the folder has instead.
#[derive(Debug)]
pub(super) struct TokenizerText {
    pub(super) json: String,
    /// Whether it was made from a SentencePiece model.
    pub(super) sentencepiece: bool,
}

impl TokenizerText {
    /// Takes `tokenizer.json`, else `tokenizer.model`, else `vocab.json` with `merges.txt`.
    ///
    /// # Errors
    /// [`Error::Io`] if none is there or one cannot be read; [`Error::Tokenizer`] if it is damaged.
    pub(super) fn load(dir: &Path, config: &HfTokenizerConfig) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        if path.exists() {
            return Ok(Self { json: read_text(&path)?, sentencepiece: false });
        }
        let model = dir.join("tokenizer.model");
        if model.exists() {
            let json = spm::SentencePiece::parse(&read_bounded(&model)?)?.to_json(config)?;
            return Ok(Self { json, sentencepiece: true });
        }
        let vocab = dir.join("vocab.json");
        if vocab.exists() {
            let merges = read_text(&dir.join("merges.txt"))?;
            let json = byte_level(&read_text(&vocab)?, &merges, config)?;
            return Ok(Self { json, sentencepiece: false });
        }
        // Whichever of the three is missing, the first is the one to ask for.
        Ok(Self { json: read_text(&path)?, sentencepiece: false })
    }
}

/// `tokenizer.json` of a byte-level BPE given as `vocab.json` and `merges.txt`.
///
/// # Errors
/// [`Error::Tokenizer`] if a file is damaged or the tokenizer's class cuts text by rules unknown here.
fn byte_level(vocab: &str, merges: &str, config: &HfTokenizerConfig) -> Result<String> {
    let vocab: serde_json::Map<String, Value> = serde_json::from_str(vocab)
        .map_err(|error| Error::Tokenizer(format!("vocab.json: {error}")))?;
    let pairs = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges = pairs
        .map(|line| match line.split_once(' ') {
            Some((left, right)) => Ok(json!([left, right])),
            None => Err(Error::Tokenizer(format!("merges.txt holds {line:?}"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let byte_level = |regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": regex})
    };
    let qwen2 = config.is_class("Qwen2Tokenizer");
    let gpt2 = ["GPT2Tokenizer", "CodeGenTokenizer"].iter().any(|name| config.is_class(name));
    let (normalizer, pre_tokenizer) = if qwen2 {
        let split = json!({"type": "Split", "pattern": {"Regex": QWEN2_PATTERN},
                           "behavior": "Isolated", "invert": false});
        let parts = [split, byte_level(false)];
        (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": parts}))
    } else if gpt2 || config.tokenizer_class.is_none() {
        (Value::Null, byte_level(true))
    } else {
        let class = config.tokenizer_class.as_deref().unwrap_or_default();
        return Err(Error::Tokenizer(format!("{class:?} needs a tokenizer.json")));
    };
    let mut added: Vec<Value> =
        config.added_tokens().map(|(id, t)| spm::added_token(id, t.text(), t.special)).collect();
    for text in config.special_texts() {
        let known = added.iter().any(|token| token["content"] == text.as_str());
        if let Some(id) = vocab.get(&text).and_then(Value::as_u64).filter(|_| !known) {
            added.push(spm::added_token(id as usize, &text, true));
        }
    }
    added.sort_by_key(|token| token["id"].as_u64());
    let value = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": byte_level(true),
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges},
    });
    Ok(value.to_string())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::Tokenizer(format!("{} has {length} bytes", path.display())));
    }
    std::fs::read(path).map_err(Error::io(path))
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bounded(path)?)
        .map_err(|_| Error::Tokenizer(format!("{} is not UTF-8", path.display())))
}

/// The text of a file, if it is there.
pub(super) fn read_optional(dir: &Path, name: &str) -> Result<Option<String>> {
    let path = dir.join(name);
    if path.exists() { read_text(&path).map(Some) } else { Ok(None) }
}

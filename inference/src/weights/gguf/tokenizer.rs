//! The `tokenizer.json` that says what a GGUF file's tokenizer says.

use serde_json::{Value as Json, json};

use super::Gguf;
use crate::{Error, Result};

/// Token types of the specification.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// How GPT-2 splits text before merging.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// How LLaMA 3 does.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen 2 does.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Gguf {
    /// A `tokenizer.json` and `tokenizer_config.json` for the model: byte-level BPE of the kinds
    /// `gpt-2`, `llama-bpe` and `qwen2`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is none, or it is of another kind (SentencePiece: put the
    /// model's own tokenizer file beside the GGUF file).
    pub fn tokenizer(&self) -> Result<(String, String)> {
        let refuse = |what: String| Err(Error::Tokenizer(format!("GGUF: {what}")));
        match self.metadata.text("tokenizer.ggml.model")? {
            Some("gpt2") => {}
            other => return refuse(format!("tokenizer {other:?} is not read")),
        }
        let split = match self.metadata.text("tokenizer.ggml.pre")? {
            None | Some("default" | "gpt-2") => GPT2,
            Some("llama-bpe" | "llama3") => LLAMA3,
            Some("qwen2") => QWEN2,
            Some(other) => return refuse(format!("pre-tokenizer {other:?} is not read")),
        };
        let Some(tokens) = self.metadata.texts("tokenizer.ggml.tokens")? else {
            return refuse("it has no tokens".into());
        };
        let merges = self.metadata.texts("tokenizer.ggml.merges")?.unwrap_or_default();
        let kinds = self.metadata.integers("tokenizer.ggml.token_type")?.unwrap_or_default();
        let kind = |id: usize| kinds.get(id).copied().unwrap_or(1);
        let mut vocabulary = serde_json::Map::new();
        for (id, token) in tokens.iter().enumerate() {
            if vocabulary.insert(token.clone(), id.into()).is_some() {
                return refuse(format!("token {token:?} is listed twice"));
            }
        }
        let added: Vec<Json> = (0..tokens.len())
            .filter(|id| matches!(kind(*id), CONTROL | USER_DEFINED))
            .map(|id| added_token(id, &tokens[id], kind(id) == CONTROL))
            .collect();
        let begins = self.metadata.truth("tokenizer.ggml.add_bos_token")?.unwrap_or(false);
        let bos = self.special("bos", tokens)?.filter(|_| begins);
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ]},
            "post_processor": bos.map(|(id, token)| template(id, token)),
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": split == LLAMA3,
                "vocab": vocabulary, "merges": merges,
            },
        });
        Ok((tokenizer.to_string(), self.tokenizer_config(tokens, begins)?))
    }

    fn tokenizer_config(&self, tokens: &[String], begins: bool) -> Result<String> {
        let text = |name| Ok::<_, Error>(self.special(name, tokens)?.map(|(_, token)| token));
        let config = json!({
            "add_bos_token": begins,
            "bos_token": text("bos")?,
            "eos_token": text("eos")?,
            "pad_token": text("padding")?,
            "chat_template": self.metadata.text("tokenizer.chat_template")?,
        });
        Ok(config.to_string())
    }

    /// Id and text of a special token.
    fn special<'a>(&self, name: &str, tokens: &'a [String]) -> Result<Option<(usize, &'a str)>> {
        let id = self.metadata.unsigned(&format!("tokenizer.ggml.{name}_token_id"))?;
        let Some(id) = id.map(|id| id as usize) else { return Ok(None) };
        match tokens.get(id) {
            Some(token) => Ok(Some((id, token))),
            None => Err(Error::Tokenizer(format!("GGUF: token {id} of {}", tokens.len()))),
        }
    }
}

fn added_token(id: usize, token: &str, special: bool) -> Json {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": special,
    })
}

/// Puts the first token before every text.
fn template(id: usize, token: &str) -> Json {
    let special = json!({"SpecialToken": {"id": token, "type_id": 0}});
    json!({
        "type": "TemplateProcessing",
        "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [special, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

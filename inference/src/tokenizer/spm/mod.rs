//! `tokenizer.model`: a SentencePiece model (Kudo and Richardson 2018), turned into `tokenizer.json`.
//!
//! The result encodes as SentencePiece does, with differences in corners that Hugging Face's own
//! conversions share: user-defined pieces and control tokens are cut out of the text first; of two
//! merges into the same piece the one with the older left part comes first, not the leftmost; and
//! letters under a pile of combining marks are not composed.

mod proto;

use std::collections::HashMap;

use serde_json::{Value, json};

pub(super) use self::proto::SentencePiece;
use self::proto::{Kind, Piece, bad};
use super::{config::HfTokenizerConfig, pieces::MAX_DROPPED};
use crate::Result;

/// Score of pieces that text must not spell, such as `<0x41>` in the letters of it: far below any
/// sum of real ones.
const NEVER: f64 = -1e6;

/// Special tokens that ChatGLM's own code puts behind the pieces, in this order.
const CHATGLM_TOKENS: [&str; 9] = [
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
];

impl SentencePiece {
    /// The text of the `tokenizer.json` that encodes alike.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] if there is no piece for unknown text.
    pub(super) fn to_json(&self, config: &HfTokenizerConfig) -> Result<String> {
        let unknown = self.pieces.iter().position(|piece| piece.kind == Kind::Unknown);
        let unknown = unknown.ok_or_else(|| bad("it has no unknown piece"))?;
        let model = if self.unigram { self.unigram(unknown) } else { self.bpe(unknown) };
        let first_only = self.dummy_prefix && config.legacy == Some(false);
        let value = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": self.added_tokens(config),
            "normalizer": self.normalizer(first_only),
            "pre_tokenizer": if first_only {
                json!({"type": "Metaspace", "replacement": "\u{2581}",
                       "prepend_scheme": "first", "split": false})
            } else {
                Value::Null
            },
            "post_processor": null,
            "decoder": self.decoder(),
            "model": model,
        });
        Ok(value.to_string())
    }

    fn unigram(&self, unknown: usize) -> Value {
        let vocab: Vec<Value> = self
            .pieces
            .iter()
            .map(|piece| json!([piece.text, if piece.spelled() { piece.score } else { NEVER }]))
            .collect();
        json!({"type": "Unigram", "unk_id": unknown, "vocab": vocab,
               "byte_fallback": self.byte_fallback})
    }

    fn bpe(&self, unknown: usize) -> Value {
        let ids = self.ids();
        let vocab: serde_json::Map<String, Value> =
            ids.iter().map(|(text, id)| ((*text).to_owned(), (*id).into())).collect();
        json!({"type": "BPE", "dropout": null, "unk_token": self.pieces[unknown].text,
               "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
               "byte_fallback": self.byte_fallback, "vocab": vocab, "merges": self.merges(&ids)})
    }

    /// Where a text stands twice, its first id counts, as in SentencePiece.
    fn ids(&self) -> HashMap<&str, usize> {
        let mut ids = HashMap::with_capacity(self.pieces.len());
        for (id, piece) in self.pieces.iter().enumerate() {
            ids.entry(piece.text.as_str()).or_insert(id);
        }
        ids
    }

    /// Every way to make a piece of two, best piece first.
    fn merges(&self, ids: &HashMap<&str, usize>) -> Vec<Value> {
        let known = |text: &str| ids.get(text).copied().filter(|&id| self.pieces[id].spelled());
        let mut merges: Vec<(usize, usize, usize)> = Vec::new();
        for (whole, piece) in self.pieces.iter().enumerate() {
            if known(&piece.text) != Some(whole) {
                continue;
            }
            for (at, _) in piece.text.char_indices().skip(1) {
                let (left, right) = piece.text.split_at(at);
                if let (Some(left), Some(right)) = (known(left), known(right)) {
                    merges.push((whole, left, right));
                }
            }
        }
        merges.sort_by(|a, b| {
            let score = |merge: &(usize, usize, usize)| self.pieces[merge.0].score;
            score(b).total_cmp(&score(a)).then(a.cmp(b))
        });
        let text = |id: usize| self.pieces[id].text.as_str();
        merges.into_iter().map(|(_, left, right)| json!([text(left), text(right)])).collect()
    }

    fn added_tokens(&self, config: &HfTokenizerConfig) -> Vec<Value> {
        let named = config.special_texts();
        let added = |(id, piece): (usize, &Piece)| {
            let special = match piece.kind {
                Kind::Control | Kind::Unknown => true,
                // Pieces of spaces are met inside the text, where they are escaped already.
                Kind::UserDefined if !piece.text.contains('\u{2581}') => {
                    let turn = ["<start_of_turn>", "<end_of_turn>"].contains(&piece.text.as_str());
                    turn || named.contains(&piece.text)
                }
                _ => return None,
            };
            Some(added_token(id, &piece.text, special))
        };
        let mut tokens: Vec<Value> = self.pieces.iter().enumerate().filter_map(added).collect();
        let listed = config.added_tokens_decoder.is_empty();
        if listed && config.is_class("ChatGLMTokenizer") {
            let behind = CHATGLM_TOKENS.iter().enumerate();
            tokens.extend(behind.map(|(i, text)| added_token(self.pieces.len() + i, text, true)));
        }
        tokens.extend(
            config
                .added_tokens()
                .filter(|(id, _)| *id >= self.pieces.len())
                .map(|(id, token)| added_token(id, token.text(), token.special)),
        );
        tokens
    }

    fn normalizer(&self, first_only: bool) -> Value {
        let mut parts = Vec::new();
        if !self.charsmap.is_empty() {
            let map = base64(&self.charsmap);
            parts.push(json!({"type": "Precompiled", "precompiled_charsmap": map}));
        }
        if self.remove_extra_spaces {
            // Spaces only, not other white space; an escaped space at the end counts as one.
            for (pattern, content) in [(r"\A +", ""), (" {2,}", " "), ("[ \u{2581}]+\\z", "")] {
                let pattern = json!({"Regex": pattern});
                parts.push(json!({"type": "Replace", "pattern": pattern, "content": content}));
            }
        }
        if self.dummy_prefix && !first_only {
            parts.push(json!({"type": "Prepend", "prepend": "\u{2581}"}));
        }
        if !first_only {
            let space = json!({"String": " "});
            parts.push(json!({"type": "Replace", "pattern": space, "content": "\u{2581}"}));
        }
        json!({"type": "Sequence", "normalizers": parts})
    }

    fn decoder(&self) -> Value {
        let escape = json!({"String": "\u{2581}"});
        let mut parts = vec![json!({"type": "Replace", "pattern": escape, "content": " "})];
        if self.byte_fallback {
            parts.push(json!({"type": "ByteFallback"}));
        }
        parts.push(json!({"type": "Fuse"}));
        if self.dummy_prefix || self.remove_extra_spaces {
            // Where extra spaces are removed, a text begins with none at all.
            let start = if self.remove_extra_spaces { MAX_DROPPED } else { 1 };
            parts.push(json!({"type": "Strip", "content": " ", "start": start, "stop": 0}));
        }
        json!({"type": "Sequence", "decoders": parts})
    }
}

/// An entry of `added_tokens` in `tokenizer.json`.
pub(super) fn added_token(id: usize, text: &str, special: bool) -> Value {
    json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": special})
}

/// Base64 (RFC 4648, section 4), as `tokenizer.json` holds binary tables.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}

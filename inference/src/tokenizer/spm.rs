//! `tokenizer.model`: a SentencePiece model (Kudo and Richardson 2018), turned into `tokenizer.json`.
//!
//! The result encodes as SentencePiece does, with two known differences that Hugging Face's own
//! conversions share: user-defined pieces and control tokens are cut out of the text first, and
//! of two merges into the same piece the one with the older left part comes first, not the leftmost.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::config::HfTokenizerConfig;
use crate::{Error, Result};

/// Most pieces of a vocabulary.
const MAX_PIECES: usize = 1 << 20;
/// Longest piece, in bytes.
const MAX_PIECE_BYTES: usize = 1 << 12;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Clone, Debug)]
struct Piece {
    text: String,
    score: f64,
    kind: Kind,
}

impl Piece {
    /// Whether text is cut into it.
    fn spelled(&self) -> bool {
        matches!(self.kind, Kind::Normal | Kind::UserDefined)
    }
}

/// What is used of a SentencePiece `ModelProto`.
#[derive(Debug)]
pub(super) struct SentencePiece {
    pieces: Vec<Piece>,
    unigram: bool,
    byte_fallback: bool,
    /// Compiled rules of Unicode normalisation; empty for none.
    charsmap: Vec<u8>,
    dummy_prefix: bool,
    remove_extra_spaces: bool,
}

fn bad(message: impl Into<String>) -> Error {
    Error::Tokenizer(format!("tokenizer.model: {}", message.into()))
}

/// One field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Fixed([u8; 4]),
    Bytes(&'a [u8]),
    Other,
}

/// Reads one varint.
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(|| bad("it ends inside a number"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(bad("a number has more than 64 bits"))
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8]> {
    let count = usize::try_from(count).ok().filter(|&count| count <= bytes.len());
    let count = count.ok_or_else(|| bad("it ends inside a field"))?;
    let (field, rest) = bytes.split_at(count);
    *bytes = rest;
    Ok(field)
}

/// Calls `visit` with the number and value of every field.
fn fields<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Field<'a>) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                take(&mut bytes, 8)?;
                Field::Other
            }
            2 => {
                let length = varint(&mut bytes)?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            5 => Field::Fixed(take(&mut bytes, 4)?.try_into().expect("four bytes were taken")),
            kind => return Err(bad(format!("field type {kind} is unknown"))),
        };
        visit(key >> 3, field)?;
    }
    Ok(())
}

impl SentencePiece {
    /// Parses the bytes of a `ModelProto`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it is damaged, too large, or of a kind other than BPE and unigram.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        // Defaults of sentencepiece_model.proto.
        let mut model = Self {
            pieces: Vec::new(),
            unigram: true,
            byte_fallback: false,
            charsmap: Vec::new(),
            dummy_prefix: true,
            remove_extra_spaces: true,
        };
        fields(bytes, |number, field| match (number, field) {
            (1, Field::Bytes(bytes)) => model.add_piece(bytes),
            (2, Field::Bytes(bytes)) => model.read_trainer(bytes),
            (3, Field::Bytes(bytes)) => model.read_normalizer(bytes),
            _ => Ok(()),
        })?;
        if model.pieces.is_empty() {
            return Err(bad("it has no pieces"));
        }
        Ok(model)
    }

    fn add_piece(&mut self, bytes: &[u8]) -> Result<()> {
        let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
        fields(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(text)) if text.len() <= MAX_PIECE_BYTES => {
                    let text = std::str::from_utf8(text);
                    piece.text = text.map_err(|_| bad("a piece is not UTF-8"))?.to_owned();
                }
                (1, _) => return Err(bad("a piece is too long")),
                (2, Field::Fixed(score)) => piece.score = f32::from_le_bytes(score).into(),
                (3, Field::Number(kind)) => {
                    piece.kind = match kind {
                        1 => Kind::Normal,
                        2 => Kind::Unknown,
                        3 => Kind::Control,
                        4 => Kind::UserDefined,
                        5 => Kind::Unused,
                        6 => Kind::Byte,
                        other => return Err(bad(format!("piece type {other} is unknown"))),
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        if self.pieces.len() == MAX_PIECES {
            return Err(bad(format!("it has more than {MAX_PIECES} pieces")));
        }
        if !piece.score.is_finite() || piece.text.is_empty() {
            return Err(bad(format!("piece {} is empty or not finite", self.pieces.len())));
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Result<()> {
        fields(bytes, |number, field| {
            match (number, field) {
                (3, Field::Number(kind @ (1 | 2))) => self.unigram = kind == 1,
                (3, Field::Number(kind)) => return Err(bad(format!("model type {kind}"))),
                (24, Field::Number(1)) => return Err(bad("spaces are suffixes")),
                (35, Field::Number(flag)) => self.byte_fallback = flag != 0,
                _ => {}
            }
            Ok(())
        })
    }

    fn read_normalizer(&mut self, bytes: &[u8]) -> Result<()> {
        fields(bytes, |number, field| {
            match (number, field) {
                (2, Field::Bytes(map)) => self.charsmap = map.to_vec(),
                (3, Field::Number(flag)) => self.dummy_prefix = flag != 0,
                (4, Field::Number(flag)) => self.remove_extra_spaces = flag != 0,
                (5, Field::Number(0)) => return Err(bad("spaces are not escaped")),
                _ => {}
            }
            Ok(())
        })
    }

    /// The text of the `tokenizer.json` that encodes alike.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no piece for unknown text.
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
            parts.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            let spaces = json!({"Regex": " {2,}"});
            parts.push(json!({"type": "Replace", "pattern": spaces, "content": " "}));
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
        if self.dummy_prefix {
            parts.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
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

    #[test]
    fn damaged_models_are_errors() {
        for bytes in [
            &b""[..],
            b"\x0a",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\x05abc",
            b"\x0b",
            b"\x0a\x00",
            b"\x0a\x03\x0a\x01\xff",
            b"\x0a\x05\x0a\x01a\x18\x09",
            b"\x0a\x03\x0a\x01a\x12\x02\x18\x03",
        ] {
            assert!(matches!(SentencePiece::parse(bytes), Err(Error::Tokenizer(_))), "{bytes:?}");
        }
        let one = SentencePiece::parse(b"\x0a\x03\x0a\x01a").unwrap();
        assert!(one.to_json(&HfTokenizerConfig::default()).is_err(), "no unknown piece");
    }
}

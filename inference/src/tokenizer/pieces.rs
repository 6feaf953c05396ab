//! From token ids to bytes: the decoder of a `tokenizer.json` as a table.
//!
//! Every decoder that generative models use gives each token fixed bytes, whatever its neighbours
//! are, but for spaces that are dropped at the very start of the text. So a table decodes any
//! sequence, all at once or token by token, with the same result.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Error, Result};

/// Largest token id.
const MAX_ID: usize = 1 << 22;

/// Most spaces that may be dropped where a text begins.
pub(super) const MAX_DROPPED: u64 = 16;

/// Bytes of each token.
#[derive(Debug)]
pub(super) struct Pieces {
    /// By token id; special tokens have none.
    bytes: Vec<Vec<u8>>,
    /// Spaces that are dropped where a text begins.
    pub(super) dropped_spaces: usize,
}

/// One step of a decoder.
#[derive(Debug)]
enum Rule {
    /// Characters stand for bytes, by GPT-2's table.
    ByteLevel,
    /// `<0x41>` stands for that byte.
    ByteFallback,
    Replace(String, String),
}

fn bad(message: impl Into<String>) -> Error {
    Error::Tokenizer(format!("decoder: {}", message.into()))
}

impl Pieces {
    /// The table for a vocabulary and the `decoder` of its `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] naming a decoder that is no such table, or an id out of bounds.
    pub(super) fn new(
        vocabulary: HashMap<String, u32>,
        decoder: &Value,
        special: &[String],
    ) -> Result<Self> {
        let mut rules = Vec::new();
        let mut table = Self { bytes: Vec::new(), dropped_spaces: 0 };
        table.read(decoder, &mut rules)?;
        let alphabet = byte_alphabet();
        let last = vocabulary.values().max().map_or(0, |&id| id as usize);
        if last > MAX_ID {
            return Err(Error::Tokenizer(format!("token id {last} is above {MAX_ID}")));
        }
        table.bytes = vec![Vec::new(); if vocabulary.is_empty() { 0 } else { last + 1 }];
        for (token, id) in vocabulary {
            if !special.contains(&token) {
                table.bytes[id as usize] = apply(&rules, token, &alphabet);
            }
        }
        Ok(table)
    }

    /// Number of ids: one more than the largest.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of a token; none for special and unknown ones.
    pub(super) fn of(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn read(&mut self, decoder: &Value, rules: &mut Vec<Rule>) -> Result<()> {
        let text = |name: &str| decoder[name].as_str().unwrap_or_default().to_owned();
        match decoder["type"].as_str() {
            Some("Sequence") => {
                let parts = decoder["decoders"].as_array().ok_or_else(|| bad("no sequence"))?;
                for (at, part) in parts.iter().enumerate() {
                    let kind = part["type"].as_str();
                    let fused = || parts[..at].iter().any(|part| part["type"] == "Fuse");
                    match kind {
                        Some("Fuse") => {}
                        Some("Strip") if fused() => self.strip(part)?,
                        Some("Sequence") => return Err(bad("a sequence in a sequence")),
                        _ if fused() => return Err(bad(format!("{part} follows Fuse"))),
                        _ => self.read(part, rules)?,
                    }
                }
                Ok(())
            }
            Some("ByteLevel") => {
                rules.push(Rule::ByteLevel);
                Ok(())
            }
            Some("ByteFallback") => {
                rules.push(Rule::ByteFallback);
                Ok(())
            }
            Some("Fuse") => Ok(()),
            Some("Metaspace") => {
                rules.push(Rule::Replace(text("replacement"), " ".into()));
                let old = decoder["add_prefix_space"] == Value::Bool(false);
                let never = decoder["prepend_scheme"] == "never" || old;
                self.dropped_spaces = usize::from(!never);
                Ok(())
            }
            Some("Replace") => {
                let Some(pattern) = decoder["pattern"]["String"].as_str() else {
                    return Err(bad(format!("pattern {} is not a string", decoder["pattern"])));
                };
                rules.push(Rule::Replace(pattern.into(), text("content")));
                Ok(())
            }
            other => Err(bad(format!("{} is not supported", other.unwrap_or("none")))),
        }
    }

    fn strip(&mut self, rule: &Value) -> Result<()> {
        let number = |name: &str| rule[name].as_u64().filter(|&count| count <= MAX_DROPPED);
        match (rule["content"].as_str(), number("start"), number("stop")) {
            (Some(" "), Some(start), Some(0)) => {
                self.dropped_spaces = start as usize;
                Ok(())
            }
            _ => Err(bad(format!("{rule} is not supported"))),
        }
    }
}

fn apply(rules: &[Rule], mut token: String, alphabet: &HashMap<char, u8>) -> Vec<u8> {
    for rule in rules {
        match rule {
            Rule::Replace(from, to) if !from.is_empty() => token = token.replace(from, to),
            Rule::Replace(..) => {}
            Rule::ByteFallback => {
                if let Some(byte) = byte_of(&token) {
                    return vec![byte];
                }
            }
            // Added tokens are plain text, which may hold characters outside of the table.
            Rule::ByteLevel => {
                let bytes: Option<Vec<u8>> =
                    token.chars().map(|character| alphabet.get(&character).copied()).collect();
                return bytes.unwrap_or_else(|| token.into_bytes());
            }
        }
    }
    token.into_bytes()
}

/// The byte that `<0x41>` names.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The byte that each character stands for in byte-level vocabularies (GPT-2's table): printable
/// Latin-1 bytes stand for themselves, the others are numbered from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    let character = |byte: u8| {
        if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            return (char::from(byte), byte);
        }
        let character = char::from_u32(next).expect("U+0100 to U+0143 are characters");
        next += 1;
        (character, byte)
    };
    (0..=u8::MAX).map(character).collect()
}

//! Text to tokens and back.
//!
//! A folder's `tokenizer.json` is used as it is. Folders that ship only a SentencePiece
//! `tokenizer.model`, or `vocab.json` with `merges.txt`, are turned into one first.
//! `qwen.tiktoken` and WordPiece vocabularies are not read.

mod chat;
mod config;
mod files;
mod pieces;
mod spm;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::AddedToken;

use self::{chat::Templates, config::HfTokenizerConfig, files::TokenizerText, pieces::Pieces};
pub use self::{
    chat::{ChatInput, TemplateValue},
    stream::IncrementalDecoder,
};
use crate::{Error, Result};

/// Longest text that is encoded, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most messages in one conversation.
pub const MAX_MESSAGES: usize = 1024;

/// Roles that a message may have.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];
/// What ChatGLM's own code puts before every text.
const CHATGLM_PREFIX: [&str; 2] = ["[gMASK]", "sop"];

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A tokenizer with its chat templates.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    templates: Templates,
    bos: String,
    eos: String,
    pieces: Pieces,
    /// Tokens that no text from outside may hold.
    guarded: Vec<String>,
    /// Tokens before every prompt; `None` leaves it to the file's own post-processor.
    prefix: Option<Vec<u32>>,
    ends: bool,
}

impl Tokenizer {
    /// Reads a model folder: `tokenizer.json`, else `tokenizer.model` (SentencePiece), else
    /// `vocab.json` and `merges.txt`; and what it has of `tokenizer_config.json`,
    /// `special_tokens_map.json`, `added_tokens.json` and `chat_template.jinja`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read; [`Error::Tokenizer`] if one is too large or damaged, or
    /// asks for rules that are not known here.
    pub fn load(dir: &Path) -> Result<Self> {
        let config = HfTokenizerConfig::load(dir)?;
        let text = TokenizerText::load(dir, &config)?;
        Self::build(&text, &config)
    }

    /// Parses the texts of `tokenizer.json` and `tokenizer_config.json`; see [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn parse(json: &str, config: Option<&str>) -> Result<Self> {
        let config =
            config.map_or_else(|| Ok(HfTokenizerConfig::default()), HfTokenizerConfig::parse);
        let text = TokenizerText { json: json.to_owned(), sentencepiece: false };
        Self::build(&text, &config?)
    }

    fn build(text: &TokenizerText, config: &HfTokenizerConfig) -> Result<Self> {
        let (mut inner, decoder) = parse_inner(&text.json)?;
        let listed = config.special_texts();
        let added = inner.get_added_tokens_decoder();
        // What the file itself adds keeps its flags.
        let missing = listed.iter().filter(|token| {
            let added = added.values().any(|known| known.content == **token);
            !added && inner.token_to_id(token).is_some()
        });
        let missing: Vec<_> = missing.map(|token| AddedToken::from(token.clone(), true)).collect();
        inner.add_special_tokens(missing).map_err(failed)?;
        let added = inner.get_added_tokens_decoder().into_values();
        let special: Vec<String> =
            added.filter(|token| token.special).map(|token| token.content).collect();
        let pieces = Pieces::new(inner.get_vocab(true), &decoder, &special)?;
        let tokens = config.named();
        let (bos, eos) = (tokens[0].1.clone(), tokens[1].1.clone());
        let templates = Templates::new(config.templates(), tokens);
        let guarded = listed.into_iter().filter(|token| config.guards(token)).chain(special);
        let guarded = guarded.collect();
        let mut tokenizer =
            Self { inner, templates, bos, eos, pieces, guarded, prefix: None, ends: false };
        tokenizer.ends = config.add_eos_token == Some(true);
        tokenizer.prefix = tokenizer.prefix_of(config, text.sentencepiece);
        // A post-processor that names what it does not have shows with any text.
        tokenizer.ids("a", true)?;
        Ok(tokenizer)
    }

    fn prefix_of(&self, config: &HfTokenizerConfig, sentencepiece: bool) -> Option<Vec<u32>> {
        if config.is_class("ChatGLMTokenizer") {
            return Some(CHATGLM_PREFIX.iter().filter_map(|token| self.token_id(token)).collect());
        }
        // A SentencePiece model has no rule of its own; those of this kind begin with it.
        let begins = config.begins().or(sentencepiece.then_some(true));
        begins.map(|begins| self.bos_id().filter(|_| begins).into_iter().collect())
    }

    /// Number of token ids: one more than the largest.
    pub const fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The id of a token by its text, such as `<s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The begin-of-sequence token that the configuration names.
    pub fn bos_id(&self) -> Option<u32> {
        self.token_id(&self.bos)
    }

    /// The end-of-sequence token that the configuration names.
    pub fn eos_id(&self) -> Option<u32> {
        self.token_id(&self.eos)
    }

    /// Tokens of a text; the texts of special tokens in it become those tokens. Nothing is added.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the text is longer than [`MAX_TEXT_BYTES`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    fn ids(&self, text: &str, process: bool) -> Result<Vec<u32>> {
        check_length(text)?;
        // As in `parse_inner`; encoding changes nothing but a cache of whole words.
        let encode = AssertUnwindSafe(|| self.inner.encode_fast(text, process));
        let encoding = catch_unwind(encode)
            .map_err(|_| Error::Tokenizer("its parts do not go together".into()))?
            .map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokens of a text from outside, with the special tokens around it that the folder asks for
    /// (`add_bos_token` and `add_eos_token`, the tokenizer's class, or its post-processor). It cannot
    /// name special tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the text is too long or holds the text of a special token.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        self.refuse_special(text)?;
        let Some(prefix) = &self.prefix else { return self.ids(text, true) };
        let mut ids = prefix.clone();
        ids.extend(self.ids(text, false)?);
        ids.extend(self.eos_id().filter(|_| self.ends));
        Ok(ids)
    }

    /// Tokens of a conversation in the chat template, ready for the assistant's answer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no template, a message holds the text of a special token (it
    /// could forge a turn), a role is unknown, or a size limit is passed.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>> {
        self.encode(&self.render_chat(messages, true)?)
    }

    /// The text of a conversation in the chat template.
    ///
    /// # Errors
    /// As [`Self::encode_chat`].
    pub fn render_chat(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        if messages.is_empty() || messages.len() > MAX_MESSAGES {
            return Err(Error::Tokenizer(format!(
                "{} messages are not in 1..={MAX_MESSAGES}",
                messages.len()
            )));
        }
        for message in messages {
            if !ROLES.contains(&message.role.as_str()) {
                return Err(Error::Tokenizer(format!("role {:?} is unknown", message.role)));
            }
            self.refuse_special(&message.content)?;
        }
        self.render(&ChatInput { generation_prompt, ..ChatInput::new(messages) })
    }

    /// The text of a conversation in the chat template. What the input holds is not checked for the
    /// texts of special tokens: [`Self::check_text`] does that.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no such template, or it refuses the conversation.
    pub fn render(&self, input: &ChatInput) -> Result<String> {
        self.templates.render(input)
    }

    /// Whether a text from outside may stand in a prompt.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it is too long or holds the text of a special token.
    pub fn check_text(&self, text: &str) -> Result<()> {
        self.refuse_special(text)
    }

    fn refuse_special(&self, text: &str) -> Result<()> {
        check_length(text)?;
        match self.guarded.iter().find(|token| text.contains(token.as_str())) {
            Some(token) => Err(Error::Tokenizer(format!("text holds the special token {token:?}"))),
            None => Ok(()),
        }
    }

    /// The text of tokens, without special ones; bytes that are not UTF-8 become `U+FFFD`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = IncrementalDecoder::default();
        let mut text: String = ids.iter().map(|&id| stream.push(self, id)).collect();
        text += &stream.finish();
        text
    }

    /// The bytes that a token stands for inside a text; none for special and unknown tokens.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.pieces.of(id)
    }
}

/// The library takes it for granted that some parts of its file are well formed and panics where
/// they are not. It is given text alone, so nothing is left half changed by a panic. Returns the
/// file's `decoder` too.
fn parse_inner(json: &str) -> Result<(tokenizers::Tokenizer, Value)> {
    #[derive(Deserialize)]
    struct Parts {
        #[serde(default)]
        decoder: Value,
    }
    let parts: Parts =
        serde_json::from_str(json).map_err(|error| Error::Tokenizer(error.to_string()))?;
    let inner = catch_unwind(|| json.parse())
        .map_err(|_| Error::Tokenizer("its parts are malformed".into()))?
        .map_err(failed)?;
    Ok((inner, parts.decoder))
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}

fn check_length(text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Error::Tokenizer(format!("text of {} bytes is too long", text.len())));
    }
    Ok(())
}

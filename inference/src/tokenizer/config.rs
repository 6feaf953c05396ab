//! What Hugging Face folders say about a tokenizer beside its vocabulary.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::files::read_optional;
use crate::{Error, Result};

/// Most added tokens that are read.
const MAX_ADDED: usize = 1 << 16;

/// The fields of `tokenizer_config.json` that are used.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HfTokenizerConfig {
    #[serde(default)]
    pub(super) tokenizer_class: Option<String>,
    #[serde(default)]
    chat_template: Option<TemplateField>,
    #[serde(default)]
    bos_token: Option<SpecialToken>,
    #[serde(default)]
    eos_token: Option<SpecialToken>,
    #[serde(default)]
    unk_token: Option<SpecialToken>,
    #[serde(default)]
    pad_token: Option<SpecialToken>,
    #[serde(default)]
    additional_special_tokens: Option<Vec<SpecialToken>>,
    #[serde(default)]
    extra_special_tokens: Option<TokenList>,
    #[serde(default)]
    pub(super) added_tokens_decoder: BTreeMap<String, SpecialToken>,
    #[serde(default)]
    pub(super) add_bos_token: Option<bool>,
    #[serde(default)]
    pub(super) add_eos_token: Option<bool>,
    /// `false`: only the first piece of a text has a space put before it.
    #[serde(default)]
    pub(super) legacy: Option<bool>,
}

/// A special token: its text, or an object that holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum TokenField {
    Text(String),
    Object {
        content: String,
        #[serde(default)]
        special: bool,
    },
}

/// A token that a file names.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "TokenField")]
pub(super) struct SpecialToken {
    content: String,
    /// Whether the file calls it special.
    pub(super) special: bool,
}

impl From<TokenField> for SpecialToken {
    fn from(field: TokenField) -> Self {
        match field {
            TokenField::Text(content) => Self { content, special: true },
            TokenField::Object { content, special } => Self { content, special },
        }
    }
}

impl SpecialToken {
    /// The token's text.
    pub(super) fn text(&self) -> &str {
        &self.content
    }
}

/// Tokens in a list, or by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum TokenList {
    List(Vec<SpecialToken>),
    Named(BTreeMap<String, SpecialToken>),
}

impl TokenList {
    fn tokens(&self) -> Vec<&SpecialToken> {
        match self {
            Self::List(tokens) => tokens.iter().collect(),
            Self::Named(tokens) => tokens.values().collect(),
        }
    }
}

/// One template, or several by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum TemplateField {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Clone, Debug, Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// `special_tokens_map.json`.
#[derive(Debug, Default, Deserialize)]
struct SpecialTokensMap {
    #[serde(default)]
    bos_token: Option<SpecialToken>,
    #[serde(default)]
    eos_token: Option<SpecialToken>,
    #[serde(default)]
    unk_token: Option<SpecialToken>,
    #[serde(default)]
    pad_token: Option<SpecialToken>,
    #[serde(default)]
    additional_special_tokens: Option<Vec<SpecialToken>>,
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<T> {
    let failed = |error: serde_json::Error| Error::Tokenizer(format!("{name}: {error}"));
    // Where every field has a default, an empty list would do for an object.
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(failed)?;
    serde_json::from_value(fields.into()).map_err(failed)
}

impl HfTokenizerConfig {
    /// Parses a `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub(super) fn parse(text: &str) -> Result<Self> {
        let config: Self = parse("tokenizer_config.json", text)?;
        if config.added_tokens_decoder.len() > MAX_ADDED {
            return Err(Error::Tokenizer(format!("more than {MAX_ADDED} added tokens")));
        }
        Ok(config)
    }

    /// Reads what `dir` has of `tokenizer_config.json`, `special_tokens_map.json`,
    /// `added_tokens.json` and `chat_template.jinja`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Tokenizer`] if a file that is there cannot be read.
    pub(super) fn load(dir: &Path) -> Result<Self> {
        let mut config = match read_optional(dir, "tokenizer_config.json")? {
            Some(text) => Self::parse(&text)?,
            None => Self::default(),
        };
        if let Some(text) = read_optional(dir, "special_tokens_map.json")? {
            let map: SpecialTokensMap = parse("special_tokens_map.json", &text)?;
            config.bos_token = config.bos_token.or(map.bos_token);
            config.eos_token = config.eos_token.or(map.eos_token);
            config.unk_token = config.unk_token.or(map.unk_token);
            config.pad_token = config.pad_token.or(map.pad_token);
            let more = map.additional_special_tokens;
            config.additional_special_tokens = config.additional_special_tokens.or(more);
        }
        if let Some(text) = read_optional(dir, "added_tokens.json")? {
            let added: BTreeMap<String, u32> = parse("added_tokens.json", &text)?;
            if added.len() > MAX_ADDED {
                return Err(Error::Tokenizer(format!("more than {MAX_ADDED} added tokens")));
            }
            let special = config.special_texts();
            for (content, id) in added {
                let special = special.contains(&content);
                let entry = config.added_tokens_decoder.entry(id.to_string());
                entry.or_insert(SpecialToken { content, special });
            }
        }
        if let Some(template) = read_optional(dir, "chat_template.jinja")? {
            config.chat_template = Some(TemplateField::One(template));
        }
        Ok(config)
    }

    /// Chat templates by name; a single one is called `default`.
    pub(super) fn templates(&self) -> Vec<(String, String)> {
        match &self.chat_template {
            None => Vec::new(),
            Some(TemplateField::One(text)) => vec![("default".into(), text.clone())],
            Some(TemplateField::Named(list)) => {
                list.iter().map(|named| (named.name.clone(), named.template.clone())).collect()
            }
        }
    }

    /// Texts of the named special tokens, as templates see them.
    pub(super) fn named(&self) -> [(&'static str, String); 4] {
        let text = |token: &Option<SpecialToken>| {
            token.as_ref().map(|token| token.content.clone()).unwrap_or_default()
        };
        [
            ("bos_token", text(&self.bos_token)),
            ("eos_token", text(&self.eos_token)),
            ("unk_token", text(&self.unk_token)),
            ("pad_token", text(&self.pad_token)),
        ]
    }

    /// Texts of all tokens that are special, whether they are in the vocabulary or not.
    pub(super) fn special_texts(&self) -> Vec<String> {
        let named = self.named().into_iter().map(|(_, text)| text);
        let extra = self.extra_special_tokens.iter().flat_map(TokenList::tokens);
        let more = self.additional_special_tokens.iter().flatten().chain(extra);
        let more = more.map(|token| token.content.clone());
        let added = self.added_tokens_decoder.values().filter(|token| token.special);
        let texts = named.chain(more).chain(added.map(|token| token.content.clone()));
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// Whether a text from outside must not hold this token: the named ones, and listed ones that
    /// look like markup (lists may hold ordinary text too, such as several line breaks).
    pub(super) fn guards(&self, token: &str) -> bool {
        let markup = token.starts_with('<') && token.ends_with('>');
        markup || self.named().iter().any(|(_, text)| text == token)
    }

    /// Tokens that are added to the vocabulary, by id.
    pub(super) fn added_tokens(&self) -> impl Iterator<Item = (usize, &SpecialToken)> {
        self.added_tokens_decoder.iter().filter_map(|(id, token)| Some((id.parse().ok()?, token)))
    }

    /// Whether the tokenizer is of this class, in its slow or fast form.
    pub(super) fn is_class(&self, name: &str) -> bool {
        self.tokenizer_class.as_deref().is_some_and(|class| class.trim_end_matches("Fast") == name)
    }

    /// Whether texts begin with the begin-of-sequence token, if the file or the class says so.
    pub(super) fn begins(&self) -> Option<bool> {
        let by_class = ["LlamaTokenizer", "GemmaTokenizer"].iter().any(|name| self.is_class(name));
        self.add_bos_token.or(by_class.then_some(true))
    }
}

//! Answers that must be JSON.

use std::{fmt, sync::Arc};

use inference::{sampler::TokenMask, tokenizer::Tokenizer};
use llguidance::{
    Matcher, ParserFactory,
    api::TopLevelGrammar,
    toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::Value;

use crate::{Error, Result};

/// First byte of special tokens in the library's tree.
const MARK: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// Compiles JSON schemas to masks over a model's tokens.
pub struct Grammars {
    factory: ParserFactory,
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl Grammars {
    /// Grammars over a tokenizer; `end` is the token that ends an answer, `None` for a model without
    /// one, whose answers only end when they are as long as they may be.
    ///
    /// # Errors
    /// [`Error::Config`] if the tokens cannot be put into a tree.
    pub fn new(tokenizer: &Tokenizer, end: Option<u32>) -> Result<Self> {
        let count = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        // Without an end there is one token more, which no model ever samples.
        let end_id = end.filter(|end| *end < count).unwrap_or(count);
        let word = |id| tokenizer.token_bytes(id).to_vec();
        let mut words: Vec<Vec<u8>> = (0..count).map(word).collect();
        // The byte marks special tokens in the tree, and is in no UTF-8 text.
        words.iter_mut().filter(|word| word.first() == Some(&MARK)).for_each(Vec::clear);
        let end_word = [&[MARK], &b"<end>"[..]].concat();
        match words.get_mut(end_id as usize) {
            Some(word) => *word = end_word,
            None => words.push(end_word),
        }
        let info = TokRxInfo::new(words.len() as u32, end_id);
        let wrong = |what: &str| Error::Config(format!("tokens of the model: {what}"));
        // The library asserts what it expects of tokens.
        let built = std::panic::catch_unwind(|| {
            let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
            ParserFactory::new(&env, InferenceCapabilities::default(), &[])
        });
        let mut factory = built
            .map_err(|_| wrong("they make no tree"))?
            .map_err(|error| wrong(&error.to_string()))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// A mask that only lets JSON values pass that `schema` allows.
    ///
    /// # Errors
    /// What is wrong with the schema, or that it is larger or harder than is allowed.
    pub fn json(&self, schema: &Value) -> std::result::Result<JsonMask, String> {
        let grammar = TopLevelGrammar::from_json_schema(schema.clone());
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(error),
            None => matcher
                .compute_mask_or_eos()
                .map(|_| JsonMask { matcher: Box::new(matcher) })
                .map_err(|error| error.to_string()),
        }
    }
}

/// The part of an answer's JSON that is there, and what may follow.
pub struct JsonMask {
    matcher: Box<Matcher>,
}

impl fmt::Debug for JsonMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonMask").finish_non_exhaustive()
    }
}

impl TokenMask for JsonMask {
    fn allow(&mut self, logits: &mut [f32]) {
        // A grammar that runs into its limits allows nothing, which ends the answer with an error.
        let allowed = self.matcher.compute_mask_or_eos().ok();
        for (id, logit) in logits.iter_mut().enumerate() {
            let is_allowed = allowed.as_ref().is_some_and(|set| id < set.len() && set.get(id));
            if !is_allowed {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    fn commit(&mut self, token: u32) {
        // An error stays in the matcher and shows at the next mask.
        let _ = self.matcher.consume_token(token);
    }
}

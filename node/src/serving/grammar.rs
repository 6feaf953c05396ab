//! Answers that must be JSON.

use std::{fmt, sync::Arc};

use inference::{sampler::TokenMask, tokenizer::Tokenizer};
use llguidance::{
    Matcher, ParserFactory,
    api::TopLevelGrammar,
    toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::{Value, json};

use crate::{Error, Result};

/// First byte of special tokens in the library's tree.
const MARK: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// Compiles JSON schemas to masks over a model's tokens.
pub struct Grammars {
    factory: ParserFactory,
    /// Tokens that the model samples.
    tokens: usize,
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl Grammars {
    /// Grammars over a tokenizer; `end` is the token that ends an answer, `None` for a model without
    /// one, whose answers end when nothing may follow or when they are as long as they may be.
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
        Ok(Self { factory, tokens: count as usize })
    }

    /// A mask that only lets JSON values pass that `schema` allows, without white space between them.
    ///
    /// # Errors
    /// What is wrong with the schema, or that it is larger or harder than is allowed.
    pub fn json(&self, schema: &Value) -> std::result::Result<JsonMask, String> {
        let mut schema = match schema {
            Value::Object(schema) => schema.clone(),
            // Any value.
            Value::Bool(true) => serde_json::Map::new(),
            _ => return Err("it is neither an object nor true".into()),
        };
        // A model may write white space for ever where it is allowed. Whatever the caller says to the
        // library goes with it.
        schema.insert("x-guidance".into(), json!({ "whitespace_flexible": false }));
        let grammar = TopLevelGrammar::from_json_schema(Value::Object(schema));
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(error),
            None => matcher
                .compute_mask_or_eos()
                .map(|_| JsonMask { matcher: Box::new(matcher), tokens: self.tokens })
                .map_err(|error| error.to_string()),
        }
    }
}

/// The part of an answer's JSON that is there, and what may follow.
pub struct JsonMask {
    matcher: Box<Matcher>,
    tokens: usize,
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

    fn is_complete(&mut self) -> bool {
        // Where there is an end token it is allowed here, so this holds for models without one only.
        let follows = |set: SimpleVob| (0..self.tokens).any(|id| id < set.len() && set.get(id));
        self.matcher.is_accepting().unwrap_or(false)
            && self.matcher.compute_mask_or_eos().is_ok_and(|set| !follows(set))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use inference::{
        engine::{Engine, EngineConfig, EngineHandle, Event, Request},
        model::Decoder,
        sampler::Sampling,
    };

    fn engine() -> EngineHandle {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
        let decoder = Arc::new(Decoder::load(&dir).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&dir).unwrap());
        Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap()
    }

    fn answer(engine: &EngineHandle, mask: JsonMask, seed: u64) -> String {
        let prompt = engine.tokenizer().encode_prompt("contract Token {").unwrap();
        let sampling = Sampling { temperature: 1.0, seed, max_tokens: 300, ..Sampling::default() };
        let request = Request { prompt, sampling, ..Request::default() };
        let mut events = engine.submit_masked(request, Box::new(mask)).unwrap();
        loop {
            match events.blocking_recv().unwrap() {
                Event::Token { .. } => {}
                Event::Finished { answer, .. } => return answer.text,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A model of Solidity that has never seen JSON writes what the schema asks for.
    #[test]
    fn answers_follow_their_schema() {
        let engine = engine();
        let end = engine.decoder().spec().eos.first().copied();
        let grammars = Grammars::new(engine.tokenizer(), end).unwrap();
        let schema = json!({
            "type": "object",
            "properties": {
                "kind": { "enum": ["token", "vault \u{fc}"] },
                "decimals": { "type": "integer", "minimum": 0, "maximum": 18 },
                "flags": { "type": "array", "items": { "type": "boolean" }, "maxItems": 3 },
            },
            "required": ["kind", "decimals", "flags"],
            "additionalProperties": false,
        });
        for seed in 0..8 {
            let text = answer(&engine, grammars.json(&schema).unwrap(), seed);
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
            let fields = value.as_object().unwrap();
            assert_eq!(fields.len(), 3, "{text}");
            assert!(["token", "vault \u{fc}"].contains(&value["kind"].as_str().unwrap()), "{text}");
            assert!(value["decimals"].as_u64().unwrap() <= 18, "{text}");
            let flags = value["flags"].as_array().unwrap();
            assert!(flags.len() <= 3 && flags.iter().all(Value::is_boolean), "{text}");
        }
        engine.shutdown();
    }

    /// Nothing may follow a closed object, which no token says.
    #[test]
    fn a_model_without_an_end_ends_with_its_json() {
        let engine = engine();
        let grammars = Grammars::new(engine.tokenizer(), None).unwrap();
        let schema = json!({
            "type": "object",
            "properties": { "kind": { "enum": ["token", "vault"] } },
            "required": ["kind"],
            "additionalProperties": false,
        });
        for seed in 0..4 {
            let text = answer(&engine, grammars.json(&schema).unwrap(), seed);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(["token", "vault"].contains(&value["kind"].as_str().unwrap()), "{text}");
        }
        engine.shutdown();
    }

    #[test]
    fn the_same_seed_gives_the_same_json() {
        let engine = engine();
        let end = engine.decoder().spec().eos.first().copied();
        let grammars = Grammars::new(engine.tokenizer(), end).unwrap();
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        let once = || answer(&engine, grammars.json(&schema).unwrap(), 3);
        assert_eq!(once(), once());
        engine.shutdown();
    }
}

//! What a request asks for.

use crate::{Error, Result};

/// Highest temperature.
pub const MAX_TEMPERATURE: f32 = 2.0;
/// Most stop strings of a request, and most stop tokens.
pub const MAX_STOPS: usize = 8;
/// Longest stop string in bytes.
pub const MAX_STOP_BYTES: usize = 256;
/// Most tokens with a logit bias.
pub const MAX_BIASES: usize = 1024;
/// Most likeliest tokens told for each token.
pub const MAX_LOGPROBS: usize = 20;
/// Largest magnitude of presence and frequency penalties.
const MAX_PENALTY: f32 = 2.0;
/// Largest magnitude of a logit bias.
const MAX_BIAS: f32 = 100.0;

/// How a request's tokens are chosen and when it ends.
///
/// The same values, prompt and adapters give the same answer whatever else the engine does: each
/// request draws from a ChaCha8 stream of its own, one number per token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token. At most [`MAX_TEMPERATURE`].
    pub temperature: f32,
    /// Draw from this many likeliest tokens only; 0 means all.
    pub top_k: usize,
    /// Draw from the fewest likeliest tokens that have this much probability; in `(0, 1]`.
    pub top_p: f32,
    /// Draw from tokens only that have this fraction of the likeliest one's probability; in `0..=1`.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens that the prompt or the answer has;
    /// in `(0, 10]`, 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken off the logits of tokens that the answer has; in `-2..=2`.
    pub presence_penalty: f32,
    /// Taken off a token's logit each time that the answer has it; in `-2..=2`.
    pub frequency_penalty: f32,
    /// Added to these tokens' logits; each in `-100..=100`, at most [`MAX_BIASES`].
    pub logit_bias: Vec<(u32, f32)>,
    /// Seed of the request's stream.
    pub seed: u64,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// The answer ends with the first of these tokens, whose text it does not show.
    pub stop_tokens: Vec<u32>,
    /// The answer has at most this many tokens; at least 1.
    pub max_tokens: usize,
    /// How many of the likeliest tokens are told for each token; at most [`MAX_LOGPROBS`].
    pub top_logprobs: usize,
}

impl Default for Sampling {
    /// Greedy, 128 tokens.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            max_tokens: 128,
            top_logprobs: 0,
        }
    }
}

impl Sampling {
    /// Checks the bounds stated on the fields, for a model of `vocab` tokens.
    ///
    /// # Errors
    /// [`Error::Request`] naming the value.
    pub fn validate(&self, vocab: usize) -> Result<()> {
        let Self { temperature, top_p, min_p, repetition_penalty, max_tokens, .. } = self;
        if !(0.0..=MAX_TEMPERATURE).contains(temperature) {
            return bad(format!("temperature {temperature} is not in 0..={MAX_TEMPERATURE}"));
        }
        if !(*top_p > 0.0 && *top_p <= 1.0) {
            return bad(format!("top_p {top_p} is not above 0 and at most 1"));
        }
        if !(0.0..=1.0).contains(min_p) {
            return bad(format!("min_p {min_p} is not in 0..=1"));
        }
        if !(*repetition_penalty > 0.0 && *repetition_penalty <= 10.0) {
            let value = repetition_penalty;
            return bad(format!("repetition_penalty {value} is not above 0 and at most 10"));
        }
        for (name, penalty) in
            [("presence", self.presence_penalty), ("frequency", self.frequency_penalty)]
        {
            if !(-MAX_PENALTY..=MAX_PENALTY).contains(&penalty) {
                return bad(format!("{name}_penalty {penalty} is not in -2..=2"));
            }
        }
        if *max_tokens == 0 {
            return bad("max_tokens is 0".into());
        }
        if self.top_logprobs > MAX_LOGPROBS {
            return bad(format!("{} logprobs, at most {MAX_LOGPROBS}", self.top_logprobs));
        }
        self.validate_stops(vocab)?;
        self.validate_biases(vocab)
    }

    fn validate_stops(&self, vocab: usize) -> Result<()> {
        let Self { stop, stop_tokens, .. } = self;
        if stop.len().max(stop_tokens.len()) > MAX_STOPS {
            let (strings, tokens) = (stop.len(), stop_tokens.len());
            return bad(format!("{strings} stop strings, {tokens} tokens, at most {MAX_STOPS}"));
        }
        if let Some(stop) = stop.iter().find(|s| s.is_empty() || s.len() > MAX_STOP_BYTES) {
            let length = stop.len();
            return bad(format!("a stop string has {length} bytes, not 1..={MAX_STOP_BYTES}"));
        }
        match stop_tokens.iter().find(|&&token| token as usize >= vocab) {
            Some(token) => bad(format!("stop token {token} is not below {vocab}")),
            None => Ok(()),
        }
    }

    fn validate_biases(&self, vocab: usize) -> Result<()> {
        let biases = &self.logit_bias;
        if biases.len() > MAX_BIASES {
            return bad(format!("{} logit biases, at most {MAX_BIASES}", biases.len()));
        }
        for (token, bias) in biases {
            if *token as usize >= vocab || !(-MAX_BIAS..=MAX_BIAS).contains(bias) {
                return bad(format!("logit bias {bias} of token {token} of {vocab}"));
            }
        }
        Ok(())
    }
}

const fn bad<T>(message: String) -> Result<T> {
    Err(Error::Request(message))
}

//! What goes into an engine and what comes out.

use std::time::Instant;

use crate::{adapter::AdapterSet, sampler::Sampling};

/// What to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Prompt tokens, as the model is to see them (with its begin-of-sequence token).
    pub prompt: Vec<u32>,
    /// The adapters that answer.
    pub adapters: AdapterSet,
    /// How tokens are chosen and when to stop.
    pub sampling: Sampling,
    /// Who asks: tenants take turns, so none waits for another's queue.
    pub tenant: u64,
    /// Requests with different salts share no cached prefixes, so neither can tell from the time that
    /// it takes what the other has asked.
    pub salt: u64,
    /// When the answer is of no use any more.
    pub deadline: Option<Instant>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, a stop token came, or its mask lets nothing follow; this is its last token.
    EndOfText,
    /// A stop string came.
    StopString,
    /// It has `max_tokens` tokens.
    Length,
}

impl FinishReason {
    /// OpenAI's name: `stop` or `length`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndOfText | Self::StopString => "stop",
            Self::Length => "length",
        }
    }
}

/// An answer, whole or as far as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were not computed, because an earlier request began with the same.
    pub cached_tokens: usize,
    /// Every generated token, the end token and those of a stop string included.
    pub completion: Vec<u32>,
    /// The answer's text, cut before the stop string.
    pub text: String,
}

/// What a request's receiver gets: tokens, then exactly one `Finished`, `Expired` or `Failed`. (A
/// channel that closes without them means that the engine's thread has died.)
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A token was generated.
    Token {
        /// Its id.
        id: u32,
        /// The text that it sets free: empty inside a character or a possible stop string. The texts
        /// of all tokens together are the answer.
        text: String,
        /// Natural logarithm of its probability under the model.
        logprob: f32,
        /// The likeliest tokens under the model with theirs, as many as were asked for.
        top: Vec<(u32, f32)>,
    },
    /// The answer is complete.
    Finished {
        /// Why.
        reason: FinishReason,
        /// The answer.
        answer: Answer,
    },
    /// The deadline passed.
    Expired {
        /// The answer as far as it came. Text that might have begun a stop string is not in it.
        answer: Answer,
    },
    /// The request was given up.
    Failed {
        /// Why.
        reason: String,
    },
}

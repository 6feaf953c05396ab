//! Bodies of `/v1/chat/completions` and `/v1/completions`, checked.

mod adapters;
mod embeddings;
mod fields;
mod format;
mod messages;
mod retrieval;
mod sampling;
#[cfg(test)]
mod tests;

pub use inference::{sampler::Sampling, tokenizer::Message as ChatMessage};
use serde_json::Value;

pub(super) use self::retrieval::read as check_retrieval;
pub use self::{
    adapters::{AdapterChoice, AdapterSource, Merge, WireMerge},
    embeddings::{EmbeddingBody, EmbeddingRequest, Encoding},
    fields::{Body, StreamOptions},
    format::ResponseFormat,
    messages::{Content, ContentPart, WireMessage},
    retrieval::{RetrievalChoice, WireRetrieval},
    sampling::{Logprobs, OneOrMany},
};
use super::error::ApiError;

/// What the caller wants continued.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A conversation, rendered with the model's chat template.
    Chat(Vec<ChatMessage>),
    /// Plain text.
    Text(String),
}

/// A checked request for one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRequest {
    /// Model id (`0x` and 64 hex digits), registered name, name of the caller's adapter, or `auto`.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// Most tokens to generate; the voucher decides when absent.
    pub max_tokens: Option<u64>,
    /// Seed of sampling; must equal the voucher's when given.
    pub seed: Option<u64>,
    /// How tokens are drawn, but for what the voucher decides: the seed and the number of tokens.
    pub sampling: Sampling,
    /// Whether the answer tells its tokens' probabilities.
    pub logprobs: bool,
    /// What form the answer must have.
    pub format: ResponseFormat,
    /// The rows that it is to be answered from.
    pub retrieval: Option<RetrievalChoice>,
    /// Which adapters answer instead of the model's own.
    pub adapters: AdapterChoice,
    /// Whether the answer is a stream of server-sent events.
    pub stream: bool,
    /// Whether the stream has a last chunk with usage and no choices.
    pub include_usage: bool,
}

/// Which body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Text,
    /// `/v1/embeddings`
    Embeddings,
}

impl Endpoint {
    /// Where a body can be sent to; there is one such place at most.
    ///
    /// # Errors
    /// 400 if the body is not JSON, or asks neither for a chat, nor a continuation, nor embeddings.
    pub fn of(bytes: &[u8]) -> Result<Self, ApiError> {
        let body = json(bytes)?;
        match (&body["messages"], &body["prompt"], &body["input"]) {
            (Value::Null, Value::Null, Value::Null) => {
                Err(ApiError::invalid("messages", "neither messages, prompt nor input is there"))
            }
            (Value::Null, Value::Null, _) => Ok(Self::Embeddings),
            (Value::Null, _, _) => Ok(Self::Text),
            _ => Ok(Self::Chat),
        }
    }
}

/// A body as JSON.
pub(super) fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid("body", format!("body is not JSON: {error}")))
}

impl CallRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// 400 naming the field that is missing, unsupported or out of bounds.
    pub fn parse(endpoint: Endpoint, bytes: &[u8]) -> Result<Self, ApiError> {
        let value = json(bytes)?;
        fields::reject_unsupported(&value)?;
        let body: Body = serde_json::from_value(value)
            .map_err(|error| ApiError::invalid("body", error.to_string()))?;
        let max_tokens = body.max_completion_tokens.or(body.max_tokens);
        if max_tokens == Some(0) {
            return Err(ApiError::invalid("max_tokens", "max_tokens is 0"));
        }
        let (sampling, logprobs) = sampling::read(endpoint, &body)?;
        Ok(Self {
            sampling,
            logprobs,
            format: format::read(body.response_format)?,
            retrieval: body.retrieval.map(|field| retrieval::read(&field)).transpose()?,
            adapters: adapters::read(body.adapter_id, body.adapter_source, body.merged_adapters)?,
            prompt: messages::prompt(endpoint, body.messages, body.prompt)?,
            model: body.model,
            max_tokens,
            seed: body.seed,
            stream: body.stream.unwrap_or(false),
            include_usage: body.stream_options.is_some_and(|options| options.include_usage),
        })
    }
}

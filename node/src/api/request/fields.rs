//! The fields of a body, and those that are refused.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    OneOrMany, WireMessage, adapters::WireMerge, retrieval::WireRetrieval, sampling::Logprobs,
};
use crate::api::error::ApiError;

/// A request for an answer. Other fields of OpenAI's API that would change the answer are refused by
/// name; those that would not are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CompletionRequest)]
pub struct Body {
    /// Model id, registered name, `auto`, or a name of the caller's own adapters.
    pub model: String,
    /// The conversation: `/v1/chat/completions` only.
    pub messages: Option<Vec<WireMessage>>,
    /// The text: `/v1/completions` only. Several texts need a key.
    pub prompt: Option<OneOrMany>,
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// The same under its newer name, which wins.
    pub max_completion_tokens: Option<u64>,
    /// Seed of the sampling. With a voucher it must be the voucher's.
    pub seed: Option<u64>,
    /// 0 to 2; 0 takes the likeliest token. 1 if absent.
    pub temperature: Option<f32>,
    /// Above 0, to 1.
    pub top_p: Option<f32>,
    /// Draw from this many likeliest tokens; 0 is all.
    pub top_k: Option<usize>,
    /// Draw from tokens with this fraction of the likeliest one's probability; 0 to 1.
    pub min_p: Option<f32>,
    /// Above 0, to 10; 1 changes nothing.
    pub repetition_penalty: Option<f32>,
    /// -2 to 2.
    pub presence_penalty: Option<f32>,
    /// -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// Token id to what is added to its logit, -100 to 100.
    pub logit_bias: Option<std::collections::BTreeMap<String, f32>>,
    /// Up to four texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// In a chat: whether to tell probabilities. In a completion: of how many alternatives.
    pub logprobs: Option<Logprobs>,
    /// How many alternatives a chat's probabilities come with, 0 to 20.
    pub top_logprobs: Option<u64>,
    /// `text`, `json_object`, or `json_schema` with a schema.
    #[schema(value_type = Option<Object>)]
    pub response_format: Option<Value>,
    /// Choices to answer with, 1 to 16. More than one needs a key: each is a call of its own.
    pub n: Option<u64>,
    /// Whether the answer comes as server-sent events.
    pub stream: Option<bool>,
    /// What a stream has besides.
    pub stream_options: Option<StreamOptions>,
    /// Passed over.
    pub user: Option<String>,
    /// An adapter to answer with: hash, name, or where it is.
    pub adapter_id: Option<String>,
    /// Where `adapter_id` is looked up: `local` (registered here), `hub` or `http`.
    pub adapter_source: Option<String>,
    /// Several adapters made into one.
    pub merged_adapters: Option<WireMerge>,
    /// Has it answered from rows of the model's Datanets, which it cites.
    pub retrieval: Option<WireRetrieval>,
}

/// What a stream has besides the answer.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// Whether a last chunk without choices tells the usage.
    #[serde(default)]
    pub include_usage: bool,
}

/// Refused unless they have the value that changes nothing.
const FIELDS: [&str; 16] = [
    "input",
    "n",
    "best_of",
    "use_beam_search",
    "echo",
    "suffix",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "modalities",
    "audio",
    "prediction",
    "reasoning_effort",
    "web_search_options",
];

/// Refuses fields of OpenAI's API that would change the answer and are not supported, unless they
/// have the value that changes nothing.
pub(super) fn reject_unsupported(body: &Value) -> Result<(), ApiError> {
    let is_empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let neutral = |field: &str, value: &Value| match field {
        "n" | "best_of" => value.as_f64() == Some(1.0),
        "echo" | "use_beam_search" => value == false,
        "suffix" => value == "",
        "tools" | "functions" => is_empty(value),
        "tool_choice" | "function_call" => value == "none" || value == "auto",
        "parallel_tool_calls" => value.is_boolean(),
        "modalities" => *value == serde_json::json!(["text"]),
        "reasoning_effort" => value == "none",
        _ => false,
    };
    for field in FIELDS {
        match body.get(field) {
            None | Some(Value::Null) => {}
            Some(value) if neutral(field, value) => {}
            Some(_) if field == "n" => {
                let message = "n above 1 needs a key: a voucher pays for one choice";
                return Err(ApiError::invalid("n", message));
            }
            Some(value) => {
                let shown: String = value.to_string().chars().take(64).collect();
                return Err(ApiError::invalid(field, format!("{field} {shown} is not supported")));
            }
        }
    }
    Ok(())
}

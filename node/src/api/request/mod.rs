//! Bodies of `/v1/chat/completions` and `/v1/completions`, checked.

pub use inference::tokenizer::Message as ChatMessage;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;

/// Most messages in a chat.
const MAX_MESSAGES: usize = 256;
/// Most stop strings.
const MAX_STOPS: usize = 4;
/// Longest stop string, in bytes.
const MAX_STOP_BYTES: usize = 256;

/// What the caller wants continued.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A conversation, rendered with the model's chat template.
    Chat(Vec<ChatMessage>),
    /// Plain text.
    Text(String),
}

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token; at most 2.
    pub temperature: f32,
    /// Smallest set of tokens with this probability, in (0, 1].
    pub top_p: f32,
    /// Only the `top_k` most likely tokens; 0 is all.
    pub top_k: usize,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
}

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRequest {
    /// Model id (`0x` and 64 hex digits) or registered name.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// Most tokens to generate; the voucher decides when absent.
    pub max_tokens: Option<u64>,
    /// Seed of sampling; must equal the voucher's when given.
    pub seed: Option<u64>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Whether the answer is a stream of server-sent events.
    pub stream: bool,
    /// Whether the stream has a last chunk with usage and no choices.
    pub include_usage: bool,
}

/// One string or a list, as OpenAI's `stop` allows both.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The fields of both bodies; fields that would change the answer and are not supported are
/// refused by [`reject_unsupported`], all others have no effect.
#[derive(Debug, Deserialize)]
struct Body {
    model: String,
    messages: Option<Vec<ChatMessage>>,
    prompt: Option<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    seed: Option<u64>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    stop: Option<OneOrMany>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

/// Which body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Text,
}

impl Endpoint {
    /// Where a body can be sent to; there is one such place at most.
    ///
    /// # Errors
    /// 400 if the body is not JSON or neither asks a chat nor for a continuation.
    pub fn of(bytes: &[u8]) -> Result<Self, ApiError> {
        let body: Value = serde_json::from_slice(bytes)
            .map_err(|error| ApiError::invalid("body", format!("body is not JSON: {error}")))?;
        match (&body["messages"], &body["prompt"]) {
            (Value::Null, Value::Null) => {
                Err(ApiError::invalid("messages", "neither messages nor prompt is there"))
            }
            (Value::Null, _) => Ok(Self::Text),
            _ => Ok(Self::Chat),
        }
    }
}

impl CallRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// 400 naming the field that is missing, unsupported or out of bounds.
    pub fn parse(endpoint: Endpoint, bytes: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ApiError::invalid("body", format!("body is not JSON: {error}")))?;
        reject_unsupported(&value)?;
        let body: Body = serde_json::from_value(value)
            .map_err(|error| ApiError::invalid("body", error.to_string()))?;
        let max_tokens = body.max_completion_tokens.or(body.max_tokens);
        if max_tokens == Some(0) {
            return Err(ApiError::invalid("max_tokens", "max_tokens is 0"));
        }
        Ok(Self {
            prompt: prompt(endpoint, body.messages, body.prompt)?,
            model: body.model,
            max_tokens,
            seed: body.seed,
            sampling: Sampling {
                temperature: bounded("temperature", body.temperature, 1.0, 0.0, 2.0)?,
                top_p: top_p(body.top_p)?,
                top_k: body.top_k.unwrap_or(0),
                stop: stops(body.stop)?,
            },
            stream: body.stream,
            include_usage: body.stream_options.is_some_and(|options| options.include_usage),
        })
    }
}

fn prompt(
    endpoint: Endpoint,
    messages: Option<Vec<ChatMessage>>,
    text: Option<String>,
) -> Result<Prompt, ApiError> {
    // The endpoint is not part of what is signed: the body alone must say what is asked.
    let stray = match endpoint {
        Endpoint::Chat => text.is_some().then_some("prompt"),
        Endpoint::Text => messages.is_some().then_some("messages"),
    };
    if let Some(field) = stray {
        return Err(ApiError::invalid(field, format!("{field} is of the other endpoint")));
    }
    if endpoint == Endpoint::Text {
        let text = text.ok_or_else(|| ApiError::invalid("prompt", "prompt is missing"))?;
        return Ok(Prompt::Text(text));
    }
    let messages = messages.ok_or_else(|| ApiError::invalid("messages", "messages is missing"))?;
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let count = messages.len();
        return Err(ApiError::invalid(
            "messages",
            format!("{count} messages, not 1 to {MAX_MESSAGES}"),
        ));
    }
    for message in &messages {
        if !matches!(message.role.as_str(), "system" | "user" | "assistant") {
            return Err(ApiError::invalid("messages", format!("role {:?}", message.role)));
        }
    }
    Ok(Prompt::Chat(messages))
}

fn bounded(
    field: &'static str,
    value: Option<f32>,
    default: f32,
    low: f32,
    high: f32,
) -> Result<f32, ApiError> {
    let value = value.unwrap_or(default);
    // Written so that NaN is refused too.
    if value >= low && value <= high {
        return Ok(value);
    }
    Err(ApiError::invalid(field, format!("{field} {value} is not in [{low}, {high}]")))
}

fn top_p(value: Option<f32>) -> Result<f32, ApiError> {
    let value = bounded("top_p", value, 1.0, 0.0, 1.0)?;
    if value == 0.0 {
        return Err(ApiError::invalid("top_p", "top_p 0 is not in (0, 1]"));
    }
    Ok(value)
}

fn stops(stop: Option<OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stops = match stop {
        None => Vec::new(),
        Some(OneOrMany::One(text)) => vec![text],
        Some(OneOrMany::Many(texts)) => texts,
    };
    if stops.len() > MAX_STOPS {
        let count = stops.len();
        return Err(ApiError::invalid("stop", format!("{count} stops, at most {MAX_STOPS}")));
    }
    if let Some(text) = stops.iter().find(|text| text.is_empty() || text.len() > MAX_STOP_BYTES) {
        let length = text.len();
        return Err(ApiError::invalid(
            "stop",
            format!("stop of {length} bytes, not 1 to {MAX_STOP_BYTES}"),
        ));
    }
    Ok(stops)
}

/// Refuses fields of OpenAI's API that would change the answer and are not supported, unless they
/// have the value that changes nothing.
fn reject_unsupported(body: &Value) -> Result<(), ApiError> {
    let neutral = |field: &str, value: &Value| match field {
        "n" | "best_of" | "repetition_penalty" => value.as_f64() == Some(1.0),
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logprobs" | "echo" => value == false,
        "response_format" => value["type"] == "text",
        "tools" | "functions" | "logit_bias" => {
            value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty)
        }
        _ => false,
    };
    const FIELDS: [&str; 13] = [
        "n",
        "best_of",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "echo",
        "response_format",
        "tools",
        "functions",
        "logit_bias",
        "top_logprobs",
        "suffix",
    ];
    for field in FIELDS {
        match body.get(field) {
            None | Some(Value::Null) => {}
            Some(value) if neutral(field, value) => {}
            Some(value) => {
                let shown: String = value.to_string().chars().take(64).collect();
                return Err(ApiError::invalid(field, format!("{field} {shown} is not supported")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chat(change: impl FnOnce(&mut Value)) -> Result<CallRequest, ApiError> {
        let mut body = json!({
            "model": "solidity",
            "messages": [{"role": "user", "content": "hello"}],
        });
        change(&mut body);
        CallRequest::parse(Endpoint::Chat, body.to_string().as_bytes())
    }

    #[test]
    fn a_plain_chat_has_the_documented_defaults() {
        let request = chat(|_| {}).unwrap();
        assert_eq!(request.model, "solidity");
        assert_eq!((request.max_tokens, request.seed), (None, None));
        assert_eq!(request.sampling.temperature, 1.0);
        assert_eq!(request.sampling.top_p, 1.0);
        assert!(!request.stream);
    }

    #[test]
    fn values_out_of_bounds_name_their_field() {
        let cases = [
            ("temperature", json!(2.5)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(0.0)),
            ("top_p", json!(1.5)),
            ("repetition_penalty", json!(0.5)),
            ("max_tokens", json!(0)),
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("tools", json!([{"type": "function"}])),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("stop", json!("")),
            ("messages", json!([])),
            ("messages", json!([{"role": "root", "content": ""}])),
        ];
        for (field, value) in cases {
            let error = chat(|body| body[field] = value.clone()).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(field), "{value}");
            assert_eq!(error.status.as_u16(), 400);
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_refused() {
        for (field, value) in [
            ("model", json!(3)),
            ("seed", json!(-1)),
            ("max_tokens", json!("ten")),
            ("stream", json!("yes")),
            ("messages", json!("hello")),
        ] {
            assert!(chat(|body| body[field] = value.clone()).is_err(), "{field}");
        }
    }

    #[test]
    fn neutral_values_of_unsupported_fields_are_accepted() {
        let request = chat(|body| {
            body["n"] = json!(1);
            body["frequency_penalty"] = json!(0);
            body["logit_bias"] = json!({});
            body["user"] = json!("someone");
        });
        assert!(request.is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = CallRequest::parse(Endpoint::Chat, &bytes);
            let _ = CallRequest::parse(Endpoint::Text, &bytes);
        }
    }
}

//! How tokens are drawn.

use std::collections::BTreeMap;

use inference::sampler::{MAX_BIASES, MAX_LOGPROBS, MAX_STOP_BYTES};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, Endpoint, Sampling};
use crate::api::error::ApiError;

/// Most stop strings.
const MAX_STOPS: usize = 4;

/// One string or a list, as OpenAI's `stop` and `prompt` allow both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A chat says whether it wants probabilities, a completion of how many alternatives.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Logprobs {
    /// In a chat.
    Wanted(bool),
    /// In a completion, 0 to 20.
    Alternatives(u64),
}

/// How a body's tokens are drawn, and whether their probabilities are told.
pub(super) fn read(endpoint: Endpoint, body: &Body) -> Result<(Sampling, bool), ApiError> {
    let alternatives = alternatives(endpoint, body)?;
    let sampling = Sampling {
        temperature: bounded("temperature", body.temperature, 1.0, 0.0, 2.0)?,
        top_k: body.top_k.unwrap_or(0),
        top_p: positive("top_p", body.top_p, 1.0)?,
        min_p: bounded("min_p", body.min_p, 0.0, 0.0, 1.0)?,
        repetition_penalty: positive("repetition_penalty", body.repetition_penalty, 10.0)?,
        presence_penalty: bounded("presence_penalty", body.presence_penalty, 0.0, -2.0, 2.0)?,
        frequency_penalty: bounded("frequency_penalty", body.frequency_penalty, 0.0, -2.0, 2.0)?,
        logit_bias: biases(body.logit_bias.as_ref())?,
        stop: stops(body.stop.as_ref())?,
        top_logprobs: alternatives.unwrap_or(0),
        ..Sampling::default()
    };
    Ok((sampling, alternatives.is_some()))
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

/// A value above 0 that is 1 if absent.
fn positive(field: &'static str, value: Option<f32>, high: f32) -> Result<f32, ApiError> {
    let value = bounded(field, value, 1.0, 0.0, high)?;
    if value == 0.0 {
        return Err(ApiError::invalid(field, format!("{field} 0 is not in (0, {high}]")));
    }
    Ok(value)
}

/// How many alternatives of each token are told; `None` if not even its own probability is.
fn alternatives(endpoint: Endpoint, body: &Body) -> Result<Option<usize>, ApiError> {
    let (field, count) = match (endpoint, body.logprobs, body.top_logprobs) {
        (_, None | Some(Logprobs::Wanted(false)), None | Some(0)) => return Ok(None),
        (Endpoint::Text, Some(Logprobs::Alternatives(count)), None) => ("logprobs", count),
        (Endpoint::Chat, Some(Logprobs::Wanted(true)), count) => {
            ("top_logprobs", count.unwrap_or(0))
        }
        (Endpoint::Chat, None | Some(Logprobs::Wanted(false)), Some(_)) => {
            return Err(ApiError::invalid("top_logprobs", "top_logprobs needs logprobs: true"));
        }
        (Endpoint::Chat, ..) => {
            return Err(ApiError::invalid("logprobs", "logprobs of a chat is true or false"));
        }
        (_, _, Some(_)) => {
            return Err(ApiError::invalid("top_logprobs", "top_logprobs is of chats"));
        }
        _ => return Err(ApiError::invalid("logprobs", "logprobs of a completion is a number")),
    };
    match usize::try_from(count) {
        Ok(count) if count <= MAX_LOGPROBS => Ok(Some(count)),
        _ => Err(ApiError::invalid(field, format!("{field} {count} is not 0 to {MAX_LOGPROBS}"))),
    }
}

/// Whether the tokens are the model's is checked where the model is known.
fn biases(biases: Option<&BTreeMap<String, f32>>) -> Result<Vec<(u32, f32)>, ApiError> {
    let Some(biases) = biases else { return Ok(Vec::new()) };
    let wrong = |message: String| ApiError::invalid("logit_bias", message);
    if biases.len() > MAX_BIASES {
        return Err(wrong(format!("{} tokens, at most {MAX_BIASES}", biases.len())));
    }
    let bias = |(token, bias): (&String, &f32)| {
        let shown = || token.chars().take(64).collect::<String>();
        let id = token.parse().map_err(|_| wrong(format!("{:?} is no token's id", shown())))?;
        match (-100.0..=100.0).contains(bias) {
            true => Ok((id, *bias)),
            false => Err(wrong(format!("bias {bias} of token {id} is not in [-100, 100]"))),
        }
    };
    let mut list = biases.iter().map(bias).collect::<Result<Vec<(u32, f32)>, _>>()?;
    list.sort_by_key(|(id, _)| *id);
    if let Some(pair) = list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(wrong(format!("token {} is given twice", pair[0].0)));
    }
    Ok(list)
}

fn stops(stop: Option<&OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stops = match stop {
        None => Vec::new(),
        Some(OneOrMany::One(text)) => vec![text.clone()],
        Some(OneOrMany::Many(texts)) => texts.clone(),
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

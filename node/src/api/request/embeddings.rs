//! Bodies of `/v1/embeddings`.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{OneOrMany, json};
use crate::api::error::ApiError;

/// Most texts in one request.
const MAX_INPUTS: usize = 64;

/// A request for embeddings.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmbeddingRequest)]
pub struct EmbeddingBody {
    /// The base model's id or name, or `auto`.
    pub model: String,
    /// One text or up to 64.
    pub input: OneOrMany,
    /// `float` (the default) or `base64`, of 32-bit little-endian floats.
    pub encoding_format: Option<String>,
    /// The model's width, if it is given.
    pub dimensions: Option<u64>,
    /// Passed over.
    pub user: Option<String>,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A list of numbers.
    Float,
    /// Base64 of 32-bit little-endian floats.
    Base64,
}

/// A checked request for embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// Id or name of the base model, or `auto`.
    pub model: String,
    /// The texts.
    pub input: Vec<String>,
    /// How the vectors are written.
    pub encoding: Encoding,
    /// The width that is expected.
    pub dimensions: Option<u64>,
}

impl EmbeddingRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// 400 naming the field that is missing or out of bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let value = json(bytes)?;
        // The endpoint is not part of what is signed: the body alone must say what is asked.
        for field in ["messages", "prompt"] {
            if !value[field].is_null() {
                return Err(ApiError::invalid(field, format!("{field} is of other endpoints")));
            }
        }
        let body: EmbeddingBody = serde_json::from_value(value)
            .map_err(|error| ApiError::invalid("body", error.to_string()))?;
        let input = match body.input {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        if input.is_empty() || input.len() > MAX_INPUTS {
            let count = input.len();
            let message = format!("{count} texts, not 1 to {MAX_INPUTS}");
            return Err(ApiError::invalid("input", message));
        }
        if input.iter().any(String::is_empty) {
            return Err(ApiError::invalid("input", "a text is empty"));
        }
        let encoding = match body.encoding_format.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => {
                let message = "encoding_format is not float or base64";
                return Err(ApiError::invalid("encoding_format", message));
            }
        };
        Ok(Self { model: body.model, input, encoding, dimensions: body.dimensions })
    }
}

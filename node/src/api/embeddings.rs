//! `POST /v1/embeddings`.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Api, auth,
    calls::{channel, read_body, refused},
    error::ApiError,
    openapi::{ErrorBody, PaymentRequired},
    payment::{self, PAYMENT_HEADER},
    request::{EmbeddingBody, Encoding},
};
use crate::serving::{Finished, PreparedEmbeddings, vectors};

/// Vectors of texts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingList {
    /// `list`
    pub object: &'static str,
    /// One for each text, in their order.
    pub data: Vec<EmbeddingItem>,
    /// The base model's registered name.
    pub model: String,
    /// Token counts.
    pub usage: EmbeddingUsage,
    /// What was recorded: a `Statement`.
    #[schema(value_type = Object)]
    pub openledger: Value,
}

/// The vector of a text: the mean of the model's final hidden states, of length 1.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingItem {
    /// `embedding`
    pub object: &'static str,
    /// Place of the text.
    pub index: usize,
    /// Numbers, or base64 of 32-bit little-endian floats.
    #[schema(value_type = Object)]
    pub embedding: Value,
}

/// Token counts of embeddings.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingUsage {
    /// Tokens of all texts.
    pub prompt_tokens: u64,
    /// The same.
    pub total_tokens: u64,
}

/// Vectors of texts.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "calls",
    params(("X-Payment" = Option<String>, Header, description = "Base64 of a signed voucher")),
    request_body = EmbeddingBody,
    responses(
        (status = 200, description = "The vectors", body = EmbeddingList),
        (status = 400, description = "A field breaks a rule", body = ErrorBody),
        (status = 401, description = "The key is unknown", body = ErrorBody),
        (status = 402, description = "What to pay, or why the payment is not accepted", body = PaymentRequired),
        (status = 404, description = "There is no such model for this caller", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too much is waiting, or the key's limit is reached", body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "A part of the node is not ready", body = ErrorBody),
        (status = 504, description = "The call took too long; nothing was charged", body = ErrorBody),
    ),
    security((), ("key" = []))
)]
pub(super) async fn embeddings(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = serve(&api, &parts.headers, body).await;
    answer.map_or_else(|error| refused(&api, error), IntoResponse::into_response)
}

async fn serve(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<EmbeddingList>, ApiError> {
    let caller = auth::caller(api, headers)?;
    let body = read_body(body, api.max_body_bytes).await?;
    let call = api.serving.prepare_embeddings(&body).await?;
    let voucher = match headers.get(PAYMENT_HEADER) {
        Some(header) => Some(payment::decode(header.as_bytes())?),
        None if caller.key().is_some() => None,
        None => return Err(quoted(api, &call, headers).await?),
    };
    let finished = api.serving.embed(&call, &caller, voucher).await?;
    list(&call, &finished).map(Json)
}

async fn quoted(
    api: &Api,
    call: &PreparedEmbeddings,
    headers: &HeaderMap,
) -> Result<ApiError, ApiError> {
    let quote = api.serving.quote_embeddings(call, channel(headers)?).await?;
    let message = "a voucher in the X-Payment header, or a key, is required";
    let error = ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", message);
    Ok(error.about("X-Payment").with(json!(quote)))
}

fn list(call: &PreparedEmbeddings, finished: &Finished) -> Result<EmbeddingList, ApiError> {
    let item = |(index, bytes): (usize, Vec<u8>)| {
        let embedding = match call.request.encoding {
            Encoding::Base64 => json!(BASE64.encode(bytes)),
            Encoding::Float => {
                let values = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
                json!(values.collect::<Vec<_>>())
            }
        };
        EmbeddingItem { object: "embedding", index, embedding }
    };
    let vectors = vectors(&finished.answer.text)?;
    let tokens = finished.usage().prompt_tokens;
    Ok(EmbeddingList {
        object: "list",
        data: vectors.into_iter().enumerate().map(item).collect(),
        model: finished.answer.model.clone(),
        usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
        openledger: finished.statement(),
    })
}

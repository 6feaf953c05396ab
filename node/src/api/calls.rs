//! `POST /v1/chat/completions` and `/v1/completions`.

use std::time::Duration;

use alloy::primitives::B256;
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, future::try_join_all};

use super::{
    Api, auth, choices, completion,
    completion::{ChatCompletion, TextCompletion},
    error::ApiError,
    openapi::{ErrorBody, PaymentRequired},
    payment::{self, CHANNEL_HEADER, PAYMENT_HEADER},
    request::{Body as CompletionRequest, Endpoint},
    stream,
};
use crate::{
    keys::{ApiKey, Caller},
    metrics::Outcome,
    serving::{Admitted, Finished, Prepared, Progress},
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer to a conversation.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "calls",
    params(("X-Payment" = Option<String>, Header, description = "Base64 of a signed voucher")),
    request_body = CompletionRequest,
    responses(
        (status = 200, description = "The answer; server-sent events of chunks if `stream` is true", body = ChatCompletion),
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
pub(super) async fn chat(State(api): State<Api>, request: Request) -> Response {
    answer(api, Endpoint::Chat, request).await
}

/// The continuation of a text.
#[utoipa::path(
    post,
    path = "/v1/completions",
    tag = "calls",
    params(("X-Payment" = Option<String>, Header, description = "Base64 of a signed voucher")),
    request_body = CompletionRequest,
    responses(
        (status = 200, description = "The continuation; server-sent events of chunks if `stream` is true", body = TextCompletion),
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
pub(super) async fn text(State(api): State<Api>, request: Request) -> Response {
    answer(api, Endpoint::Text, request).await
}

async fn answer(api: Api, endpoint: Endpoint, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = serve(&api, endpoint, &parts.headers, body).await;
    response.unwrap_or_else(|error| refused(&api, error))
}

/// An error as the response, and counted.
pub(super) fn refused(api: &Api, error: ApiError) -> Response {
    // A failure of the node is counted where the call runs.
    if error.status.is_client_error() {
        api.serving.parts().metrics.ended(Outcome::Refused);
    }
    error.into_response()
}

async fn serve(
    api: &Api,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = auth::caller(api, headers)?;
    let body = read_body(body, api.max_body_bytes).await?;
    let calls = match (headers.get(PAYMENT_HEADER), caller.key()) {
        (None, Some(key)) => keyed(api, &caller, key, endpoint, &body).await?,
        (header, _) => {
            let call = api.serving.prepare_for(&caller, endpoint, &body).await?;
            let options = Options::of(&call);
            let admitted = match header {
                _ if !call.is_recorded => Admitted::New(Box::new(api.serving.free(call)?)),
                None => return Err(quoted(api, &call, headers).await?),
                Some(header) => {
                    let voucher = payment::decode(header.as_bytes())?;
                    api.serving.admit(call, voucher).await?
                }
            };
            (options, vec![admitted])
        }
    };
    match calls {
        (options, admitted) if options.streams => Ok(stream::respond(admitted, options.usage)),
        (_, admitted) => {
            let finished = try_join_all(admitted.into_iter().map(finish)).await?;
            Ok(Json(completion::body(&finished)).into_response())
        }
    }
}

/// How an answer is sent.
#[derive(Clone, Copy)]
struct Options {
    streams: bool,
    usage: bool,
}

impl Options {
    const fn of(call: &Prepared) -> Self {
        Self { streams: call.request.stream, usage: call.request.include_usage }
    }
}

/// The calls of a caller whose key pays, one for each choice.
async fn keyed(
    api: &Api,
    caller: &Caller,
    key: &ApiKey,
    endpoint: Endpoint,
    body: &[u8],
) -> Result<(Options, Vec<Admitted>), ApiError> {
    let bodies = choices::split(endpoint, body)?;
    let mut calls = Vec::with_capacity(bodies.len());
    for body in &bodies {
        calls.push(api.serving.prepare_for(caller, endpoint, body).await?);
    }
    let options = Options::of(&calls[0]);
    let mut admitted = Vec::with_capacity(calls.len());
    for call in calls {
        admitted.push(api.serving.buy(call, key).await?);
    }
    Ok((options, admitted))
}

/// What to pay for a call that came without payment.
pub(super) async fn quoted(
    api: &Api,
    call: &Prepared,
    headers: &HeaderMap,
) -> Result<ApiError, ApiError> {
    let quote = api.serving.quote(call, channel(headers)?).await?;
    let details = serde_json::to_value(quote).map_err(|error| ApiError::internal(&error))?;
    let message = "a voucher in the X-Payment header, or a key, is required";
    let error = ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", message);
    Ok(error.about("X-Payment").with(details))
}

/// Waits for the end of a call.
async fn finish(admitted: Admitted) -> Result<Finished, ApiError> {
    let mut run = match admitted {
        Admitted::Again(finished) => return Ok(*finished),
        Admitted::New(run) => run,
    };
    loop {
        if let Progress::Finished(finished) = run.next().await? {
            return Ok(*finished);
        }
    }
}

/// A whole body.
pub(super) async fn read_body(body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let too_slow = || ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "body is too slow");
    let read = async {
        let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece
                .map_err(|error| ApiError::invalid("body", format!("body is cut off: {error}")))?;
            if bytes.len() + piece.len() > max {
                let message = format!("body has over {max} bytes");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(ApiError::new(status, "body_too_large", message).about("body"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| too_slow())?
}

pub(super) fn channel(headers: &HeaderMap) -> Result<Option<B256>, ApiError> {
    let Some(value) = headers.get(CHANNEL_HEADER) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| ApiError::invalid("X-Channel", "X-Channel is not 32 bytes of hex"))
}

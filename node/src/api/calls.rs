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
use futures::StreamExt;

use super::{
    Api,
    error::ApiError,
    payment::{self, CHANNEL_HEADER, PAYMENT_HEADER},
    request::Endpoint,
    stream,
};
use crate::{
    metrics::Outcome,
    serving::{Admitted, Progress},
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn chat(State(api): State<Api>, request: Request) -> Response {
    answer(api, Endpoint::Chat, request).await
}

pub(super) async fn text(State(api): State<Api>, request: Request) -> Response {
    answer(api, Endpoint::Text, request).await
}

async fn answer(api: Api, endpoint: Endpoint, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match serve(&api, endpoint, &parts.headers, body).await {
        Ok(response) => response,
        Err(error) => {
            // A failure of the node is counted where the call runs.
            if error.status.is_client_error() {
                api.serving.parts().metrics.ended(Outcome::Refused);
            }
            error.into_response()
        }
    }
}

async fn serve(
    api: &Api,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read_body(body, api.max_body_bytes).await?;
    let call = api.serving.prepare(endpoint, &body).await?;
    let Some(header) = headers.get(PAYMENT_HEADER) else {
        let quote = api.serving.quote(&call, channel(headers)?).await?;
        let details = serde_json::to_value(quote).map_err(|error| ApiError::internal(&error))?;
        let message = "a voucher in the X-Payment header is required";
        let error = ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", message);
        return Err(error.about("X-Payment").with(details));
    };
    let voucher = payment::decode(header.as_bytes())?;
    let (streams, usage) = (call.request.stream, call.request.include_usage);
    match api.serving.admit(call, voucher).await? {
        Admitted::Again(finished) if streams => Ok(stream::repeat(*finished, usage)),
        Admitted::Again(finished) => Ok(Json(finished.body()).into_response()),
        Admitted::New(run) if streams => Ok(stream::live(*run, usage)),
        Admitted::New(mut run) => loop {
            if let Progress::Finished(finished) = run.next().await? {
                return Ok(Json(finished.body()).into_response());
            }
        },
    }
}

async fn read_body(body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
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

fn channel(headers: &HeaderMap) -> Result<Option<B256>, ApiError> {
    let Some(value) = headers.get(CHANNEL_HEADER) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| ApiError::invalid("X-Channel", "X-Channel is not 32 bytes of hex"))
}

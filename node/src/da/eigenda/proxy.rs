//! REST client of eigenda-proxy, standard commitment mode.

use std::time::Duration;

use alloy::primitives::Bytes;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, header::CONTENT_TYPE, redirect::Policy,
};

use super::{
    certificate::MAX_CERTIFICATE,
    retry::{Failure, Retry, repeat},
};
use crate::{Error, Result, da::MAX_PAYLOAD};

/// Longest part of an answer that an error quotes, in bytes.
const MAX_QUOTE: usize = 512;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A proxy, at its address.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    http: Client,
    base: String,
    retry: Retry,
}

impl Proxy {
    /// The proxy at `base`, such as `http://127.0.0.1:3100`.
    ///
    /// - `timeout`: for one request, from its first byte to the last of the answer
    ///
    /// # Errors
    /// [`Error::Availability`] if the HTTP client cannot be made.
    pub(super) fn new(base: &str, timeout: Duration, retry: Retry) -> Result<Self> {
        // The proxy runs beside the node and answers by itself: nothing stands between.
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| Error::Availability(e.to_string()))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), retry })
    }

    /// Publishes a payload and returns its certificate.
    ///
    /// # Errors
    /// [`Error::Availability`] if the proxy refuses it, says that EigenDA is down, or does not
    /// answer as it should within the retries.
    pub(super) async fn put(&self, payload: Vec<u8>) -> Result<Vec<u8>> {
        if payload.len() > MAX_PAYLOAD {
            let length = payload.len();
            return Err(Error::Availability(format!("payload of {length} bytes is above 16 MiB")));
        }
        let url = format!("{}/put?commitment_mode=standard", self.base);
        let payload = Bytes::from(payload);
        repeat(&self.retry, || async {
            let request = self
                .http
                .post(&url)
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(payload.0.clone());
            let response = answered(request).await?;
            match response.status() {
                StatusCode::OK => body(response, MAX_CERTIFICATE).await,
                // The proxy has tried for long already. It asks rollups to post elsewhere; a batch
                // has no elsewhere, so it waits for the stage's next attempt.
                StatusCode::SERVICE_UNAVAILABLE => Err(Failure::Final(format!(
                    "EigenDA is down, the blob is not published (503): {}",
                    quote(response).await
                ))),
                _ => Err(refusal(response).await),
            }
        })
        .await
    }

    /// The payload of a certificate, `None` if the proxy does not know the certificate.
    ///
    /// # Errors
    /// [`Error::Availability`] as for [`Self::put`], and if the certificate is provably bad.
    pub(super) async fn get(&self, certificate: &[u8]) -> Result<Option<Vec<u8>>> {
        let hex = alloy::hex::encode(certificate);
        let url = format!("{}/get/0x{hex}?commitment_mode=standard", self.base);
        repeat(&self.retry, || async {
            let response = answered(self.http.get(&url)).await?;
            match response.status() {
                StatusCode::OK => body(response, MAX_PAYLOAD).await.map(Some),
                StatusCode::NOT_FOUND => Ok(None),
                StatusCode::SERVICE_UNAVAILABLE => Err(again(response, "is down").await),
                _ => Err(refusal(response).await),
            }
        })
        .await
    }
}

async fn answered(request: RequestBuilder) -> std::result::Result<Response, Failure> {
    request.send().await.map_err(lost)
}

/// A failure of the connection. The URL is left out: it may hold a whole certificate.
fn lost(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let source = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
    Failure::Again { reason: format!("{error}{source}"), after: None }
}

/// What an answer that is neither 200 nor 503 means.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    match status {
        StatusCode::IM_A_TEAPOT => Failure::Final(format!(
            "the certificate is provably bad and its blob is lost (418): {}",
            quote(response).await
        )),
        StatusCode::TOO_MANY_REQUESTS => again(response, "limits the rate").await,
        StatusCode::REQUEST_TIMEOUT => again(response, "took too long").await,
        _ if status.is_server_error() => again(response, "failed").await,
        _ => Failure::Final(format!("eigenda-proxy refuses ({status}): {}", quote(response).await)),
    }
}

async fn again(response: Response, what: &str) -> Failure {
    let status = response.status();
    let after = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let quote = quote(response).await;
    Failure::Again { reason: format!("eigenda-proxy {what} ({status}): {quote}"), after }
}

/// Reads an answer of at most `limit` bytes.
async fn body(mut response: Response, limit: usize) -> std::result::Result<Vec<u8>, Failure> {
    let too_long = || Failure::Final(format!("eigenda-proxy answers more than {limit} bytes"));
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The beginning of an answer, as one line of text.
async fn quote(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_QUOTE
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_QUOTE - bytes.len())]);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

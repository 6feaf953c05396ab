//! Requests to a node, repeated over lost connections.

use std::time::{Duration, Instant};

use alloy::primitives::B256;
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::reader::{Reply, StreamReader};
use crate::{
    Error, Result,
    api::{
        answer::Quote,
        payment::{self, CHANNEL_HEADER, PAYMENT_HEADER},
    },
    voucher::SignedVoucher,
};

/// First and longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A node's HTTP API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeClient {
    http: reqwest::Client,
    base: String,
}

/// A refusal that repeating the same request does not change.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// The whole body.
    pub body: Value,
}

/// How an attempt failed.
#[derive(Debug)]
enum Failure {
    /// The connection, or the node behind it: worth another attempt.
    Lost(String),
    /// The node's decision.
    Refused(Box<Refused>),
    /// What this client does not accept.
    Wrong(Error),
}

impl NodeClient {
    /// A client of the node at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`Error::Remote`] if the HTTP client cannot be made.
    pub fn new(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .build()
            .map_err(|error| Error::Remote(error.to_string()))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    /// A GET answer as JSON, repeated until `deadline` while the node cannot be reached.
    ///
    /// # Errors
    /// [`Error::Remote`] if it is refused, is not JSON, or the deadline passes.
    pub async fn get(&self, path: &str, deadline: Duration) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let attempt = || async {
            let response = self.http.get(&url).send().await.map_err(lost)?;
            json_of(accepted(response).await?).await
        };
        repeat(deadline, attempt).await?.map_err(|refused| refused.into_error())
    }

    /// As [`Self::get`], with headers: names and values.
    ///
    /// # Errors
    /// As there.
    pub async fn get_with(
        &self,
        path: &str,
        headers: &[(&str, String)],
        deadline: Duration,
    ) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let attempt = || async {
            let request = self.http.get(&url);
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, value.as_str()));
            json_of(accepted(request.send().await.map_err(lost)?).await?).await
        };
        repeat(deadline, attempt).await?.map_err(|refused| refused.into_error())
    }

    /// A GET answer as text, repeated until `deadline` while the node cannot be reached.
    ///
    /// # Errors
    /// [`Error::Remote`] if it is refused, is not text, or the deadline passes.
    pub async fn text(&self, path: &str, deadline: Duration) -> Result<String> {
        let url = format!("{}{path}", self.base);
        let attempt = || async {
            let response = self.http.get(&url).send().await.map_err(lost)?;
            let bytes = bytes_of(accepted(response).await?).await?;
            String::from_utf8(bytes)
                .map_err(|error| Failure::Wrong(Error::Remote(format!("answer: {error}"))))
        };
        repeat(deadline, attempt).await?.map_err(|refused| refused.into_error())
    }

    /// What a request would cost: the fields of the 402 answer to it without a voucher.
    ///
    /// # Errors
    /// [`Error::Remote`] if it is refused for another reason, or the deadline passes.
    pub async fn quote(
        &self,
        path: &str,
        body: &[u8],
        channel: B256,
        deadline: Duration,
    ) -> Result<Quote> {
        let attempt = || async {
            let request = self.post(path, body).header(CHANNEL_HEADER, channel.to_string());
            let response = request.send().await.map_err(lost)?;
            if response.status() == StatusCode::PAYMENT_REQUIRED {
                return json_of(response).await;
            }
            accepted(response).await?;
            Err(Failure::Wrong(Error::Remote("the node answered without payment".into())))
        };
        let body = repeat(deadline, attempt).await?.map_err(|refused| refused.into_error())?;
        serde_json::from_value(body).map_err(|error| Error::Remote(format!("quote: {error}")))
    }

    /// Sends a paid request and reads its answer, plain or streamed.
    ///
    /// The same bytes and voucher are sent again when the connection or the node is lost, until
    /// `deadline`: the voucher's digest names the call, so it is charged at most once, and the
    /// answer, which its seed decides, is the same. `on_text` is given every piece of it once.
    ///
    /// # Errors
    /// The outer error is [`Error::Remote`]: the deadline passed, or an answer is malformed or
    /// differs between attempts. The inner one is the node's refusal.
    pub async fn call(
        &self,
        path: &str,
        body: &[u8],
        voucher: &SignedVoucher,
        deadline: Duration,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<std::result::Result<Reply, Refused>> {
        let payment = payment::encode(voucher);
        let mut reader = StreamReader::new(on_text);
        let started = Instant::now();
        let mut wait = BACKOFF.0;
        loop {
            let lost = match self.attempt(path, body, &payment, &mut reader, deadline).await {
                Ok(reply) => return Ok(Ok(reply)),
                Err(Failure::Refused(refused)) => return Ok(Err(*refused)),
                Err(Failure::Wrong(error)) => return Err(error),
                Err(Failure::Lost(cause)) => cause,
            };
            pause(started, deadline, &mut wait, lost).await?;
        }
    }

    async fn attempt(
        &self,
        path: &str,
        body: &[u8],
        payment: &str,
        reader: &mut StreamReader<'_>,
        deadline: Duration,
    ) -> std::result::Result<Reply, Failure> {
        let request = self.post(path, body).header(PAYMENT_HEADER, payment).timeout(deadline);
        let mut response = accepted(request.send().await.map_err(lost)?).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return reader.whole(&json_of(response).await?).map_err(Failure::Wrong);
        }
        reader.restart();
        while let Some(bytes) = response.chunk().await.map_err(lost)? {
            if let Some(reply) = reader.feed(&bytes).map_err(Failure::Wrong)? {
                return Ok(reply);
            }
            if let Some(cause) = reader.failure() {
                return Err(Failure::Lost(cause));
            }
        }
        Err(Failure::Lost("the stream ended before the answer did".into()))
    }

    fn post(&self, path: &str, body: &[u8]) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http.post(url).header("content-type", "application/json").body(body.to_vec())
    }
}

impl Refused {
    /// As an error of this crate.
    pub fn into_error(self) -> Error {
        Error::Remote(format!("{} {}: {}", self.status, self.code, self.message))
    }
}

fn lost(error: reqwest::Error) -> Failure {
    Failure::Lost(error.to_string())
}

/// The response if it is a success. Server errors are taken for a node that is not well just now.
async fn accepted(response: Response) -> std::result::Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    // So is one that names the time after which it may be asked again.
    if status.is_server_error() || response.headers().contains_key(RETRY_AFTER) {
        return Err(Failure::Lost(format!("the node answered {status}")));
    }
    let body = json_of(response).await?;
    let text = |field: &str| body["error"][field].as_str().unwrap_or_default().to_owned();
    let (code, message) = (text("code"), text("message"));
    Err(Failure::Refused(Box::new(Refused { status: status.as_u16(), code, message, body })))
}

async fn json_of(response: Response) -> std::result::Result<Value, Failure> {
    serde_json::from_slice(&bytes_of(response).await?)
        .map_err(|error| Failure::Wrong(Error::Remote(format!("answer: {error}"))))
}

async fn bytes_of(mut response: Response) -> std::result::Result<Vec<u8>, Failure> {
    let mut held = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(lost)? {
        held.extend_from_slice(&bytes);
        if held.len() > MAX_ANSWER_BYTES {
            let what = format!("the answer has over {MAX_ANSWER_BYTES} bytes");
            return Err(Failure::Wrong(Error::Remote(what)));
        }
    }
    Ok(held)
}

// Not an `AsyncFn`: whose future is `Send` cannot be said yet.
async fn repeat<T, F: Future<Output = std::result::Result<T, Failure>>>(
    deadline: Duration,
    attempt: impl Fn() -> F,
) -> Result<std::result::Result<T, Refused>> {
    let started = Instant::now();
    let mut wait = BACKOFF.0;
    loop {
        match attempt().await {
            Ok(value) => return Ok(Ok(value)),
            Err(Failure::Refused(refused)) => return Ok(Err(*refused)),
            Err(Failure::Wrong(error)) => return Err(error),
            Err(Failure::Lost(cause)) => pause(started, deadline, &mut wait, cause).await?,
        }
    }
}

async fn pause(
    started: Instant,
    deadline: Duration,
    wait: &mut Duration,
    cause: String,
) -> Result<()> {
    if started.elapsed() + *wait >= deadline {
        return Err(Error::Remote(format!("no answer within {deadline:?}: {cause}")));
    }
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(BACKOFF.1);
    Ok(())
}

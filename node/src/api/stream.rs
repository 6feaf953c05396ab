//! Answers as server-sent events, in the chunks of OpenAI's API.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures::{future::try_join_all, stream};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{completion, error::ApiError, request::Endpoint};
use crate::serving::{Admitted, Finished, Progress, Run, TokenLogprob};

/// Chunks that wait for a slow reader before generating waits too.
const BUFFER: usize = 32;
/// How long after a call's deadline its last chunks may take to be read.
const GRACE: Duration = Duration::from_secs(5);

/// What all chunks of a stream have in common.
#[derive(Clone, Debug)]
struct Head {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn of(admitted: &Admitted) -> Self {
        match admitted {
            Admitted::Again(finished) => Self {
                endpoint: finished.endpoint(),
                id: finished.id(),
                created: finished.created(),
                model: finished.answer.model.clone(),
            },
            Admitted::New(run) => Self {
                endpoint: run.call().endpoint,
                id: run.id(),
                created: run.created(),
                model: run.call().name.clone(),
            },
        }
    }

    fn chunk(&self, choices: Value) -> Value {
        let object = match self.endpoint {
            Endpoint::Chat => "chat.completion.chunk",
            Endpoint::Text | Endpoint::Embeddings => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// A choice's chunk; an answer that tells no probabilities has none in any chunk.
    fn choice(&self, index: usize, text: Option<&str>, end: Option<&str>, probs: Value) -> Value {
        let mut choice = match self.endpoint {
            Endpoint::Chat => {
                let delta = text.map_or_else(|| json!({}), |text| json!({ "content": text }));
                json!({ "index": index, "delta": delta, "finish_reason": end })
            }
            Endpoint::Text | Endpoint::Embeddings => {
                json!({ "index": index, "text": text.unwrap_or(""), "finish_reason": end })
            }
        };
        if !probs.is_null() {
            choice["logprobs"] = probs;
        }
        self.chunk(json!([choice]))
    }
}

/// One choice of a stream.
#[derive(Clone)]
struct Choice {
    head: Head,
    index: usize,
    /// Characters of tokens with probabilities so far.
    offset: usize,
    events: mpsc::Sender<Event>,
}

/// Why a stream ends early.
enum Cut {
    /// Nobody reads it.
    Left,
    /// A call failed.
    Failed(ApiError),
}

impl From<mpsc::error::SendError<Event>> for Cut {
    fn from(_: mpsc::error::SendError<Event>) -> Self {
        Self::Left
    }
}

impl Choice {
    async fn send(&self, chunk: Value) -> Result<(), Cut> {
        Ok(self.events.send(event(&chunk)).await?)
    }

    /// A chat's first chunk names the role.
    async fn open(&self) -> Result<(), Cut> {
        if self.head.endpoint != Endpoint::Chat {
            return Ok(());
        }
        let delta = json!({ "role": "assistant", "content": "" });
        let choice = json!({ "index": self.index, "delta": delta, "finish_reason": null });
        self.send(self.head.chunk(json!([choice]))).await
    }

    async fn text(&mut self, text: &str, tokens: Option<&[TokenLogprob]>) -> Result<(), Cut> {
        let probs = completion::logprobs(self.head.endpoint, tokens, self.offset);
        let told = tokens.unwrap_or_default().iter();
        self.offset += told.map(|one| completion::text(&one.token).chars().count()).sum::<usize>();
        self.send(self.head.choice(self.index, Some(text), None, probs)).await
    }

    /// The chunk with the reason for the end and the `openledger` field.
    async fn close(&self, finished: &Finished) -> Result<(), Cut> {
        let reason = finished.answer.finish.reason();
        let mut last = self.head.choice(self.index, None, Some(reason), Value::Null);
        last["openledger"] = finished.statement();
        self.send(last).await
    }

    /// Sends a recorded answer.
    async fn repeat(mut self, finished: Finished) -> Result<Finished, Cut> {
        self.open().await?;
        let (text, tokens) = (finished.answer.text.clone(), finished.answer.logprobs.clone());
        if !text.is_empty() {
            self.text(&text, tokens.as_deref()).await?;
        }
        self.close(&finished).await?;
        Ok(finished)
    }

    /// Sends a run's chunks until it ends or the caller is gone.
    async fn drive(mut self, mut run: Run) -> Result<Finished, Cut> {
        self.open().await?;
        let tells = run.call().request.logprobs;
        loop {
            match run.next().await.map_err(Cut::Failed)? {
                Progress::Text(text, tokens) => {
                    self.text(&text, tells.then_some(tokens.as_slice())).await?;
                }
                Progress::Finished(finished) => {
                    self.close(&finished).await?;
                    return Ok(*finished);
                }
            }
        }
    }
}

/// A stream of answers as they are generated, or of recorded ones. Runs end with the response's body,
/// which is when the caller goes away, and soon after their deadline, so that a caller that stops
/// reading cannot hold their places. `usage` adds a last chunk with the usage, as OpenAI's
/// `include_usage` has it.
pub(super) fn respond(admitted: Vec<Admitted>, usage: bool) -> Response {
    let (events, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let deadlines = admitted.iter().filter_map(|admitted| match admitted {
            Admitted::New(run) => Some(run.deadline()),
            Admitted::Again(_) => None,
        });
        let last = deadlines.max().unwrap_or_else(|| Instant::now() + 2 * GRACE) + GRACE;
        let closed = events.clone();
        tokio::select! {
            () = send(admitted, usage, events) => {}
            () = closed.closed() => {}
            () = sleep_until(last) => {}
        }
    });
    let events = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

async fn send(admitted: Vec<Admitted>, usage: bool, events: mpsc::Sender<Event>) {
    let Some(head) = admitted.first().map(Head::of) else { return };
    let choices = admitted.into_iter().enumerate().map(|(index, admitted)| {
        let choice = Choice { head: head.clone(), index, offset: 0, events: events.clone() };
        async move {
            match admitted {
                Admitted::Again(finished) => choice.repeat(*finished).await,
                Admitted::New(run) => choice.drive(*run).await,
            }
        }
    });
    let last = match try_join_all(choices).await {
        Err(Cut::Left) => return,
        // The status is sent by then, so the error takes the place of the rest of the answer.
        Err(Cut::Failed(error)) => Some(error.body()),
        Ok(finished) => usage.then(|| {
            let mut last = head.chunk(json!([]));
            last["usage"] = json!(completion::usage(&finished));
            last
        }),
    };
    // Whoever does not read it any more does not miss it.
    if let Some(last) = last {
        let _ = events.send(event(&last)).await;
    }
    let _ = events.send(Event::default().data("[DONE]")).await;
}

fn event(chunk: &Value) -> Event {
    Event::default().data(chunk.to_string())
}

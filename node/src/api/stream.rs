//! Answers as server-sent events, in the chunks of OpenAI's API.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, error::SendError};

use super::{error::ApiError, request::Endpoint};
use crate::serving::{Finished, Progress, Run};

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
    fn chunk(&self, choices: Value) -> Value {
        let object = match self.endpoint {
            Endpoint::Chat => "chat.completion.chunk",
            Endpoint::Text => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// A chat's first chunk names the role.
    fn opening(&self) -> Option<Value> {
        let delta = json!({ "role": "assistant", "content": "" });
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
        (self.endpoint == Endpoint::Chat).then(|| self.chunk(json!([choice])))
    }

    fn text(&self, text: &str) -> Value {
        self.chunk(json!([match self.endpoint {
            Endpoint::Chat => {
                json!({ "index": 0, "delta": { "content": text }, "finish_reason": null })
            }
            Endpoint::Text => json!({ "index": 0, "text": text, "finish_reason": null }),
        }]))
    }

    /// The chunk with the reason for the end and the `openledger` field, and the one with usage if
    /// it was asked for apart, as OpenAI's `include_usage` has it.
    fn closing(&self, finished: &Finished, include_usage: bool) -> Vec<Value> {
        let reason = finished.answer.finish.reason();
        let mut last = self.chunk(json!([match self.endpoint {
            Endpoint::Chat => json!({ "index": 0, "delta": {}, "finish_reason": reason }),
            Endpoint::Text => json!({ "index": 0, "text": "", "finish_reason": reason }),
        }]));
        last["openledger"] = json!(finished.statement());
        if !include_usage {
            return vec![last];
        }
        let mut usage = self.chunk(json!([]));
        usage["usage"] = json!(finished.usage());
        vec![last, usage]
    }
}

/// A stream of a recorded answer.
pub(super) fn repeat(finished: Finished, include_usage: bool) -> Response {
    let head = Head {
        endpoint: finished.endpoint(),
        id: finished.id(),
        created: finished.recorded.call.record.call().time,
        model: finished.answer.model.clone(),
    };
    let mut chunks: Vec<Value> = head.opening().into_iter().collect();
    if !finished.answer.text.is_empty() {
        chunks.push(head.text(&finished.answer.text));
    }
    chunks.extend(head.closing(&finished, include_usage));
    respond(stream::iter(chunks.into_iter().map(event)).chain(done()))
}

/// A stream of an answer as it is generated. The run ends with the response's body, which is when
/// the caller goes away, and soon after its deadline, so that a caller that stops reading cannot
/// hold its place.
pub(super) fn live(run: Run, include_usage: bool) -> Response {
    let head = Head {
        endpoint: run.call().endpoint,
        id: run.id(),
        created: run.created(),
        model: run.call().model.name.clone(),
    };
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let last = run.deadline() + GRACE;
        tokio::select! {
            _ = drive(run, head, include_usage, &sender) => {}
            () = sender.closed() => {}
            () = tokio::time::sleep_until(last) => {}
        }
    });
    respond(stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (event, receiver))
    }))
}

/// Sends a run's chunks until it ends or the caller is gone.
async fn drive(
    mut run: Run,
    head: Head,
    include_usage: bool,
    sender: &mpsc::Sender<Event>,
) -> Result<(), SendError<Event>> {
    if let Some(opening) = head.opening() {
        sender.send(event(opening)).await?;
    }
    loop {
        let chunks = match run.next().await {
            Ok(Progress::Text(text)) => {
                sender.send(event(head.text(&text))).await?;
                continue;
            }
            Ok(Progress::Finished(finished)) => head.closing(&finished, include_usage),
            Err(error) => vec![failure(&error)],
        };
        for chunk in chunks {
            sender.send(event(chunk)).await?;
        }
        return sender.send(Event::default().data("[DONE]")).await;
    }
}

/// The status is sent by then, so the error takes the place of the rest of the answer.
fn failure(error: &ApiError) -> Value {
    error.body()
}

fn event(chunk: Value) -> Event {
    Event::default().data(chunk.to_string())
}

fn done() -> impl Stream<Item = Event> + Send {
    stream::iter([Event::default().data("[DONE]")])
}

fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

//! Clients of an engine.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use inference::{
    adapter::AdapterSet,
    engine::{EngineHandle, Event, Request},
    sampler::Sampling,
};
use tokio::sync::mpsc::Receiver;

use super::Failure;

/// How a request was served.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) tokens: Vec<u32>,
    /// Seconds until the first token.
    pub(crate) first: f64,
}

/// A greedy request.
pub(crate) fn request(prompt: &[u32], adapters: AdapterSet, max_tokens: usize) -> Request {
    let sampling = Sampling { max_tokens, ..Sampling::default() };
    Request { prompt: prompt.to_vec(), adapters, sampling, ..Request::default() }
}

/// Reads an answer to its end. `since` is when the client wanted it.
pub(crate) fn read(mut events: Receiver<Event>, since: Instant) -> Result<Served, Failure> {
    let mut first = None;
    loop {
        match events.blocking_recv() {
            Some(Event::Token { .. }) => {
                first.get_or_insert_with(|| since.elapsed().as_secs_f64());
            }
            Some(Event::Finished { answer, .. }) => {
                let first = first.ok_or("an answer without tokens")?;
                return Ok(Served { tokens: answer.completion, first });
            }
            other => return Err(format!("not served: {other:?}").into()),
        }
    }
}

/// Serves requests that come all at once. Returns them in order, and the seconds until the last end.
pub(crate) fn together(
    engine: &EngineHandle,
    requests: Vec<Request>,
) -> Result<(Vec<Served>, f64), Failure> {
    let start = Instant::now();
    let events: Vec<_> =
        requests.into_iter().map(|request| engine.submit(request)).collect::<Result<_, _>>()?;
    let served = std::thread::scope(|scope| {
        let clients: Vec<_> =
            events.into_iter().map(|events| scope.spawn(move || read(events, start))).collect();
        clients.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    Ok((served, start.elapsed().as_secs_f64()))
}

/// `clients` that each ask for the next of `requests` when they have their answer. Returns answers in
/// order of `requests`, and the seconds until the last end.
pub(crate) fn in_turn(
    engine: &EngineHandle,
    requests: &[Request],
    clients: usize,
) -> Result<(Vec<Served>, f64), Failure> {
    let start = Instant::now();
    let served = spread(clients, requests.len(), |index| {
        let since = Instant::now();
        read(engine.submit(requests[index].clone())?, since)
    })?;
    Ok((served, start.elapsed().as_secs_f64()))
}

/// Requests that come at their times, whatever became of earlier ones; at most 256 at once. The time
/// to the first token counts from then, even if the client was late.
pub(crate) fn at_times(
    engine: &EngineHandle,
    requests: &[(Duration, Request)],
) -> Result<Vec<Served>, Failure> {
    let start = Instant::now();
    spread(256, requests.len(), |index| {
        let (at, request) = &requests[index];
        let since = start + *at;
        std::thread::sleep(since.saturating_duration_since(Instant::now()));
        read(engine.submit(request.clone())?, since)
    })
}

/// Does `work` for `0..count` on threads that take the next index each, and returns what it gave in
/// order.
fn spread<T: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let next = AtomicUsize::new(0);
    let take = || -> Result<Vec<(usize, T)>, Failure> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            done.push((index, work(index)?));
        }
    };
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(count)).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let mut all: Vec<(usize, T)> = parts.into_iter().flatten().collect();
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, value)| value).collect())
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| "a client panicked")?
}

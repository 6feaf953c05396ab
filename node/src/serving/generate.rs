//! One call on the engine.

use inference::{
    engine::{Answer, EngineHandle, Event, FinishReason, Request},
    sampler::Sampling,
};
use tokio::sync::mpsc;

use super::Finish;
use crate::{Error, Result, api::request, catalog::ServedModel};

/// What a payer's signature fixes of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bought {
    pub(crate) seed: u64,
    pub(crate) max_tokens: u64,
}

/// A call that the engine generates. Dropping it takes the call out of the engine's batch.
#[derive(Debug)]
pub(crate) struct Generation {
    events: mpsc::Receiver<Event>,
}

/// What the engine gives.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More of the answer; not empty.
    Text(String),
    /// The answer's end.
    End(Generated),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Every generated token, with the one that ended the answer.
    pub(crate) tokens: Vec<u32>,
    /// Its text, without a stop text.
    pub(crate) text: String,
    pub(crate) finish: Finish,
}

impl Generation {
    /// Queues a call with the seed and the number of tokens that its payer signed.
    ///
    /// # Errors
    /// [`Error::Inference`] if the engine's queue is full, it has stopped, or the request is out of
    /// its bounds.
    pub(crate) fn start(
        engine: &EngineHandle,
        model: &ServedModel,
        prompt: Vec<u32>,
        wanted: &request::Sampling,
        bought: Bought,
    ) -> Result<Self> {
        let sampling = Sampling {
            temperature: wanted.temperature,
            top_k: wanted.top_k,
            top_p: wanted.top_p,
            seed: bought.seed,
            stop: wanted.stop.clone(),
            max_tokens: usize::try_from(bought.max_tokens).unwrap_or(usize::MAX),
            ..Sampling::default()
        };
        let adapters = model.adapter_set();
        let request = Request { prompt, adapters, sampling, ..Request::default() };
        Ok(Self { events: engine.submit(request)? })
    }

    /// The next piece with text, or the end.
    ///
    /// # Errors
    /// [`Error::Inference`] or [`Error::Stopped`] if the engine gave the call up.
    pub(crate) async fn next(&mut self) -> Result<Piece> {
        loop {
            match self.events.recv().await {
                Some(Event::Token { text, .. }) if text.is_empty() => {}
                Some(Event::Token { text, .. }) => return Ok(Piece::Text(text)),
                Some(Event::Finished { reason, answer }) => {
                    let finish = match reason {
                        FinishReason::EndOfText | FinishReason::StopString => Finish::Stop,
                        FinishReason::Length => Finish::Length,
                    };
                    let Answer { completion: tokens, text, .. } = answer;
                    return Ok(Piece::End(Generated { tokens, text, finish }));
                }
                Some(Event::Expired { .. }) => {
                    let reason = "the deadline passed".to_owned();
                    return Err(Error::Inference(inference::Error::Request(reason)));
                }
                Some(Event::Failed { reason }) => {
                    return Err(Error::Inference(inference::Error::Request(reason)));
                }
                None => return Err(Error::Stopped("engine")),
            }
        }
    }
}

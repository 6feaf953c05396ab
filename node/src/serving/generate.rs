//! One call on the engine.

use inference::{
    engine::{Event, FinishReason, Request},
    sampler::Sampling,
};
use tokio::sync::mpsc;

use super::{Finish, Prepared, ServingParts};
use crate::{Error, Result, voucher::Call};

/// A call that the engine generates. Dropping it takes the call out of the engine's batch.
#[derive(Debug)]
pub(super) struct Generation {
    events: mpsc::Receiver<Event>,
}

/// What the engine gives.
#[derive(Debug)]
pub(super) enum Piece {
    /// More of the answer; not empty.
    Text(String),
    /// The answer's end.
    End(Generated),
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Generated {
    /// Every generated token, with the one that ended the answer.
    pub(super) tokens: Vec<u32>,
    /// Its text, without a stop text.
    pub(super) text: String,
    pub(super) finish: Finish,
}

impl Generation {
    /// Queues a call with the seed and the number of tokens that its payer signed.
    ///
    /// # Errors
    /// [`Error::Inference`] if the engine's queue is full, it has stopped, or the request is out of
    /// its bounds.
    pub(super) fn start(parts: &ServingParts, call: &Prepared, bought: &Call) -> Result<Self> {
        let wanted = &call.request.sampling;
        let sampling = Sampling {
            temperature: wanted.temperature,
            top_k: wanted.top_k,
            top_p: wanted.top_p,
            seed: bought.seed,
            stop: wanted.stop.clone(),
            max_tokens: usize::try_from(bought.maxTokens).unwrap_or(usize::MAX),
        };
        let adapters = call.model.adapter_set();
        let request = Request { prompt: call.prompt.clone(), adapters, sampling };
        Ok(Self { events: parts.engine.submit(request)? })
    }

    /// The next piece with text, or the end.
    ///
    /// # Errors
    /// [`Error::Inference`] or [`Error::Stopped`] if the engine gave the call up.
    pub(super) async fn next(&mut self) -> Result<Piece> {
        loop {
            match self.events.recv().await {
                Some(Event::Token { text, .. }) if text.is_empty() => {}
                Some(Event::Token { text, .. }) => return Ok(Piece::Text(text)),
                Some(Event::Finished { reason, completion, text, .. }) => {
                    let finish = match reason {
                        FinishReason::EndOfText | FinishReason::StopString => Finish::Stop,
                        FinishReason::Length => Finish::Length,
                    };
                    return Ok(Piece::End(Generated { tokens: completion, text, finish }));
                }
                Some(Event::Failed { reason }) => {
                    return Err(Error::Inference(inference::Error::Request(reason)));
                }
                None => return Err(Error::Stopped("engine")),
            }
        }
    }
}

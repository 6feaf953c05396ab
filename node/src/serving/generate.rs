//! One call on the engine.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use inference::{
    adapter::AdapterSet,
    engine::{EngineHandle, Event, FinishReason, Request},
    sampler::Sampling,
    tokenizer::Tokenizer,
};
use tokio::{sync::mpsc, time::Instant};

use super::{Finish, Understood};
use crate::{Error, Result};

/// What a payer's signature fixes of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bought {
    pub(crate) seed: u64,
    pub(crate) max_tokens: u64,
}

/// What is asked of the engine.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) understood: Understood,
    pub(crate) adapters: AdapterSet,
    pub(crate) sampling: &'a Sampling,
    pub(crate) logprobs: bool,
    pub(crate) bought: Bought,
    /// Who asks: callers take turns and share no cached prompts.
    pub(crate) tenant: u64,
    pub(crate) deadline: Option<Instant>,
}

/// A call that the engine generates. Dropping it takes the call out of the engine's batch.
#[derive(Debug)]
pub(crate) struct Generation {
    events: mpsc::Receiver<Event>,
    /// For a call that asks for probabilities: who writes tokens down, and what came so far.
    tokenizer: Option<Arc<Tokenizer>>,
    logprobs: Vec<TokenLogprob>,
}

/// The probability of a token.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Likelihood {
    /// The token's bytes; none for a special token.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability under the model.
    pub logprob: f32,
}

/// The probability of a token of an answer, and of the likeliest in its place.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct TokenLogprob {
    /// The token.
    pub token: Likelihood,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<Likelihood>,
}

/// What the engine gives.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More of the answer, with the tokens that it came with; not both empty.
    Text(String, Vec<TokenLogprob>),
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
    /// Of every token that stands for text, if they were asked for.
    pub(crate) logprobs: Option<Vec<TokenLogprob>>,
}

impl Generation {
    /// Queues a call with the seed and the number of tokens that its payer signed.
    ///
    /// # Errors
    /// [`Error::Inference`] if the engine's queue is full, it has stopped, or the request is out of
    /// its bounds.
    pub(crate) fn start(engine: &EngineHandle, asked: Asked<'_>) -> Result<Self> {
        let Asked { understood, adapters, sampling, logprobs, bought, tenant, deadline } = asked;
        let sampling = Sampling {
            seed: bought.seed,
            max_tokens: usize::try_from(bought.max_tokens).unwrap_or(usize::MAX),
            ..sampling.clone()
        };
        let deadline = deadline.map(Instant::into_std);
        let prompt = understood.prompt;
        let request = Request { prompt, adapters, sampling, tenant, salt: tenant, deadline };
        let events = match understood.mask {
            Some(mask) => engine.submit_masked(request, mask)?,
            None => engine.submit(request)?,
        };
        let tokenizer = logprobs.then(|| Arc::clone(engine.tokenizer()));
        Ok(Self { events, tokenizer, logprobs: Vec::new() })
    }

    /// The next piece with text, or the end.
    ///
    /// # Errors
    /// [`Error::Expired`] if the deadline passed, [`Error::Generation`] or [`Error::Stopped`] if the
    /// engine gave the call up.
    pub(crate) async fn next(&mut self) -> Result<Piece> {
        loop {
            match self.events.recv().await {
                Some(Event::Token { id, text, logprob, top }) => {
                    let token = self.note(id, logprob, &top);
                    if !text.is_empty() || token.is_some() {
                        return Ok(Piece::Text(text, token.into_iter().collect()));
                    }
                }
                Some(Event::Finished { reason, answer }) => {
                    let finish = match reason {
                        FinishReason::EndOfText | FinishReason::StopString => Finish::Stop,
                        FinishReason::Length => Finish::Length,
                    };
                    return Ok(Piece::End(Generated {
                        tokens: answer.completion,
                        text: answer.text,
                        finish,
                        logprobs: self.tokenizer.as_ref().map(|_| self.logprobs.split_off(0)),
                    }));
                }
                Some(Event::Expired { .. }) => return Err(Error::Expired),
                Some(Event::Failed { reason }) => return Err(Error::Generation(reason)),
                None => return Err(Error::Stopped("engine")),
            }
        }
    }

    /// Keeps a token's probability if the call asks for it.
    fn note(&mut self, id: u32, logprob: f32, top: &[(u32, f32)]) -> Option<TokenLogprob> {
        let tokenizer = self.tokenizer.as_ref()?;
        // A token that ends the answer stands for no text.
        if tokenizer.token_bytes(id).is_empty() {
            return None;
        }
        let likelihood = |(id, logprob): (u32, f32)| Likelihood {
            bytes: tokenizer.token_bytes(id).to_vec(),
            logprob,
        };
        let top = top.iter().copied().map(likelihood).collect();
        let noted = TokenLogprob { token: likelihood((id, logprob)), top };
        self.logprobs.push(noted.clone());
        Some(noted)
    }
}

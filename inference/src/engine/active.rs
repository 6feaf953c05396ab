//! A request that waits or runs.

use std::time::Instant;

use tokio::sync::mpsc;

use super::{
    Answer, Event, FinishReason, Request,
    mailbox::{Job, Outlet},
    stats::EngineStats,
    text::AnswerText,
};
use crate::{
    Result,
    sampler::{Sampled, Sampler},
    scheduler::NewSequence,
    tokenizer::Tokenizer,
};

pub(super) struct Active {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tenant: u64,
    pub(super) deadline: Option<Instant>,
    pub(super) submitted: Instant,
    /// When it started, and when its last token came.
    pub(super) started: Option<Instant>,
    last_token: Option<Instant>,
    sampler: Sampler,
    text: AnswerText,
    stop_tokens: Vec<u32>,
    max_tokens: usize,
    prompt_tokens: usize,
    pub(super) cached_tokens: usize,
    completion: Vec<u32>,
}

impl Active {
    /// The answers that a request wants, and the sequence that each of them is.
    pub(super) fn of(job: Job) -> (Vec<Self>, NewSequence) {
        let Job { mut request, answers, submitted } = job;
        let mut active = Vec::with_capacity(answers.len());
        for outlet in answers {
            active.push(Self::new(&request, outlet, submitted));
            request.sampling.seed = request.sampling.seed.wrapping_add(1);
        }
        let sequence = NewSequence {
            prompt: request.prompt,
            max_tokens: request.sampling.max_tokens,
            adapters: request.adapters,
            tenant: request.tenant,
            salt: request.salt,
        };
        (active, sequence)
    }

    fn new(request: &Request, outlet: Outlet, submitted: Instant) -> Self {
        let Request { prompt, sampling, tenant, deadline, .. } = request;
        Self {
            events: outlet.events,
            tenant: *tenant,
            deadline: *deadline,
            submitted,
            started: None,
            last_token: None,
            sampler: Sampler::new(sampling, prompt, outlet.mask),
            text: AnswerText::new(sampling.stop.clone()),
            stop_tokens: sampling.stop_tokens.clone(),
            max_tokens: sampling.max_tokens,
            prompt_tokens: prompt.len(),
            cached_tokens: 0,
            completion: Vec::new(),
        }
    }

    /// Samples the next token and tells the receiver. Returns it, and why the answer ends with it.
    pub(super) fn advance(
        &mut self,
        logits: &[f32],
        ends: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<(u32, Option<FinishReason>)> {
        let Sampled { token, logprob, top } = self.sampler.sample(logits)?;
        self.completion.push(token);
        let stop_token = self.stop_tokens.contains(&token);
        let (mut text, stopped) =
            if stop_token { Default::default() } else { self.text.push(tokenizer, token) };
        let reason = if stopped {
            Some(FinishReason::StopString)
        } else if stop_token || ends.contains(&token) || self.sampler.is_complete() {
            Some(FinishReason::EndOfText)
        } else if self.completion.len() == self.max_tokens {
            Some(FinishReason::Length)
        } else {
            None
        };
        if reason.is_some() && !stopped {
            text.push_str(&self.text.finish());
        }
        // A receiver that is gone is noticed before the next step.
        let _ = self.events.try_send(Event::Token { id: token, text, logprob, top });
        Ok((token, reason))
    }

    /// Counts a token that has come.
    pub(super) fn observe(&mut self, now: Instant, stats: &mut EngineStats) {
        let since = |then: Instant| now.saturating_duration_since(then).as_secs_f64();
        match self.last_token.replace(now) {
            None => stats.time_to_first_token.observe(since(self.submitted)),
            Some(last) => stats.time_between_tokens.observe(since(last)),
        }
        stats.generated += 1;
    }

    fn into_answer(self) -> (mpsc::Sender<Event>, Answer) {
        let Self { events, text, prompt_tokens, cached_tokens, completion, .. } = self;
        let text = text.into_shown();
        (events, Answer { prompt_tokens, cached_tokens, completion, text })
    }

    pub(super) fn finish(self, reason: FinishReason) {
        let (events, answer) = self.into_answer();
        let _ = events.try_send(Event::Finished { reason, answer });
    }

    pub(super) fn expire(self) {
        let (events, answer) = self.into_answer();
        let _ = events.try_send(Event::Expired { answer });
    }

    pub(super) fn fail(self, reason: &str) {
        // The channel has room for it; a receiver that is gone does not care.
        let _ = self.events.try_send(Event::Failed { reason: reason.to_owned() });
    }
}

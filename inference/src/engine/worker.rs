//! The engine's thread.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::{Device, Tensor};
use tokio::sync::mpsc;

use super::{Event, FinishReason, Job, Mailbox, text::AnswerText};
use crate::{
    Result,
    adapter::AdapterLease,
    kv::KvPool,
    layers::lora::{GroupedDelta, Sites},
    model::Decoder,
    sampler::{Sampled, Sampler},
    scheduler::{NewSequence, Part, Plan, Scheduler, SequenceId},
    step::{SlotId, Step},
    tokenizer::Tokenizer,
};

/// Owner of all state that changes from step to step.
pub(super) struct Worker {
    decoder: Arc<Decoder>,
    tokenizer: Arc<Tokenizer>,
    scheduler: Scheduler,
    kv: KvPool,
    active: BTreeMap<SequenceId, Active>,
    mailbox: Arc<Mailbox>,
}

/// A request that waits or runs.
struct Active {
    events: mpsc::Sender<Event>,
    /// Pins its adapters in their slots.
    leases: Vec<AdapterLease>,
    sampler: Sampler,
    text: AnswerText,
    max_tokens: usize,
    prompt_tokens: usize,
    completion: Vec<u32>,
}

/// Lets no request wait for a worker that is gone.
struct StopOnExit(Arc<Mailbox>);

impl Drop for StopOnExit {
    fn drop(&mut self) {
        let mut inbox = self.0.inbox();
        inbox.stopping = true;
        inbox.jobs.clear();
    }
}

impl Worker {
    pub(super) fn new(
        decoder: Arc<Decoder>,
        tokenizer: Arc<Tokenizer>,
        scheduler: Scheduler,
        kv_tokens: usize,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        let spec = decoder.spec();
        let kv =
            KvPool::new(spec.layers, spec.attention.kv_heads * spec.attention.head_dim, kv_tokens);
        Self { decoder, tokenizer, scheduler, kv, active: BTreeMap::new(), mailbox }
    }

    /// Serves until the engine is stopped and nothing runs any more.
    pub(super) fn run(mut self) {
        let _guard = StopOnExit(Arc::clone(&self.mailbox));
        while self.receive() {
            self.drop_cancelled();
            let plan = self.scheduler.plan(&mut self.kv);
            self.note(plan.as_ref());
            if let Some(plan) = plan {
                self.step(&plan);
            }
        }
        tracing::debug!(target: "inference::engine", "stopped");
    }

    fn note(&self, plan: Option<&Plan>) {
        let mut inbox = self.mailbox.inbox();
        inbox.waiting = self.scheduler.waiting();
        if let Some(plan) = plan {
            inbox.stats.count(&plan.step, plan.sequences.len());
        }
    }

    /// Takes new requests in, waiting for one if there is nothing to do. False when it is time to
    /// end.
    fn receive(&mut self) -> bool {
        let mailbox = Arc::clone(&self.mailbox);
        let mut inbox = mailbox.inbox();
        while inbox.jobs.is_empty() && self.active.is_empty() && !inbox.stopping {
            inbox = mailbox.changed.wait(inbox).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let stopping = inbox.stopping;
        let jobs = std::mem::take(&mut inbox.jobs);
        for job in jobs {
            if stopping {
                fail(&job.events, "the engine is shutting down");
            } else {
                self.accept(job);
            }
        }
        inbox.waiting = self.scheduler.waiting();
        drop(inbox);
        if stopping {
            self.fail_waiting();
        }
        !(stopping && self.active.is_empty())
    }

    fn accept(&mut self, job: Job) {
        let Job { request, leases, events } = job;
        let part = |lease: &AdapterLease| Part {
            slot: lease.slot(),
            rank: lease.adapter().rank(),
            scale: lease.weight(),
        };
        let active = Active {
            sampler: Sampler::new(&request.sampling),
            text: AnswerText::new(request.sampling.stop),
            max_tokens: request.sampling.max_tokens,
            prompt_tokens: request.prompt.len(),
            completion: Vec::new(),
            events,
            leases,
        };
        let parts = active.leases.iter().map(part).collect();
        let (prompt, max_tokens) = (request.prompt, active.max_tokens);
        match self.scheduler.submit(NewSequence { prompt, max_tokens, parts }) {
            Ok(id) => {
                self.active.insert(id, active);
            }
            Err(error) => fail(&active.events, &error.to_string()),
        }
    }

    fn remove(&mut self, id: SequenceId) -> Option<Active> {
        self.scheduler.remove(id);
        self.active.remove(&id)
    }

    fn drop_cancelled(&mut self) {
        let closed = self.active.iter().filter(|(_, active)| active.events.is_closed());
        for id in closed.map(|(id, _)| *id).collect::<Vec<_>>() {
            tracing::debug!(target: "inference::engine", sequence = id.0, "cancelled");
            self.remove(id);
        }
    }

    fn fail_waiting(&mut self) {
        let waiting: Vec<SequenceId> =
            self.active.keys().copied().filter(|id| !self.scheduler.is_running(*id)).collect();
        for id in waiting {
            if let Some(active) = self.remove(id) {
                fail(&active.events, "the engine is shutting down");
            }
        }
    }

    fn step(&mut self, plan: &Plan) {
        // The step runs on a thread of rayon's: from there its many small parallel loops are taken up
        // directly, from here each would put this thread to sleep.
        match rayon::scope(|_| self.forward(plan)) {
            Ok(logits) => {
                for (id, logits) in plan.sampled.iter().zip(&logits) {
                    self.advance(*id, logits);
                }
            }
            // The caches of the step's sequences may hold part of it, so none of them can go on.
            Err(error) => {
                tracing::error!(target: "inference::engine", %error, "step failed");
                for id in &plan.sequences {
                    if let Some(active) = self.remove(*id) {
                        fail(&active.events, &error.to_string());
                    }
                }
            }
        }
    }

    fn forward(&mut self, plan: &Plan) -> Result<Vec<Vec<f32>>> {
        let leases = plan.sequences.iter().flat_map(|id| &self.active[id].leases);
        let slots: BTreeMap<SlotId, Arc<Sites>> =
            leases.map(|lease| (lease.slot(), Arc::clone(lease.adapter().sites()))).collect();
        let delta =
            GroupedDelta::new(&plan.step.segments, |segment| slots.get(&segment.slot).cloned())?;
        let hidden = self.decoder.forward(&plan.step, Some(&mut self.kv), &delta)?;
        wanted_logits(&self.decoder, &plan.step, &hidden)
    }

    /// Samples the next token of a sequence and tells its receiver.
    fn advance(&mut self, id: SequenceId, logits: &[f32]) {
        let Some(active) = self.active.get_mut(&id) else { return };
        let ends = &self.decoder.spec().eos;
        match active.advance(logits, ends, &self.tokenizer) {
            Ok((token, None)) => self.scheduler.append(id, token),
            Ok((_, Some(reason))) => {
                if let Some(active) = self.remove(id) {
                    active.finish(reason);
                }
            }
            Err(error) => {
                if let Some(active) = self.remove(id) {
                    fail(&active.events, &error.to_string());
                }
            }
        }
    }
}

/// Logits of the step's wanted tokens, in their order.
fn wanted_logits(decoder: &Decoder, step: &Step, hidden: &Tensor) -> Result<Vec<Vec<f32>>> {
    if step.wanted.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<u32> = step.wanted.iter().map(|&token| token as u32).collect();
    let wanted = Tensor::from_vec(wanted, step.wanted.len(), &Device::Cpu)?;
    Ok(decoder.logits(&hidden.index_select(&wanted, 0)?)?.to_vec2::<f32>()?)
}

impl Active {
    fn advance(
        &mut self,
        logits: &[f32],
        ends: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<(u32, Option<FinishReason>)> {
        let Sampled { token, logprob } = self.sampler.sample(logits)?;
        self.completion.push(token);
        let (mut text, stopped) = self.text.push(tokenizer, token);
        let reason = if stopped {
            Some(FinishReason::StopString)
        } else if ends.contains(&token) {
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
        let _ = self.events.try_send(Event::Token { id: token, text, logprob });
        Ok((token, reason))
    }

    fn finish(self, reason: FinishReason) {
        let Self { events, text, prompt_tokens, completion, .. } = self;
        let text = text.into_shown();
        let _ = events.try_send(Event::Finished { reason, prompt_tokens, completion, text });
    }
}

fn fail(events: &mpsc::Sender<Event>, reason: &str) {
    // The channel has room for it; a receiver that is gone does not care.
    let _ = events.try_send(Event::Failed { reason: reason.to_owned() });
}

//! The engine's thread.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{
    FinishReason,
    active::Active,
    adapters::Leases,
    compute::Compute,
    mailbox::{Job, Mailbox},
    stats::EngineStats,
};
use crate::{
    Result,
    adapter::AdapterStore,
    kv::KvPool,
    layers::with_values,
    model::Decoder,
    scheduler::{Adapters, Plan, Planned, Scheduler, SequenceId},
    tokenizer::Tokenizer,
};

/// How long the worker waits while no request can advance, before it looks for those that were
/// cancelled.
const IDLE: Duration = Duration::from_millis(20);
/// How long it waits while there are no requests; anything that comes ends the wait.
const EMPTY: Duration = Duration::from_secs(3600);
/// Logits below which a second thread for sampling costs more than it gains.
const SERIAL_LOGITS: usize = 1 << 16;

/// Owner of all state that changes from step to step.
pub(super) struct Worker {
    decoder: Arc<Decoder>,
    compute: Compute,
    tokenizer: Arc<Tokenizer>,
    scheduler: Scheduler,
    kv: KvPool,
    leases: Leases,
    active: BTreeMap<SequenceId, Active>,
    mailbox: Arc<Mailbox>,
    stats: EngineStats,
    /// Tenants of requests that have left the queue since the last note.
    left: Vec<u64>,
    last_start: Instant,
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
        compute: Compute,
        tokenizer: Arc<Tokenizer>,
        scheduler: Scheduler,
        kv: KvPool,
        store: AdapterStore,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            decoder,
            compute,
            tokenizer,
            scheduler,
            kv,
            leases: Leases::new(store, &mailbox),
            active: BTreeMap::new(),
            mailbox,
            stats: EngineStats::default(),
            left: Vec::new(),
            last_start: Instant::now(),
        }
    }

    /// Serves until the engine is stopped and nothing runs any more.
    pub(super) fn run(mut self) {
        let _guard = StopOnExit(Arc::clone(&self.mailbox));
        let mut idle = true;
        while self.receive(idle) {
            let now = Instant::now();
            self.drop_cancelled(now);
            let planned = self.scheduler.plan(&mut self.kv, &mut self.leases, now);
            idle = planned.plan.is_none() && planned.refused.is_empty();
            let plan = self.note(planned, now);
            if let Some(plan) = plan {
                self.step(&plan);
            }
        }
        tracing::debug!(target: "inference::engine", "stopped");
    }

    /// Takes new requests in; waits for them, for adapters and for deadlines if nothing can advance.
    /// False when it is time to end.
    fn receive(&mut self, idle: bool) -> bool {
        let mailbox = Arc::clone(&self.mailbox);
        let mut inbox = mailbox.inbox();
        if idle && inbox.jobs.is_empty() && !inbox.stopping && !inbox.woken {
            inbox = mailbox.wait(inbox, if self.active.is_empty() { EMPTY } else { IDLE });
        }
        inbox.woken = false;
        let stopping = inbox.stopping;
        let jobs = std::mem::take(&mut inbox.jobs);
        drop(inbox);
        for job in jobs {
            self.accept(job, stopping);
        }
        if stopping {
            self.fail_waiting();
        }
        !(stopping && self.active.is_empty())
    }

    fn accept(&mut self, job: Job, stopping: bool) {
        let (answers, sequence) = Active::of(job);
        let accepted = if stopping {
            Err("the engine is shutting down".to_owned())
        } else {
            let ids = self.scheduler.submit_n(sequence, answers.len());
            ids.map_err(|error| error.to_string())
        };
        match accepted {
            Ok(ids) => self.active.extend(ids.into_iter().zip(answers)),
            Err(reason) => {
                for active in answers {
                    self.left.push(active.tenant);
                    active.fail(&reason);
                }
            }
        }
    }

    /// Tells handles what has changed, and counts.
    fn note(&mut self, planned: Planned, now: Instant) -> Option<Plan> {
        let Planned { plan, started, refused } = planned;
        for (id, shared) in &started {
            let Some(active) = self.active.get_mut(id) else { continue };
            active.started = Some(now);
            active.cached_tokens = *shared;
            self.left.push(active.tenant);
            let waited = now.saturating_duration_since(active.submitted);
            self.stats.queue_time.observe(waited.as_secs_f64());
        }
        for (id, error) in refused {
            if let Some(active) = self.remove(id) {
                self.stats.failed += 1;
                active.fail(&error.to_string());
            }
        }
        if let Some(plan) = &plan {
            self.stats.count(&plan.step, plan.sequences.len());
        }
        self.stats.scheduler = self.scheduler.counters();
        self.stats.waiting = self.scheduler.waiting();
        self.stats.running = self.scheduler.running();
        self.stats.blocks = self.kv.tokens() / crate::kv::BLOCK_TOKENS;
        self.stats.free_blocks = self.kv.available();
        self.stats.shared_blocks = self.kv.registered();
        let mut inbox = self.mailbox.inbox();
        self.left.drain(..).for_each(|tenant| inbox.left(tenant));
        if !started.is_empty() {
            if self.stats.waiting > 0 {
                let seconds = now.saturating_duration_since(self.last_start).as_secs_f64();
                inbox.started(started.len(), seconds);
            }
            self.last_start = now;
        }
        inbox.stats = self.stats;
        plan
    }

    fn remove(&mut self, id: SequenceId) -> Option<Active> {
        self.scheduler.remove(id);
        self.leases.release(id);
        let active = self.active.remove(&id)?;
        if active.started.is_none() {
            self.left.push(active.tenant);
        }
        Some(active)
    }

    /// Ends requests that nobody waits for any more.
    fn drop_cancelled(&mut self, now: Instant) {
        let expired = |active: &Active| active.deadline.is_some_and(|deadline| deadline <= now);
        let over: Vec<SequenceId> = self
            .active
            .iter()
            .filter(|(_, active)| active.events.is_closed() || expired(active))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            let Some(active) = self.remove(id) else { continue };
            if active.events.is_closed() {
                tracing::debug!(target: "inference::engine", sequence = id.0, "cancelled");
                self.stats.cancelled += 1;
            } else {
                self.stats.expired += 1;
                active.expire();
            }
        }
    }

    fn fail_waiting(&mut self) {
        let waiting: Vec<SequenceId> =
            self.active.keys().copied().filter(|id| !self.scheduler.is_running(*id)).collect();
        for id in waiting {
            if let Some(active) = self.remove(id) {
                active.fail("the engine is shutting down");
            }
        }
    }

    fn step(&mut self, plan: &Plan) {
        // The step runs on a thread of rayon's: from there its many small parallel loops are taken up
        // directly, from here each would put this thread to sleep.
        match rayon::scope(|_| self.forward(plan)) {
            Ok(ends) => {
                let now = Instant::now();
                for (id, end) in ends {
                    self.advance(id, end, now);
                }
            }
            // The caches of the step's sequences may hold part of it, so none of them can go on.
            Err(error) => {
                tracing::error!(target: "inference::engine", %error, "step failed");
                for id in &plan.sequences {
                    if let Some(active) = self.remove(*id) {
                        self.stats.failed += 1;
                        active.fail(&error.to_string());
                    }
                }
            }
        }
    }

    /// Computes a step and samples. Returns what was sampled.
    fn forward(&mut self, plan: &Plan) -> Result<Vec<(SequenceId, Sampled)>> {
        let hidden = self.compute.forward(plan, &mut self.kv, &self.leases)?;
        self.scheduler.computed(plan, &mut self.kv);
        if plan.sampled.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<u32> = plan.step.wanted.iter().map(|&token| token as u32).collect();
        let wanted = Tensor::from_vec(wanted, plan.sampled.len(), &Device::Cpu)?;
        let logits = self.compute.logits(&hidden.index_select(&wanted, 0)?)?;
        Ok(with_values(&logits, |logits| self.sample(&plan.sampled, logits))?)
    }

    /// Samples the next token of each sequence from its row of `logits`.
    fn sample(&mut self, sequences: &[SequenceId], logits: &[f32]) -> Vec<(SequenceId, Sampled)> {
        let vocab = logits.len() / sequences.len();
        let rows: BTreeMap<SequenceId, &[f32]> =
            sequences.iter().copied().zip(logits.chunks_exact(vocab)).collect();
        let (ends, tokenizer) = (&self.decoder.spec().eos, &self.tokenizer);
        let work = self.active.iter_mut().filter_map(|(id, active)| {
            let logits = *rows.get(id)?;
            Some((*id, active, logits))
        });
        let sample = |(id, active, logits): (SequenceId, &mut Active, &[f32])| {
            (id, active.advance(logits, ends, tokenizer))
        };
        if logits.len() < SERIAL_LOGITS {
            work.map(sample).collect()
        } else {
            work.collect::<Vec<_>>().into_par_iter().map(sample).collect()
        }
    }

    /// Takes note of a sequence's new token.
    fn advance(&mut self, id: SequenceId, sampled: Sampled, now: Instant) {
        let Some(active) = self.active.get_mut(&id) else { return };
        match sampled {
            Ok((token, end)) => {
                active.observe(now, &mut self.stats);
                match end {
                    None => self.scheduler.append(id, token),
                    Some(reason) => {
                        self.stats.finished += 1;
                        if let Some(active) = self.remove(id) {
                            active.finish(reason);
                        }
                    }
                }
            }
            Err(error) => {
                self.stats.failed += 1;
                if let Some(active) = self.remove(id) {
                    active.fail(&error.to_string());
                }
            }
        }
    }
}

/// A token and why the answer ends with it.
type Sampled = Result<(u32, Option<FinishReason>)>;

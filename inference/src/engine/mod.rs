//! The engine: one thread that runs all requests of a model in one batch.

mod active;
mod adapters;
mod compute;
mod mailbox;
mod request;
mod stats;
mod text;
mod worker;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use tokio::sync::mpsc;

use self::{
    compute::Compute,
    mailbox::{Job, Mailbox, Outlet},
    worker::Worker,
};
pub use self::{
    request::{Answer, Event, FinishReason, Request},
    stats::{BUCKETS, EngineStats, Histogram},
};
use crate::{
    Error, Result,
    adapter::{Adapter, AdapterHash, AdapterInfo, AdapterStore, StoreConfig},
    kv::BLOCK_TOKENS,
    model::{Decoder, ParallelDecoder},
    sampler::TokenMask,
    scheduler::{Scheduler, SchedulerConfig},
    tokenizer::Tokenizer,
};

/// Bounds of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Batch, step and queue.
    pub scheduler: SchedulerConfig,
    /// Tokens that the caches of all running requests together may hold, rounded down to whole
    /// blocks of 16.
    pub kv_tokens: usize,
    /// Adapters.
    pub adapters: StoreConfig,
}

impl Default for EngineConfig {
    fn default() -> Self {
        let (scheduler, adapters) = (SchedulerConfig::default(), StoreConfig::default());
        Self { scheduler, kv_tokens: 1 << 15, adapters }
    }
}

/// Starts engines.
#[derive(Clone, Copy, Debug)]
pub struct Engine;

impl Engine {
    /// Starts a thread that serves `decoder`, and returns the handle to it.
    ///
    /// # Errors
    /// [`Error::Request`] if the bounds contradict each other, [`Error::Tokenizer`] if the tokenizer
    /// has ids that the model lacks, [`Error::Io`] if the thread cannot be started.
    pub fn start(
        decoder: Arc<Decoder>,
        tokenizer: Arc<Tokenizer>,
        config: EngineConfig,
    ) -> Result<EngineHandle> {
        let compute = Compute::Whole(Arc::clone(&decoder));
        let store = AdapterStore::new(decoder.sites().to_vec(), config.adapters.clone())?;
        Self::run(decoder, compute, store, tokenizer, config)
    }

    /// [`Self::start`] with steps computed by `ranks` of the same model. Answers can differ from
    /// those of one rank, because sums are made in another order; they are the same from run to run
    /// and whatever is in the batch.
    ///
    /// `decoder`, the whole model, stays what gradients are computed with.
    ///
    /// # Errors
    /// As [`Self::start`]; [`Error::Request`] if `ranks` are of another model.
    pub fn start_over_ranks(
        decoder: Arc<Decoder>,
        ranks: Arc<ParallelDecoder>,
        tokenizer: Arc<Tokenizer>,
        config: EngineConfig,
    ) -> Result<EngineHandle> {
        if ranks.shares().any(|share| share.spec() != decoder.spec()) {
            return Err(Error::Request("the ranks are of another model".into()));
        }
        let (sites, adapters) = (decoder.sites().to_vec(), config.adapters.clone());
        let store = AdapterStore::over_ranks(sites, Arc::clone(&ranks), adapters)?;
        Self::run(decoder, Compute::Ranks(ranks), store, tokenizer, config)
    }

    fn run(
        decoder: Arc<Decoder>,
        compute: Compute,
        store: AdapterStore,
        tokenizer: Arc<Tokenizer>,
        config: EngineConfig,
    ) -> Result<EngineHandle> {
        let (tokens, vocab) = (tokenizer.vocab_size(), decoder.spec().vocab_size);
        if tokens > vocab {
            return Err(Error::Tokenizer(format!("{tokens} tokens for a model of {vocab}")));
        }
        let scheduler = Scheduler::new(config.scheduler)?;
        let window = decoder.spec().attention.widest_window();
        let kv = compute.pool(config.kv_tokens).with_window(window);
        let mailbox = Arc::new(Mailbox::default());
        let worker = Worker::new(
            Arc::clone(&decoder),
            compute,
            Arc::clone(&tokenizer),
            scheduler,
            kv,
            store.clone(),
            Arc::clone(&mailbox),
        );
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || worker.run())
            .map_err(Error::io("engine thread"))?;
        let thread = Mutex::new(Some(thread));
        let inner = Inner { decoder, tokenizer, config, store, mailbox, thread };
        Ok(EngineHandle { inner: Arc::new(inner) })
    }
}

struct Inner {
    decoder: Arc<Decoder>,
    tokenizer: Arc<Tokenizer>,
    config: EngineConfig,
    store: AdapterStore,
    mailbox: Arc<Mailbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.stop();
    }
}

/// A cheap handle to a running engine. The engine ends, once its started requests are done, when
/// [`Self::shutdown`] is called or the last handle is dropped.
///
/// Gradients are not the engine's work: callers compute them on threads of their own from
/// [`Self::decoder`] and [`Self::adapter`], which are shared and never change.
#[derive(Clone)]
pub struct EngineHandle {
    inner: Arc<Inner>,
}

impl fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineHandle").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl EngineHandle {
    /// Queues a request. Never blocks.
    ///
    /// Dropping the receiver cancels the request: it takes part in no step that begins later.
    ///
    /// # Errors
    /// Nothing is queued then. [`Error::Request`] if the prompt is empty, has unknown tokens or does
    /// not fit the model together with `max_tokens`, or sampling values are out of bounds;
    /// [`Error::UnknownAdapter`] if an adapter is not registered; [`Error::Busy`] if too many requests
    /// wait; [`Error::Stopped`] after shutdown.
    pub fn submit(&self, request: Request) -> Result<mpsc::Receiver<Event>> {
        Ok(self.queue(request, [None])?.remove(0))
    }

    /// [`Self::submit`] for `n` answers to one prompt: the receiver at index `i` gets answer `i`,
    /// drawn with the seed `sampling.seed + i` (modulo 2^64), so the first is what [`Self::submit`]
    /// gives.
    ///
    /// The prompt is computed once, for the first; the others begin with a fork of its cache and
    /// their `cached_tokens` say so. They take turns, count in the queue, end and are cancelled each
    /// by itself. Where the scheduler's `prefix_cache` is on, requests that are submitted one by one
    /// share a prompt that is being computed in the same way.
    ///
    /// # Errors
    /// As [`Self::submit`], for all or none; [`Error::Request`] if `n` is 0.
    pub fn submit_n(&self, request: Request, n: usize) -> Result<Vec<mpsc::Receiver<Event>>> {
        // More than that never fit the queue.
        let most = self.inner.config.scheduler.max_waiting.saturating_add(1);
        self.queue(request, (0..n.min(most)).map(|_| None))
    }

    /// [`Self::submit_n`] for as many answers as there are masks, each restricted by its own.
    ///
    /// # Errors
    /// As [`Self::submit_n`].
    pub fn submit_n_masked(
        &self,
        request: Request,
        masks: Vec<Box<dyn TokenMask>>,
    ) -> Result<Vec<mpsc::Receiver<Event>>> {
        self.queue(request, masks.into_iter().map(Some))
    }

    /// [`Self::submit`] for an answer whose tokens `mask` restricts.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_masked(
        &self,
        request: Request,
        mask: Box<dyn TokenMask>,
    ) -> Result<mpsc::Receiver<Event>> {
        Ok(self.queue(request, [Some(mask)])?.remove(0))
    }

    fn queue(
        &self,
        request: Request,
        masks: impl IntoIterator<Item = Option<Box<dyn TokenMask>>>,
    ) -> Result<Vec<mpsc::Receiver<Event>>> {
        self.check(&request)?;
        self.inner.store.check(&request.adapters)?;
        // Room for every token and the end, so that the worker never waits for a slow reader.
        let room = request.sampling.max_tokens + 1;
        let outlet = |mask| {
            let (events, receiver) = mpsc::channel(room);
            (Outlet { events, mask }, receiver)
        };
        let (answers, receivers): (Vec<_>, Vec<_>) = masks.into_iter().map(outlet).unzip();
        if answers.is_empty() {
            return Err(Error::Request("no answer is asked for".into()));
        }
        let job = Job { request, answers, submitted: Instant::now() };
        let mailbox = &self.inner.mailbox;
        mailbox.inbox().accept(job, &self.inner.config.scheduler)?;
        mailbox.notify();
        Ok(receivers)
    }

    fn check(&self, request: &Request) -> Result<()> {
        let Request { prompt, sampling, .. } = request;
        let spec = self.inner.decoder.spec();
        sampling.validate(spec.vocab_size)?;
        if prompt.is_empty() {
            return Err(Error::Request("the prompt is empty".into()));
        }
        if let Some(token) = prompt.iter().find(|&&token| token as usize >= spec.vocab_size) {
            return Err(Error::Request(format!("token {token} is not below {}", spec.vocab_size)));
        }
        let kv_tokens = self.inner.config.kv_tokens / BLOCK_TOKENS * BLOCK_TOKENS;
        let room = spec.max_positions.min(kv_tokens);
        let (length, max_tokens) = (prompt.len(), sampling.max_tokens);
        if length.saturating_add(max_tokens) > room {
            return Err(Error::Request(format!(
                "{length} prompt tokens and max_tokens {max_tokens} are more than {room}"
            )));
        }
        Ok(())
    }

    /// The adapters that requests may name.
    pub fn store(&self) -> &AdapterStore {
        &self.inner.store
    }

    /// Loads an adapter from a PEFT folder, on the caller's thread.
    ///
    /// # Errors
    /// As [`AdapterStore::load`].
    pub fn load_adapter(&self, dir: &Path) -> Result<AdapterInfo> {
        self.inner.store.load(dir)
    }

    /// Takes an adapter out of service; requests that use it already finish with it.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if it is not loaded.
    pub fn unload_adapter(&self, hash: AdapterHash) -> Result<()> {
        self.inner.store.unload(hash)
    }

    /// The loaded adapters in order of hash.
    pub fn adapters(&self) -> Vec<AdapterInfo> {
        self.inner.store.adapters()
    }

    /// A loaded adapter.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if it is not loaded.
    pub fn adapter(&self, hash: AdapterHash) -> Result<Arc<Adapter>> {
        self.inner.store.get(hash)
    }

    /// The model.
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.inner.decoder
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.inner.tokenizer
    }

    /// What the engine has done so far.
    pub fn stats(&self) -> EngineStats {
        self.inner.mailbox.inbox().stats
    }

    /// The engine's bounds.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// Refuses new requests, fails those that wait, and returns when those that run are done. Blocks:
    /// not for an async worker's thread.
    pub fn shutdown(&self) {
        self.inner.mailbox.stop();
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the worker has closed every request's channel; there is no more to do.
            let _ = thread.join();
        }
    }
}

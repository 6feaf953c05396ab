//! The engine: one thread that runs all requests of a model in one batch.

mod text;
mod worker;

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::mpsc;

use self::worker::Worker;
use crate::{
    Error, Result,
    adapter::{
        Adapter, AdapterHash, AdapterInfo, AdapterLease, AdapterSet, AdapterStore, StoreConfig,
    },
    model::Decoder,
    sampler::Sampling,
    scheduler::{Scheduler, SchedulerConfig},
    step::{SlotId, Step},
    tokenizer::Tokenizer,
};

/// Bounds of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Batch, step and queue.
    pub scheduler: SchedulerConfig,
    /// Tokens that the caches of all running requests together may hold.
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

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Prompt tokens, as the model is to see them (with its begin-of-sequence token).
    pub prompt: Vec<u32>,
    /// The adapters that answer.
    pub adapters: AdapterSet,
    /// How tokens are chosen and when to stop.
    pub sampling: Sampling,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it; its last token is an end token.
    EndOfText,
    /// A stop string came.
    StopString,
    /// It has `max_tokens` tokens.
    Length,
}

impl FinishReason {
    /// OpenAI's name: `stop` or `length`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndOfText | Self::StopString => "stop",
            Self::Length => "length",
        }
    }
}

/// What a request's receiver gets: tokens, then exactly one `Finished` or `Failed`. (A channel that
/// closes without either means that the engine's thread has died.)
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A token was generated.
    Token {
        /// Its id.
        id: u32,
        /// The text that it sets free: empty inside a character or a possible stop string. The texts
        /// of all tokens together are the answer.
        text: String,
        /// Natural logarithm of its probability under the model.
        logprob: f32,
    },
    /// The answer is complete.
    Finished {
        /// Why.
        reason: FinishReason,
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Every generated token, the end token and those of a stop string included.
        completion: Vec<u32>,
        /// The answer's text, cut before the stop string.
        text: String,
    },
    /// The request was given up.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What an engine has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Steps planned.
    pub steps: u64,
    /// Tokens in them, of prompts and answers.
    pub tokens: u64,
    /// Most sequences in one step.
    pub most_sequences: usize,
    /// Most different adapters in one step.
    pub most_adapters: usize,
}

impl EngineStats {
    fn count(&mut self, step: &Step, sequences: usize) {
        let slots: BTreeSet<SlotId> = step.segments.iter().map(|segment| segment.slot).collect();
        self.steps += 1;
        self.tokens += step.tokens.len() as u64;
        self.most_sequences = self.most_sequences.max(sequences);
        self.most_adapters = self.most_adapters.max(slots.len());
    }
}

/// An accepted request on its way to the worker.
#[derive(Debug)]
struct Job {
    request: Request,
    leases: Vec<AdapterLease>,
    events: mpsc::Sender<Event>,
}

/// What handles and worker share.
#[derive(Debug, Default)]
struct Inbox {
    jobs: Vec<Job>,
    /// Sequences that wait in the scheduler.
    waiting: usize,
    /// No new requests; the worker ends when those it has started are done.
    stopping: bool,
    stats: EngineStats,
}

#[derive(Debug, Default)]
struct Mailbox {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl Mailbox {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Nothing panics while holding the lock.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.inbox().stopping = true;
        self.changed.notify_all();
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
        let (tokens, vocab) = (tokenizer.vocab_size(), decoder.spec().vocab_size);
        if tokens > vocab {
            return Err(Error::Tokenizer(format!("{tokens} tokens for a model of {vocab}")));
        }
        let scheduler = Scheduler::new(config.scheduler)?;
        let store = AdapterStore::new(decoder.sites().to_vec(), config.adapters.clone())?;
        let mailbox = Arc::new(Mailbox::default());
        let worker = Worker::new(
            Arc::clone(&decoder),
            Arc::clone(&tokenizer),
            scheduler,
            config.kv_tokens,
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
    /// [`Error::UnknownAdapter`] if an adapter is not loaded; [`Error::Busy`] if too many requests
    /// wait; [`Error::Stopped`] after shutdown.
    pub fn submit(&self, request: Request) -> Result<mpsc::Receiver<Event>> {
        self.check(&request)?;
        let leases = self.inner.store.acquire(&request.adapters)?;
        let mailbox = &self.inner.mailbox;
        let mut inbox = mailbox.inbox();
        if inbox.stopping {
            return Err(Error::Stopped);
        }
        let waiting = inbox.jobs.len() + inbox.waiting;
        if waiting >= self.inner.config.scheduler.max_waiting {
            return Err(Error::Busy(waiting));
        }
        // Room for every token and the end, so that the worker never waits for a slow reader.
        let (events, receiver) = mpsc::channel(request.sampling.max_tokens + 1);
        inbox.jobs.push(Job { request, leases, events });
        drop(inbox);
        mailbox.changed.notify_all();
        Ok(receiver)
    }

    fn check(&self, request: &Request) -> Result<()> {
        let Request { prompt, sampling, .. } = request;
        sampling.validate()?;
        if prompt.is_empty() {
            return Err(Error::Request("the prompt is empty".into()));
        }
        let spec = self.inner.decoder.spec();
        if let Some(token) = prompt.iter().find(|&&token| token as usize >= spec.vocab_size) {
            return Err(Error::Request(format!("token {token} is not below {}", spec.vocab_size)));
        }
        let room = spec.max_positions.min(self.inner.config.kv_tokens);
        let (length, max_tokens) = (prompt.len(), sampling.max_tokens);
        if length.saturating_add(max_tokens) > room {
            return Err(Error::Request(format!(
                "{length} prompt tokens and max_tokens {max_tokens} are more than {room}"
            )));
        }
        Ok(())
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

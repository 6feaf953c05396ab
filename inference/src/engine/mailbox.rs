//! What handles and worker share.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{EngineStats, Event, Request};
use crate::{Error, Result, sampler::TokenMask, scheduler::SchedulerConfig};

/// Longest time that a full queue asks callers to stay away.
const MAX_RETRY_AFTER: f64 = 60.0;

/// An accepted request on its way to the worker.
pub(super) struct Job {
    pub(super) request: Request,
    /// One for each answer that is wanted.
    pub(super) answers: Vec<Outlet>,
    pub(super) submitted: Instant,
}

/// Where one answer goes, and what restricts it.
pub(super) struct Outlet {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) mask: Option<Box<dyn TokenMask>>,
}

#[derive(Default)]
pub(super) struct Inbox {
    pub(super) jobs: Vec<Job>,
    /// Accepted requests that have not started, by tenant.
    waiting: HashMap<u64, usize>,
    /// No new requests; the worker ends when those it has started are done.
    pub(super) stopping: bool,
    /// An adapter has come.
    pub(super) woken: bool,
    /// Seconds from one start to the next while requests wait, averaged over the last few.
    pace: f64,
    pub(super) stats: EngineStats,
}

impl Inbox {
    /// # Errors
    /// [`Error::Stopped`] after the end, [`Error::Busy`] if too many wait.
    pub(super) fn accept(&mut self, job: Job, config: &SchedulerConfig) -> Result<()> {
        if self.stopping {
            return Err(Error::Stopped);
        }
        let (tenant, answers) = (job.request.tenant, job.answers.len());
        let all: usize = self.waiting.values().sum();
        let own = self.waiting.get(&tenant).copied().unwrap_or(0);
        for (waiting, most) in [(all, config.max_waiting), (own, config.max_tenant_waiting)] {
            if answers > most.saturating_sub(waiting) {
                let seconds = (waiting as f64 * self.pace).clamp(1.0, MAX_RETRY_AFTER);
                return Err(Error::Busy { waiting, retry_after: seconds.ceil() as u64 });
            }
        }
        *self.waiting.entry(tenant).or_default() += answers;
        self.jobs.push(job);
        Ok(())
    }

    /// A request of this tenant has started or will never.
    pub(super) fn left(&mut self, tenant: u64) {
        if let Some(waiting) = self.waiting.get_mut(&tenant) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&tenant);
            }
        }
    }

    /// `count` requests started within `seconds` while others waited.
    pub(super) fn started(&mut self, count: usize, seconds: f64) {
        self.pace += 0.2 * (seconds / count as f64 - self.pace);
    }
}

#[derive(Default)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl Mailbox {
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Nothing panics while holding the lock.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.inbox().stopping = true;
        self.changed.notify_all();
    }

    /// An adapter has come: waiting requests are looked at again.
    pub(super) fn wake(&self) {
        self.inbox().woken = true;
        self.changed.notify_all();
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, at most for `timeout`.
    pub(super) fn wait<'a>(
        &self,
        inbox: MutexGuard<'a, Inbox>,
        timeout: Duration,
    ) -> MutexGuard<'a, Inbox> {
        let waited = self.changed.wait_timeout(inbox, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

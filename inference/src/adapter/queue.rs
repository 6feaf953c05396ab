//! Work for the store's threads.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{AdapterHash, host::HostAdapter};
use crate::step::SlotId;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Bring files into the host tier.
    Fetch(AdapterHash),
    /// Pack for a slot that is reserved.
    Pack(Arc<HostAdapter>, SlotId),
    /// Look again for what can be done: something was released or has expired.
    Look,
}

/// Jobs in order. Its lock is never held while another is taken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    changed: Condvar,
    /// Whether a load waits for something to be released.
    pub(super) starved: AtomicBool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(job, Job::Look) {
            if !jobs.0.iter().any(|job| matches!(job, Job::Look)) {
                jobs.0.push_front(job);
            }
        } else if matches!(job, Job::Pack(..)) {
            // Somebody waits for it, and its slot is taken already.
            jobs.0.push_front(job);
        } else {
            jobs.0.push_back(job);
        }
        drop(jobs);
        self.changed.notify_one();
    }

    /// The last pin of something is gone.
    pub(super) fn released(&self, retired: bool) {
        if retired || self.starved.load(Ordering::SeqCst) {
            self.push(Job::Look);
        }
    }

    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    /// The next job, or [`Job::Look`] after `patience`; nothing when the queue is closed.
    pub(super) fn pop(&self, patience: Option<Duration>) -> Option<Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if jobs.1 {
                return None;
            }
            if let Some(job) = jobs.0.pop_front() {
                return Some(job);
            }
            jobs = match patience {
                None => self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.changed.wait_timeout(jobs, patience);
                    let (jobs, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && jobs.0.is_empty() && !jobs.1 {
                        return Some(Job::Look);
                    }
                    jobs
                }
            };
        }
    }
}

//! When to try again what could not be examined.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy::primitives::B256;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);

/// Pauses by the id of what could not be examined, doubled at every failure. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pauses(Arc<Mutex<HashMap<B256, (Instant, Duration)>>>);

impl Pauses {
    /// Whether it may be tried now.
    pub(super) fn is_over(&self, id: B256) -> bool {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(&id).is_none_or(|&(since, pause)| since.elapsed() >= pause)
    }

    /// Pauses it, twice as long as the last time.
    pub(super) fn grow(&self, id: B256) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.get(&id).map_or(FIRST, |&(_, last)| (2 * last).min(LONGEST));
        pauses.insert(id, (Instant::now(), pause));
    }

    /// Forgets what is examined.
    pub(super) fn forget(&self, id: B256) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

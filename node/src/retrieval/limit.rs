//! How often something free may be done.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets through so many a second on average, and a second's worth at once (the virtual scheduling
/// form of the leaky bucket, ITU-T I.371).
#[derive(Debug)]
pub(super) struct Limit {
    every: Duration,
    /// When all that was let through would have been due.
    due: Mutex<Instant>,
}

impl Limit {
    pub(super) fn per_second(count: u32) -> Self {
        Self { every: Duration::from_secs(1) / count.max(1), due: Mutex::new(Instant::now()) }
    }

    /// Whether one more may be let through at `now`.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*due).max(now) + self.every;
        let fits = next.duration_since(now) <= Duration::from_secs(1);
        if fits {
            *due = next;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_passes_at_once_and_then_one_at_a_time() {
        let limit = Limit::per_second(4);
        let start = Instant::now() + Duration::from_secs(10);
        let passed = |at: Duration| limit.take(start + at);
        assert_eq!((0..6).filter(|_| passed(Duration::ZERO)).count(), 4);
        assert!(!passed(Duration::from_millis(249)));
        assert!(passed(Duration::from_millis(250)));
        assert!(!passed(Duration::from_millis(250)));
        assert_eq!((0..9).filter(|_| passed(Duration::from_secs(60))).count(), 4);
    }
}

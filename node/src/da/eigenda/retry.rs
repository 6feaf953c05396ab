//! Attempts with growing, random pauses, bounded in number and time.

use std::time::{Duration, Instant};

use rand::Rng;
use tracing::warn;

use crate::{Error, Result};

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a request is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// How often at most, at least once.
    pub(super) attempts: u32,
    /// Time after which no further attempt begins.
    pub(super) patience: Duration,
    /// First pause between attempts, at most.
    pub(super) pause: Duration,
}

/// How an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same request would fail again.
    Final(String),
    /// Another attempt may succeed, not before `after` if the other side said so.
    Again { reason: String, after: Option<Duration> },
}

/// Tries until an attempt succeeds or fails for good, or `retry` is used up.
///
/// # Errors
/// [`Error::Availability`] with the reason of the last attempt.
pub(super) async fn repeat<T, F>(retry: &Retry, attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, Failure>>,
{
    let begin = Instant::now();
    for number in 1.. {
        let (reason, after) = match attempt().await {
            Ok(value) => return Ok(value),
            Err(Failure::Final(reason)) => return Err(Error::Availability(reason)),
            Err(Failure::Again { reason, after }) => (reason, after),
        };
        let pause = pause(retry.pause, number).max(after.unwrap_or_default());
        if number >= retry.attempts || begin.elapsed().saturating_add(pause) > retry.patience {
            return Err(Error::Availability(format!("{reason}; given up after {number} attempts")));
        }
        warn!(target: "node::da", number, ?pause, %reason, "trying again");
        tokio::time::sleep(pause).await;
    }
    unreachable!("attempts end by the bounds above")
}

/// Doubles with each attempt, up to the longest; half of it is random, so that nodes that failed
/// together do not come back together.
fn pause(first: Duration, number: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(number - 1)).min(MAX_PAUSE);
    doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const FIRST: Duration = Duration::from_millis(1);
    const PATIENT: Retry =
        Retry { attempts: 5, patience: Duration::from_secs(3_600), pause: FIRST };

    /// Fails with what `failure` makes until attempt `until`; returns how often it was tried too.
    async fn run(retry: Retry, until: u32, failure: impl Fn() -> Failure) -> (Result<u32>, u32) {
        let count = AtomicU32::new(0);
        let result = repeat(&retry, || async {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            if number >= until { Ok(number) } else { Err(failure()) }
        })
        .await;
        (result, count.load(Ordering::Relaxed))
    }

    fn passing() -> Failure {
        Failure::Again { reason: "busy".into(), after: None }
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_a_bounded_number_of_times() {
        assert_eq!(run(PATIENT, 5, passing).await.0.unwrap(), 5);
        let (result, count) = run(PATIENT, 6, passing).await;
        assert_eq!(count, 5);
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with("busy; given up after 5 attempts"), "{error}");
    }

    #[tokio::test]
    async fn what_is_final_is_not_tried_again() {
        let (result, count) = run(PATIENT, 2, || Failure::Final("bad".into())).await;
        assert_eq!((result.unwrap_err().to_string(), count), ("data availability: bad".into(), 1));
    }

    #[tokio::test]
    async fn no_attempt_begins_after_the_patience() {
        let hour = || Failure::Again {
            reason: "come back later".into(),
            after: Some(Duration::from_secs(3_601)),
        };
        assert_eq!(run(PATIENT, 2, hour).await.1, 1);
        let hurried = Retry { patience: Duration::ZERO, ..PATIENT };
        assert_eq!(run(hurried, 2, passing).await.1, 1);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        for number in 1..100 {
            let most = FIRST.saturating_mul(1 << (number - 1).min(20)).min(MAX_PAUSE);
            let pause = pause(FIRST, number);
            assert!(pause <= most && pause >= most / 2, "{number}: {pause:?}");
        }
        let some: std::collections::BTreeSet<_> = (0..8).map(|_| pause(FIRST, 4)).collect();
        assert!(some.len() > 1);
    }
}

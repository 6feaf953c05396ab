//! Runs the pipeline's stages.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// Longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Repeats a stage's step until shutdown: at once while there is work, else every `interval`, and
/// with growing pauses while it fails. A step is never cut off, so it ends whole.
///
/// # Errors
/// [`Error::Store`] and [`Error::Stopped`], which no repetition cures.
pub(super) async fn run<F: Future<Output = Result<bool>>>(
    name: &'static str,
    interval: Duration,
    shutdown: CancellationToken,
    step: impl Fn() -> F,
) -> Result<()> {
    let mut pause = interval;
    while !shutdown.is_cancelled() {
        match step().await {
            Ok(true) => {
                pause = interval;
                continue;
            }
            Ok(false) => pause = interval,
            Err(error @ (Error::Store(_) | Error::Stopped(_))) => {
                // Parts stop one after the other at shutdown.
                return if shutdown.is_cancelled() { Ok(()) } else { Err(error) };
            }
            Err(error) => {
                pause = (pause * 2).min(MAX_PAUSE);
                tracing::error!(target: "node::pipeline", stage = name, %error, ?pause, "failed");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_failing_stage_is_repeated_until_its_cause_is_gone() {
        let (shutdown, count) = (CancellationToken::new(), AtomicU32::new(0));
        let step = || async {
            match count.fetch_add(1, Ordering::Relaxed) {
                0..3 => Err(Error::Chain("not there".into())),
                3..6 => Ok(true),
                _ => {
                    shutdown.cancel();
                    Ok(false)
                }
            }
        };
        run("test", Duration::from_millis(1), shutdown.clone(), step).await.unwrap();
        assert_eq!(count.into_inner(), 7);
    }

    #[tokio::test]
    async fn a_broken_store_ends_the_stage() {
        let step = || async { Err(Error::Store("damaged".into())) };
        let result = run("test", Duration::from_millis(1), CancellationToken::new(), step).await;
        assert!(matches!(result, Err(Error::Store(_))));
    }
}

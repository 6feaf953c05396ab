//! Runs the pipeline's stages.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// Longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One stage of a line.
pub(super) struct Stage {
    name: &'static str,
    step: Box<dyn Fn() -> BoxFuture<'static, Result<bool>> + Send + Sync>,
    pause: Duration,
    resume: Instant,
}

impl Stage {
    /// A stage whose `step` says whether it has done something.
    pub(super) fn new<F: Future<Output = Result<bool>> + Send + 'static>(
        name: &'static str,
        step: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let step = Box::new(move || Box::pin(step()) as BoxFuture<'static, _>);
        Self { name, step, pause: Duration::ZERO, resume: Instant::now() }
    }

    /// One step, unless the last one failed and its pause is not over.
    async fn step(&mut self, interval: Duration) -> Result<bool> {
        if Instant::now() < self.resume {
            return Ok(false);
        }
        match (self.step)().await {
            Err(Error::Pending(what)) => {
                tracing::debug!(target: "node::pipeline", stage = self.name, what, "waits");
                Ok(false)
            }
            Err(error) if !matches!(error, Error::Store(_) | Error::Stopped(_)) => {
                self.pause = (self.pause.max(interval) * 2).min(MAX_PAUSE);
                self.resume = Instant::now() + self.pause;
                let (name, pause) = (self.name, self.pause);
                tracing::error!(target: "node::pipeline", stage = name, %error, ?pause, "failed");
                Ok(false)
            }
            result => {
                self.pause = Duration::ZERO;
                result
            }
        }
    }
}

/// A stage with a `step` of its own, named as its variable is.
macro_rules! stage {
    ($stage:ident) => {
        Stage::new(stringify!($stage), move || {
            let stage = $stage.clone();
            async move { stage.step().await }
        })
    };
}
pub(super) use stage;

/// Runs stages one after the other until shutdown, so that none meets another at work: again at once
/// while one has done something, else every `interval`. One that fails is left out for pauses that
/// grow. A step is never cut off, so it ends whole.
///
/// # Errors
/// [`Error::Store`] and [`Error::Stopped`], which no repetition cures.
pub(super) async fn run(
    mut line: Vec<Stage>,
    interval: Duration,
    shutdown: CancellationToken,
) -> Result<()> {
    while !shutdown.is_cancelled() {
        let mut worked = false;
        for stage in &mut line {
            if shutdown.is_cancelled() {
                return Ok(());
            }
            match stage.step(interval).await {
                Ok(done) => worked |= done,
                // Parts stop one after the other at shutdown.
                Err(_) if shutdown.is_cancelled() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if !worked {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    /// A stage that counts its steps and does what the count says.
    fn counted(
        step: impl Fn(u32) -> Result<bool> + Send + Sync + 'static,
    ) -> (Stage, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&count);
        let stage = Stage::new("test", move || {
            let result = step(counter.fetch_add(1, Ordering::Relaxed));
            async { result }
        });
        (stage, count)
    }

    #[tokio::test]
    async fn a_failing_stage_is_repeated_and_does_not_hold_up_the_others() {
        let shutdown = CancellationToken::new();
        let (failing, fails) = counted(|count| match count {
            0..3 => Err(Error::Chain("not there".into())),
            _ => Ok(false),
        });
        let stop = shutdown.clone();
        let (working, works) = counted(move |count| {
            if count == 40 {
                stop.cancel();
            }
            Ok(false)
        });
        run(vec![failing, working], Duration::from_millis(1), shutdown).await.unwrap();
        assert_eq!(works.load(Ordering::Relaxed), 41);
        // Pauses of 2, 4 and 8 intervals leave it out of some rounds.
        assert!((4..40).contains(&fails.load(Ordering::Relaxed)), "{fails:?}");
    }

    #[tokio::test]
    async fn a_line_with_work_does_not_pause() {
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let (stage, count) = counted(move |count| {
            if count == 5 {
                stop.cancel();
            }
            Ok(true)
        });
        run(vec![stage], Duration::from_secs(3_600), shutdown).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn a_broken_store_ends_the_line() {
        let (stage, _) = counted(|_| Err(Error::Store("damaged".into())));
        let result = run(vec![stage], Duration::from_millis(1), CancellationToken::new()).await;
        assert!(matches!(result, Err(Error::Store(_))));
    }
}

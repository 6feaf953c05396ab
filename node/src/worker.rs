//! Work that would block the threads that serve.

use crate::{Error, Result};

/// Runs blocking work on a thread of its own pool and waits for it.
///
/// # Errors
/// What `work` returns; [`Error::Stopped`] if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped("background work"))?
}

//! A running node: every part wired to the others, and stopped in order.

mod access;
mod pipeline;
mod retrieval;
mod setup;
mod stages;
mod start;
mod votes;

pub(crate) use setup::{availability, powers};

use std::net::SocketAddr;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, config::Config};

/// A running node. Dropping it aborts its tasks; what is on disk is whole at any moment.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    tasks: JoinSet<Result<()>>,
    shutdown: CancellationToken,
    engine: inference::engine::EngineHandle,
}

impl Node {
    /// Starts a node and returns when it serves: the chain is indexed up to its head, models are
    /// loaded, and the API listens. Waits for a chain that cannot be reached.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration, a key, or the registration of the base model is
    /// wrong; [`Error::Store`], [`Error::Io`], [`Error::Inference`] or [`Error::Prover`] if a part
    /// cannot be started; [`Error::Stopped`] if `shutdown` is cancelled before.
    pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Self> {
        start::start(config, shutdown).await
    }

    /// Where the API listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the node to stop; [`Self::wait`] returns when it has.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the node has stopped: calls in flight are finished first.
    ///
    /// # Errors
    /// The error of the part that ended the node.
    pub async fn wait(mut self) -> Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let result = ended.unwrap_or(Err(Error::Stopped("a task of the node")));
            if let Err(error) = result {
                tracing::error!(target: "node", %error, "a part failed; the node stops");
                if first.is_ok() {
                    first = Err(error);
                }
            }
            // One part that is missing makes the rest worthless.
            self.shutdown.cancel();
        }
        let engine = self.engine.clone();
        let stopped = tokio::task::spawn_blocking(move || engine.shutdown()).await;
        first.and(stopped.map_err(|_| Error::Stopped("engine")))
    }
}

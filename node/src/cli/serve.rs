//! `openledger serve`

use std::path::PathBuf;

use clap::Args;
use node::{config::Config, node::Node};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The configuration; openledger.example.toml documents every value.
    #[arg(long, short, value_name = "FILE", default_value = "openledger.toml")]
    config: PathBuf,
}

pub(crate) fn run(arguments: ServeArguments) -> eyre::Result<()> {
    let config = Config::load(&arguments.config)?;
    node::telemetry::start(&config.log)?;
    super::runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            interrupted().await;
            tracing::info!(target: "node", "stopping");
            stop.cancel();
        });
        let node = Node::start(config, shutdown).await?;
        println!("serving on http://{}", node.address());
        Ok(node.wait().await?)
    })
}

/// Ctrl-C, or the signal with which a service manager ends a process.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the process ends by the signal itself.
    let _ = tokio::signal::ctrl_c().await;
}

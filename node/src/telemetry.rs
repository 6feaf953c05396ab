//! Structured logs.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    Error, Result,
    config::{LogConfig, LogFormat},
};

/// Starts logging to standard error; `RUST_LOG`, when set, wins over the configured filter.
///
/// # Errors
/// [`Error::Config`] if the filter does not parse or logging was started before.
pub fn start(config: &LogConfig) -> Result<()> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| config.level.clone());
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| Error::Config(format!("log.level {text:?}: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_writer(std::io::stderr).with_target(true)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|error| Error::Config(format!("logging: {error}")))
}

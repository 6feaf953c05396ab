//! The command line.

mod ask;
mod attribute;
mod chat;
mod claims;
mod datanet;
mod figures;
mod graph;
mod index;
mod progress;
mod register;
mod report;
mod serve;
mod train;

use std::path::{Path, PathBuf};

use alloy::signers::local::PrivateKeySigner;
use clap::{Args, Parser, Subcommand};
use node::{chain::Deployment, config::read_key};

/// AI models whose every answer pays whom it learned from.
///
/// A Datanet's rows train an adapter, an influence index remembers whose row taught it what, the
/// chain registers both, and a node serves the model: each paid call is recorded with what it owes
/// to whom, settled on chain in batches, and claimed by whoever earned it.
#[derive(Debug, Parser)]
#[command(name = "openledger", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// How log lines look; `serve` takes this from its configuration.
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
    /// Which log lines are shown: error, warn, info, debug, or a tracing filter; `serve` takes this
    /// from its configuration. RUST_LOG wins.
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: serve models, record calls, settle them on chain.
    Serve(serve::ServeArguments),
    /// Talk to a model and pay for it.
    Chat(chat::ChatArguments),
    /// Ask a model that answers from its Datanets' rows and cites them, and pay for it.
    Ask(ask::AskArguments),
    /// Cut sources into the rows of a Datanet, or look at one.
    Datanet(datanet::DatanetArguments),
    /// Train an adapter on a Datanet.
    Train(train::TrainArguments),
    /// Build the influence index of an adapter, check one, show what it holds,
    /// or report how true it is.
    Index(index::IndexArguments),
    /// List, show, challenge and vote on the figures that pay goes by.
    Figures(figures::FiguresArguments),
    /// Explain a recorded answer: whose rows it is owed to, and what they are paid; compute it again.
    Attribute(attribute::AttributeArguments),
    /// Show who earned from a call, a model, a Datanet version or a row, and what an account earned
    /// from.
    Graph(graph::GraphArguments),
    /// Put a Datanet, a base model or a model on the chain.
    Register(register::RegisterArguments),
    /// Pay earners what they have earned; anyone may.
    Claims(claims::ClaimsArguments),
}

/// Which chain.
#[derive(Debug, Args)]
pub(crate) struct ChainArguments {
    /// JSON-RPC of the chain.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// Addresses of the contracts.
    #[arg(long, value_name = "FILE", default_value = "deployments/161201.json")]
    deployment: PathBuf,
}

impl ChainArguments {
    pub(crate) fn deployment(&self) -> eyre::Result<Deployment> {
        Ok(Deployment::load(&self.deployment)?)
    }
}

/// Which account signs.
#[derive(Debug, Args)]
pub(crate) struct KeyArguments {
    /// File with the private key in hex. OPENLEDGER_KEY in the environment wins over it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl KeyArguments {
    pub(crate) fn signer(&self) -> eyre::Result<PrivateKeySigner> {
        Ok(read_key("OPENLEDGER_KEY", self.key.as_deref().map(Path::new))?)
    }
}

pub(crate) fn run(arguments: Arguments) -> eyre::Result<()> {
    let Arguments { log_format, log_level, command } = arguments;
    if let Command::Serve(serve) = command {
        return serve::run(serve);
    }
    let format = match log_format.as_str() {
        "json" => node::config::LogFormat::Json,
        _ => node::config::LogFormat::Text,
    };
    node::telemetry::start(&node::config::LogConfig { format, level: log_level })?;
    match command {
        Command::Serve(_) => unreachable!("handled above"),
        Command::Chat(arguments) => runtime()?.block_on(chat::run(arguments)),
        Command::Ask(arguments) => runtime()?.block_on(ask::run(arguments)),
        Command::Datanet(arguments) => datanet::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Index(arguments) => index::run(arguments),
        Command::Figures(arguments) => runtime()?.block_on(figures::run(arguments)),
        Command::Attribute(arguments) => runtime()?.block_on(attribute::run(arguments)),
        Command::Graph(arguments) => runtime()?.block_on(graph::run(arguments)),
        Command::Register(arguments) => runtime()?.block_on(register::run(arguments)),
        Command::Claims(arguments) => runtime()?.block_on(claims::run(arguments)),
    }
}

pub(crate) fn runtime() -> eyre::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}

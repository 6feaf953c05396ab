//! `openledger index`

mod verify;

use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use attribution::{estimate::InfluenceIndex, settle::EarnerIndex};
use clap::{Args, Subcommand, ValueEnum};
use eyre::WrapErr;
use node::{
    chain::{ChainClient, Deployment},
    datanet::Datanet,
    factory::{EarnerMap, IndexSettings, build_index, build_roster, build_spans, earners_on_chain},
};

use super::{progress::bar, report};

/// How the model is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// By influence alone.
    Influence,
    /// By spans alone: no gradient is taken, which suits large models.
    Spans,
    /// By both.
    Both,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build the influence index of an adapter.
    Build(Box<BuildArguments>),
    /// Check an index against its manifest, the chain, its Datanets' rows and its model.
    Verify(Box<verify::VerifyArguments>),
    /// Show what an index holds.
    Show(verify::ShowArguments),
    /// Measure how well the index predicts retraining, and post the figures.
    Report(Box<report::ReportArguments>),
}

#[derive(Debug, Args)]
struct BuildArguments {
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Folder of the adapter; the index is written beside it.
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Folders of the Datanets that it was trained on, in the order of its registration.
    #[arg(long, value_name = "DIR", required = true)]
    datanet: Vec<PathBuf>,
    /// JSON file {"0xaccount": index}, instead of asking the chain.
    #[arg(long, value_name = "FILE")]
    earners: Option<PathBuf>,
    /// JSON-RPC of the chain that knows the contributors.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// Addresses of the contracts.
    #[arg(long, value_name = "FILE", default_value = "deployments/161201.json")]
    deployment: PathBuf,
    /// Numbers per sketch.
    #[arg(long, default_value_t = 1024)]
    dim: usize,
    /// Kept length of a projection's long side, a multiple of 8.
    #[arg(long, default_value_t = 512)]
    side: usize,
    /// Damping of the Fisher matrix, relative to its mean diagonal.
    #[arg(long, default_value_t = 0.3)]
    damping: f64,
    /// Tokens of a row that are used; what it was trained with.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Index of an earlier version of the same Datanets for the same adapter: its projection is kept,
    /// so that only new rows are computed.
    #[arg(long, value_name = "FILE")]
    extend: Option<PathBuf>,
    /// What the model is to be paid by; the mix that it is registered with decides how much.
    #[arg(long, value_enum, default_value_t = Method::Both)]
    method: Method,
}

pub(crate) fn run(arguments: IndexArguments) -> eyre::Result<()> {
    match arguments.action {
        Action::Build(arguments) => build(*arguments),
        Action::Verify(arguments) => verify::verify(*arguments),
        Action::Show(arguments) => verify::show(&arguments),
        Action::Report(arguments) => report::run(&arguments),
    }
}

fn build(arguments: BuildArguments) -> eyre::Result<()> {
    let datanets = arguments
        .datanet
        .iter()
        .map(|dir| Datanet::load(dir))
        .collect::<node::Result<Vec<Datanet>>>()?;
    let earners = earners(&arguments, &datanets)?;
    match arguments.method {
        Method::Spans => roster(&arguments, &datanets, &earners)?,
        Method::Influence | Method::Both => influence(&arguments, &datanets, &earners)?,
    }
    match arguments.method {
        Method::Influence => Ok(()),
        Method::Spans | Method::Both => spans(&arguments, &datanets, &earners),
    }
}

fn roster(
    arguments: &BuildArguments,
    datanets: &[Datanet],
    earners: &EarnerMap,
) -> eyre::Result<()> {
    let report = build_roster(&arguments.base, &arguments.adapter, datanets, earners)?;
    println!("{} rows of {} contributors, without influence", report.rows, report.contributors);
    println!("index root {}\nindex hash {}", report.root, report.hash);
    Ok(())
}

fn spans(
    arguments: &BuildArguments,
    datanets: &[Datanet],
    earners: &EarnerMap,
) -> eyre::Result<()> {
    let (base, dir) = (&arguments.base, &arguments.adapter);
    let bar = bar(0, "tokens");
    let report = build_spans(base, dir, datanets, earners, &mut |progress| {
        bar.set_prefix(progress.stage);
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish();
    let commitment = report.commitment;
    println!(
        "span index of {} tokens in {} rows in {:.1} s; {} bytes",
        commitment.tokens,
        commitment.rows,
        report.elapsed.as_secs_f64(),
        report.bytes
    );
    println!("span hash {}", B256::new(commitment.hash()));
    Ok(())
}

fn influence(
    arguments: &BuildArguments,
    datanets: &[Datanet],
    earners: &EarnerMap,
) -> eyre::Result<()> {
    let mut settings = IndexSettings {
        dim: arguments.dim,
        side: arguments.side,
        damping: arguments.damping,
        max_tokens: arguments.max_tokens,
        ..IndexSettings::default()
    };
    if let Some(path) = &arguments.extend {
        settings.projector = Some(InfluenceIndex::read(path)?.projector().clone());
    }
    let rows: usize = datanets.iter().map(|datanet| datanet.rows.len()).sum();
    let bar = bar(rows as u64, "gradients");
    let (base, dir) = (&arguments.base, &arguments.adapter);
    let report = build_index(base, dir, datanets, earners, &settings, &mut |progress| {
        bar.set_prefix(progress.stage);
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
    })?;
    bar.finish();
    let stats = report.stats;
    println!(
        "{} rows ({} accepted) of {} contributors in {:.1} s; {} bytes",
        stats.rows,
        stats.accepted_rows,
        stats.contributors,
        stats.elapsed.as_secs_f64(),
        report.bytes
    );
    println!("{} gradients computed", report.computed);
    for place in &report.excluded {
        println!("row {place} is excluded: its gradient is zero or not finite");
    }
    println!("index root {}\nindex hash {}", report.root, report.hash);
    Ok(())
}

fn earners(arguments: &BuildArguments, datanets: &[Datanet]) -> eyre::Result<EarnerMap> {
    if let Some(path) = &arguments.earners {
        let text = std::fs::read_to_string(path).wrap_err_with(|| path.display().to_string())?;
        let map: std::collections::BTreeMap<Address, u32> = serde_json::from_str(&text)?;
        return Ok(map.into_iter().map(|(account, index)| (account, EarnerIndex(index))).collect());
    }
    let deployment = Deployment::load(&arguments.deployment)?;
    let chain = ChainClient::new(&arguments.rpc, None)?;
    let runtime = super::runtime()?;
    Ok(runtime.block_on(earners_on_chain(&chain, &deployment, datanets))?)
}

//! `openledger index`

use std::path::PathBuf;

use alloy::primitives::Address;
use attribution::{estimate::InfluenceIndex, settle::EarnerIndex};
use clap::{Args, Subcommand};
use eyre::WrapErr;
use node::{
    chain::{ChainClient, Deployment},
    datanet::Datanet,
    factory::{EarnerMap, IndexSettings, build_index, earners_on_chain},
};

use super::{progress::bar, report};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct IndexArguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    build: Option<BuildArguments>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure how well the index predicts retraining, and post the figures.
    Report(report::ReportArguments),
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
    #[arg(long, default_value_t = 256)]
    side: usize,
    /// Damping of the Fisher matrix, relative to its mean diagonal.
    #[arg(long, default_value_t = 1.0)]
    damping: f64,
    /// Tokens of a row that are used; what it was trained with.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Index of an earlier version of the same Datanets for the same adapter: its projection is kept,
    /// so that only new rows are computed.
    #[arg(long, value_name = "FILE")]
    extend: Option<PathBuf>,
}

pub(crate) fn run(arguments: IndexArguments) -> eyre::Result<()> {
    match (arguments.action, arguments.build) {
        (Some(Action::Report(arguments)), _) => report::run(&arguments),
        (None, Some(arguments)) => build(arguments),
        (None, None) => Err(eyre::eyre!("give the folders of base, adapter and Datanets")),
    }
}

fn build(arguments: BuildArguments) -> eyre::Result<()> {
    let datanets = arguments
        .datanet
        .iter()
        .map(|dir| Datanet::load(dir))
        .collect::<node::Result<Vec<Datanet>>>()?;
    let earners = earners(&arguments, &datanets)?;
    let mut settings = IndexSettings {
        dim: arguments.dim,
        side: arguments.side,
        damping: arguments.damping,
        max_tokens: arguments.max_tokens,
        ..IndexSettings::default()
    };
    if let Some(path) = &arguments.extend {
        let earlier = InfluenceIndex::read(path)?;
        let projector = earlier.projector().config();
        (settings.dim, settings.side) = (projector.dim, projector.side);
        settings.seed = Some(projector.seed.into());
    }
    let rows: usize = datanets.iter().map(|datanet| datanet.rows.len()).sum();
    let bar = bar(rows as u64, "gradients");
    let (base, dir) = (&arguments.base, &arguments.adapter);
    let report = build_index(base, dir, &datanets, &earners, &settings, &mut |progress| {
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

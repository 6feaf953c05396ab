//! `openledger index verify` and `openledger index show`

use std::path::PathBuf;

use attribution::estimate::InfluenceIndex;
use clap::Args;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use eyre::eyre;
use node::{
    catalog::{INDEX_FILE, ModelManifest},
    chain::ChainClient,
    datanet::Datanet,
    explain::{ChainIndex, IndexCheck, IndexSummary, Report, Verdict, verify_index},
};
use serde_json::json;

use super::super::{ChainArguments, progress::bar};

/// Most contributors that are shown.
const SHOWN: usize = 32;

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// Folder of the model: its adapter, index.olx and model.json.
    dir: PathBuf,
    /// Folders of the Datanets that it was trained on, in the order of its registration.
    #[arg(long, value_name = "DIR")]
    datanet: Vec<PathBuf>,
    /// Folders of the Datanet versions that the index's projection was learned from, if it was built
    /// with --extend.
    #[arg(long, value_name = "DIR")]
    learned_from: Vec<PathBuf>,
    /// Folder of the base model: the adapter's shapes are compared with the index's.
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Compute the sketches of so many rows again, and learn the basis of the projection again; needs
    /// --base and --datanet.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    rows: usize,
    /// Which rows those are.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tokens of a row that are used; what the index was built with.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Do not ask the chain.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    chain: ChainArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Folder of the model.
    dir: PathBuf,
}

pub(super) fn verify(arguments: VerifyArguments) -> eyre::Result<()> {
    let load = |dirs: &[PathBuf]| {
        dirs.iter().map(|dir| Datanet::load(dir)).collect::<node::Result<Vec<_>>>()
    };
    let (datanets, learned_from) = (load(&arguments.datanet)?, load(&arguments.learned_from)?);
    let chain = match ModelManifest::load(&arguments.dir) {
        Ok(manifest) if !arguments.offline => {
            let (deployment, rpc) = (arguments.chain.deployment()?, &arguments.chain.rpc);
            let client = ChainClient::new(rpc, None)?;
            let fetch = ChainIndex::fetch(&client, &deployment, manifest.model_id, &datanets);
            Some(super::super::runtime()?.block_on(fetch)?)
        }
        _ => None,
    };
    let check = IndexCheck {
        dir: &arguments.dir,
        chain,
        datanets: &datanets,
        learned_from: (!learned_from.is_empty()).then_some(&learned_from[..]),
        base: arguments.base.as_deref(),
        rows: arguments.rows,
        seed: arguments.seed,
        max_tokens: arguments.max_tokens,
    };
    let bar = bar(arguments.rows as u64, "sketches");
    let (report, summary) = verify_index(&check, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if arguments.json {
        let body = json!({ "agrees": report.agrees(), "report": report });
        println!("{}", serde_json::to_string_pretty(&body)?);
    } else {
        print_report(&report, summary.as_ref());
    }
    if report.agrees() { Ok(()) } else { Err(eyre!("the index is not what it is said to be")) }
}

fn print_report(report: &Report, summary: Option<&IndexSummary>) {
    let width = report.findings.iter().map(|one| one.what.len()).max().unwrap_or(0);
    for finding in &report.findings {
        let mark = match finding.verdict {
            Verdict::Agrees => "ok     ",
            Verdict::Differs => "DIFFERS",
            Verdict::Unchecked => "-      ",
        };
        println!("{mark} {:<width$}  {}", finding.what, finding.detail);
    }
    if let Some(summary) = summary {
        println!("root {}", summary.root);
    }
}

pub(super) fn show(arguments: &ShowArguments) -> eyre::Result<()> {
    let index = InfluenceIndex::read(&arguments.dir.join(INDEX_FILE))?;
    let summary = IndexSummary::of(&index);
    println!(
        "{} rows, {} numbers per sketch from {} sites (side {}), damping {}, scale {}",
        summary.rows, summary.dim, summary.sites, summary.side, summary.damping, summary.scale
    );
    println!("root {}", summary.root);
    if !summary.excluded.is_empty() {
        println!("{} rows have a zero sketch and are paid nothing", summary.excluded.len());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["contributor", "rows", "accepted"]);
    for (earner, rows, accepted) in summary.contributors.iter().take(SHOWN) {
        table.add_row([earner.to_string(), rows.to_string(), accepted.to_string()]);
    }
    println!("{table}");
    let more = summary.contributors.len().saturating_sub(SHOWN);
    if more > 0 {
        println!("and {more} contributors more");
    }
    Ok(())
}

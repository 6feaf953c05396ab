//! `openledger index report`

mod check;

use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use node::{
    datanet::Datanet,
    factory::{Correlation, Registrar, Report, ReportSettings, measure_report},
};

use super::{ChainArguments, KeyArguments, progress::bar};

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Folder of the model: its adapter, influence index and signed training log. The report is
    /// written there.
    dir: PathBuf,
    /// Folder of the base model.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["show", "reclaim"])]
    base: Option<PathBuf>,
    /// Folders of the Datanets that it was trained on, in the order of its training log.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["show", "reclaim"])]
    datanet: Vec<PathBuf>,
    /// Halves of its rows that the model is retrained on, twice each; 8 if absent, and as many as the
    /// posted report has with --check.
    #[arg(long, value_name = "N")]
    retrainings: Option<usize>,
    /// Held-out rows that are asked about, at most.
    /// Those who check a report ask about 64.
    #[arg(long, value_name = "N", default_value_t = ReportSettings::default().queries)]
    queries: usize,
    /// Print the report that is there; measure nothing.
    #[arg(long, conflicts_with_all = ["base", "datanet", "reclaim"])]
    show: bool,
    /// Post the report on the chain with its bond.
    #[arg(long)]
    publish: bool,
    /// Take the bond of the last report back, which is in force by now; measure nothing.
    #[arg(long, conflicts_with_all = ["base", "datanet", "publish"])]
    reclaim: bool,
    #[command(flatten)]
    check: check::CheckArguments,
    #[command(flatten)]
    chain: ChainArguments,
    #[command(flatten)]
    key: KeyArguments,
}

pub(crate) fn run(arguments: &ReportArguments) -> eyre::Result<()> {
    if arguments.check.check {
        return check::run(arguments);
    }
    if arguments.reclaim {
        return super::runtime()?.block_on(reclaim(arguments));
    }
    let report = match &arguments.base {
        Some(base) if !arguments.show => measure(arguments, base)?,
        _ => Report::load(&arguments.dir)?,
    };
    println!("{}", table(&report));
    println!("influence pays {}", percent(report.bps.influence));
    println!("report hash {}", report.hash());
    if arguments.publish {
        super::runtime()?.block_on(publish(arguments))?;
    }
    Ok(())
}

fn measure(arguments: &ReportArguments, base: &std::path::Path) -> eyre::Result<Report> {
    let datanets = datanets(arguments)?;
    let default = ReportSettings::default();
    let settings = ReportSettings {
        retrainings: arguments.retrainings.unwrap_or(default.retrainings),
        queries: arguments.queries,
        ..default
    };
    let bar = bar(0, "queries");
    let report = measure_report(base, &arguments.dir, &datanets, &settings, &mut |progress| {
        bar.set_prefix(progress.stage);
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn datanets(arguments: &ReportArguments) -> eyre::Result<Vec<Datanet>> {
    let datanets = arguments.datanet.iter().map(|dir| Datanet::load(dir));
    Ok(datanets.collect::<node::Result<_>>()?)
}

/// The figures of a report.
fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["", "mean", "95% interval", "on chain"]);
    let mut add = |name: &str, of: &Correlation, chain: String| {
        let interval = format!("{:.3} to {:.3}", of.low, of.high);
        table.add_row([name.to_owned(), format!("{:.3}", of.mean), interval, chain]);
    };
    let bps = report.bps;
    add("lds", &report.lds, format!("{} ({} to {}) bps", bps.lds, bps.lds_low, bps.lds_high));
    add("ceiling", &report.ceiling, format!("{} bps", bps.ceiling));
    let protocol = &report.protocol;
    let [rows, half] = protocol.rows;
    let over = format!(
        "{} halves of {half} of {rows} rows, {} seeds each, {} steps",
        protocol.halves, protocol.seeds, protocol.steps
    );
    table.add_row(["over", &format!("{} queries", protocol.queries.len()), &over, ""]);
    table
}

fn percent(bps: u16) -> String {
    format!("{}.{:02}% of positive nets", bps / 100, bps % 100)
}

async fn publish(arguments: &ReportArguments) -> eyre::Result<()> {
    let registrar = registrar(arguments).await?;
    let published = registrar.report(&arguments.dir).await?;
    let before = if published.is_new { "" } else { " (posted before)" };
    println!(
        "figure {}{before}: bond {} wei; in force from {} unless challenged",
        published.figure, published.bond, published.in_force_from
    );
    Ok(())
}

async fn reclaim(arguments: &ReportArguments) -> eyre::Result<()> {
    let bond = registrar(arguments).await?.reclaim_report(&arguments.dir).await?;
    println!("bond of {bond} wei paid back");
    Ok(())
}

async fn registrar(arguments: &ReportArguments) -> eyre::Result<Registrar> {
    let (chain, key) = (&arguments.chain, arguments.key.signer()?);
    Ok(Registrar::connect(&chain.rpc, chain.deployment()?, key).await?)
}

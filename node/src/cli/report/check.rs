//! `openledger index report --check`

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use eyre::{OptionExt, ensure};
use node::{
    catalog::ModelManifest,
    datanet::Datanet,
    factory::{CheckedReport, PostedFigures, ReportCheck, check_report, reported_model},
    figures::{FigurePhase, Figures, PostedFigure, Verdict},
};

use super::{super::figures, ReportArguments, bar};

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Measure the posted report again and say whether it is true.
    #[arg(long, conflicts_with_all = ["show", "publish", "reclaim"], requires = "base")]
    pub(super) check: bool,
    /// The figure to check; the model's last report if absent.
    #[arg(long, value_name = "NUMBER", requires = "check")]
    figure: Option<u64>,
    /// Folder that keeps this machine's own retrainings, so that a check that was stopped goes on;
    /// `checks` in the data folder if absent.
    #[arg(long, value_name = "DIR", requires = "check")]
    work: Option<PathBuf>,
    /// Data folder of the validator's node: the verdict is left there, and the node votes by it.
    #[arg(long, value_name = "DIR", requires = "check")]
    data_dir: Option<PathBuf>,
    /// Challenge the figure with the bond if it is False.
    #[arg(long, requires = "check")]
    challenge: bool,
}

pub(super) fn run(arguments: &ReportArguments) -> eyre::Result<()> {
    super::super::runtime()?.block_on(check(arguments))
}

async fn check(arguments: &ReportArguments) -> eyre::Result<()> {
    let (own, dir) = (&arguments.check, &arguments.dir);
    let base = arguments.base.as_deref().ok_or_eyre("--check needs --base")?;
    let model = ModelManifest::load(dir)?.model_id;
    let work = match (&own.work, &own.data_dir) {
        (Some(work), _) => work.clone(),
        (None, Some(data_dir)) => data_dir.join("checks").join(model.to_string()),
        (None, None) => eyre::bail!("--check needs --work or --data-dir"),
    };
    let signer = if own.challenge { Some(arguments.key.signer()?) } else { None };
    let chain = &arguments.chain;
    let book = Figures::connect(&chain.rpc, chain.deployment()?, signer).await?;
    let (posted, report) = figures::report_of(&book, model, own.figure).await?;
    let datanets = super::datanets(arguments)?;
    let files = reported_model(base, dir, &datanets)?;
    let differ = book.differences(model, &files).await?;
    ensure!(
        differ.is_empty(),
        "nothing can be said with these files: model {model} was registered with another {}",
        differ.join(" and another ")
    );
    let claimed = PostedFigures {
        hash: report.hash,
        lds_low: report.ldsLow,
        ceiling: report.ceiling,
        retrainings: report.retrainings,
    };
    let checked = tokio::task::block_in_place(|| {
        measure(base, dir, &datanets, &work, claimed, arguments.retrainings)
    })?;
    println!("{}", table(&posted, &checked));
    conclude(&book, &posted, &checked, own).await
}

fn measure(
    base: &Path,
    dir: &Path,
    datanets: &[Datanet],
    work: &Path,
    posted: PostedFigures,
    retrainings: Option<usize>,
) -> eyre::Result<CheckedReport> {
    let bar = bar(0, "queries");
    let check = ReportCheck { base, dir, datanets, work, posted, retrainings };
    let checked = check_report(&check, &mut |progress| {
        bar.set_prefix(progress.stage);
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    Ok(checked)
}

/// What was posted beside what was measured.
fn table(posted: &PostedFigure, checked: &CheckedReport) -> Table {
    let mut table = Table::new();
    let head = ["", "posted", "measured", "agrees from", "to", ""];
    table.load_preset(UTF8_BORDERS_ONLY).set_header(head);
    let mark = |agrees: bool| if agrees { "ok" } else { "DIFFERS" };
    for figure in &checked.figures {
        table.add_row([
            figure.name.to_owned(),
            figure.posted.to_string(),
            figure.measured.map_or_else(|| "-".to_owned(), |bps| bps.to_string()),
            figure.range[0].to_string(),
            figure.range[1].to_string(),
            mark(figure.agrees()).to_owned(),
        ]);
    }
    let share = checked.measured.as_ref().map(|report| report.bps.influence);
    let share = share.map_or_else(|| "-".to_owned(), |bps| bps.to_string());
    table.add_row(["influence share", &posted.figure.bps.to_string(), &share, "", "", ""]);
    if !checked.is_partial {
        let same = if checked.is_same_file { "the same" } else { "another" };
        table.add_row(["file", "", same, "", "", ""]);
    }
    table
}

/// Says the verdict and what may be done by it, and does what was asked for.
async fn conclude(
    book: &Figures,
    posted: &PostedFigure,
    checked: &CheckedReport,
    own: &CheckArguments,
) -> eyre::Result<()> {
    let is_false = checked.is_false();
    let verdict = if is_false { Verdict::False } else { Verdict::Holds };
    let now = book.now().await?;
    let phase = posted.phase(now);
    let (number, named) = (posted.number, figures::named(verdict));
    let part = if checked.is_partial { ", as far as fewer retrainings show" } else { "" };
    println!("figure {number}: {named}{part}; {}", figures::state(phase, now));
    if let Some(data_dir) = &own.data_dir {
        figures::leave(book, posted, verdict, data_dir)?;
    }
    let may_challenge = matches!(phase, FigurePhase::Window(_));
    match (is_false, own.challenge) {
        (true, true) => {
            ensure!(may_challenge, "figure {number} cannot be challenged any more");
            let bond = figures::open(book.bond().await?);
            book.challenge(number).await?;
            println!("figure {number} is challenged with a bond of {bond}");
        }
        (false, true) => {
            println!("not challenged: a figure that holds costs its challenger the bond")
        }
        (true, false) if may_challenge => {
            let bond = figures::open(book.bond().await?);
            println!("--challenge would put it to a vote, with a bond of {bond}");
        }
        _ => {}
    }
    let votes = matches!(phase, FigurePhase::Committing(_) | FigurePhase::Window(_));
    if votes && own.data_dir.is_none() {
        println!("--data-dir would have a validator's node vote {named} once it is voted on");
    }
    Ok(())
}

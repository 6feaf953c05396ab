//! `openledger figures`

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, U256, utils::format_ether};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use eyre::{OptionExt, ensure, eyre};
use node::{
    chain::bindings::IBondedFigures::{Kind, Report},
    figures::{FigurePhase, FigureVerdict, Figures, PostedFigure, Verdict},
};

use super::{ChainArguments, KeyArguments};

#[derive(Debug, Args)]
pub(crate) struct FiguresArguments {
    #[command(flatten)]
    chain: ChainArguments,
    #[command(flatten)]
    key: KeyArguments,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the last figures.
    List {
        /// How many.
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        last: u64,
        /// Only those that may be challenged or are voted on.
        #[arg(long)]
        open: bool,
    },
    /// Show a figure, what it says and how the vote on it is.
    Show {
        /// Number of the figure.
        figure: u64,
    },
    /// Challenge a figure with the bond: validators vote on it.
    Challenge {
        /// Number of the figure.
        figure: u64,
    },
    /// Leave a verdict in a node's data folder: while the figure is voted on, the node commits to it
    /// and reveals it in time.
    Vote {
        /// Number of the figure.
        figure: u64,
        /// What was found of it.
        verdict: Finding,
        /// Data folder of the validator's node.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// End the vote on a figure whose time is over; anyone may.
    Resolve {
        /// Number of the figure.
        figure: u64,
    },
    /// Pay the bond of a figure that is in force back to its poster; anyone may.
    Reclaim {
        /// Number of the figure.
        figure: u64,
    },
    /// Pay an account what votes left it; anyone may.
    Withdraw {
        /// The account.
        account: Address,
    },
}

/// What was found of a figure.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Finding {
    /// It is what measuring again gives.
    Holds,
    /// It is not.
    False,
}

pub(crate) async fn run(arguments: FiguresArguments) -> eyre::Result<()> {
    let FiguresArguments { chain, key, action } = arguments;
    let sends = matches!(
        action,
        Action::Challenge { .. }
            | Action::Resolve { .. }
            | Action::Reclaim { .. }
            | Action::Withdraw { .. }
    );
    let signer = if sends { Some(key.signer()?) } else { None };
    let figures = Figures::connect(&chain.rpc, chain.deployment()?, signer).await?;
    match action {
        Action::List { last, open } => list(&figures, last, open).await,
        Action::Show { figure } => show(&figures, figure).await,
        Action::Challenge { figure } => challenge(&figures, figure).await,
        Action::Vote { figure, verdict, data_dir } => {
            let verdict = match verdict {
                Finding::Holds => Verdict::Holds,
                Finding::False => Verdict::False,
            };
            leave(&figures, &known(&figures, figure).await?, verdict, &data_dir)
        }
        Action::Resolve { figure } => {
            figures.resolve(figure).await?;
            show(&figures, figure).await
        }
        Action::Reclaim { figure } => {
            figures.reclaim(figure).await?;
            let poster = known(&figures, figure).await?.figure.poster;
            println!("bond of {} paid back to {poster}", open(figures.bond().await?));
            Ok(())
        }
        Action::Withdraw { account } => {
            println!("{} paid to {account}", open(figures.withdraw(account).await?));
            Ok(())
        }
    }
}

async fn known(figures: &Figures, number: u64) -> eyre::Result<PostedFigure> {
    figures.get(number).await?.ok_or_else(|| eyre!("there is no figure {number}"))
}

async fn list(figures: &Figures, last: u64, only_open: bool) -> eyre::Result<()> {
    let (count, now) = (figures.count().await?, figures.now().await?);
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["figure", "of", "bps", "posted by", "state"]);
    for number in (count.saturating_sub(last)..count).rev().map(|before| before + 1) {
        let posted = known(figures, number).await?;
        let phase = posted.phase(now);
        if only_open && !is_open(phase) {
            continue;
        }
        table.add_row([
            number.to_string(),
            subject(&posted),
            posted.figure.bps.to_string(),
            posted.figure.poster.to_string(),
            state(phase, now),
        ]);
    }
    println!("{table}");
    let bond = open(figures.bond().await?);
    println!("{count} figures; a figure and a challenge cost a bond of {bond}");
    Ok(())
}

async fn show(figures: &Figures, number: u64) -> eyre::Result<()> {
    let (posted, now) = (known(figures, number).await?, figures.now().await?);
    println!("{}", details(&posted, figures.report(number).await?.as_ref(), now));
    Ok(())
}

/// Everything about a figure.
fn details(posted: &PostedFigure, report: Option<&Report>, now: u64) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY);
    let mut add = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let figure = &posted.figure;
    add("figure", posted.number.to_string());
    add("of", subject(posted));
    let what = match figure.kind {
        Kind::Influence => "influence share",
        _ => "reputation",
    };
    add(what, format!("{} bps", figure.bps));
    if let Some(report) = report {
        let Report { ldsLow, lds, ldsHigh, ceiling, retrainings, .. } = report;
        add("lds", format!("{lds} bps, 95% interval {ldsLow} to {ldsHigh}"));
        add("ceiling", format!("{ceiling} bps"));
        add("retrainings", retrainings.to_string());
    }
    add("file", figure.hash.to_string());
    add("posted by", figure.poster.to_string());
    add("state", state(posted.phase(now), now));
    add("bond", if figure.bondHeld { "held" } else { "settled" }.to_owned());
    if let Some(vote) = &posted.vote {
        add("challenged by", figure.challenger.to_string());
        let percent = |stake: u128| match vote.panelStake {
            0 => "-".to_owned(),
            whole => format!("{}%", U256::from(stake) * U256::from(100) / U256::from(whole)),
        };
        let revealed = percent(vote.revealedStake);
        let is_false = percent(vote.falseStake);
        add("revealed", format!("{revealed} of the panel's stake, {is_false} for False"));
    }
    table
}

async fn challenge(figures: &Figures, number: u64) -> eyre::Result<()> {
    let bond = figures.bond().await?;
    figures.challenge(number).await?;
    println!("figure {number} is challenged with a bond of {}", open(bond));
    show(figures, number).await
}

/// Leaves a verdict where a node looks for it.
pub(super) fn leave(
    figures: &Figures,
    posted: &PostedFigure,
    verdict: Verdict,
    data_dir: &Path,
) -> eyre::Result<()> {
    ensure!(data_dir.is_dir(), "{} is no folder", data_dir.display());
    let (contract, hash) = (figures.contract(), posted.figure.hash);
    let left = FigureVerdict { contract, figure: posted.number, hash, verdict };
    let path = left.leave(data_dir)?;
    println!("verdict {} left in {}", named(verdict), path.display());
    Ok(())
}

pub(super) const fn named(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "Holds",
        Verdict::False => "False",
    }
}

/// Whether anything may happen to it yet.
const fn is_open(phase: FigurePhase) -> bool {
    !matches!(phase, FigurePhase::Accepted | FigurePhase::Out(_) | FigurePhase::Confirmed(_))
}

fn subject(posted: &PostedFigure) -> String {
    match posted.figure.kind {
        Kind::Influence => format!("model {}", short(posted.figure.subject)),
        _ => format!("contributor {}", U256::from_be_bytes(posted.figure.subject.0)),
    }
}

/// The first bytes of an id, enough to find it by.
fn short(id: B256) -> String {
    let text = id.to_string();
    format!("{}…{}", &text[..10], &text[text.len() - 8..])
}

/// What may happen to a figure, with the time that is left.
pub(super) fn state(phase: FigurePhase, now: u64) -> String {
    let left = |until: u64| duration(until.saturating_sub(now));
    match phase {
        FigurePhase::Window(until) => format!("may be challenged for {}", left(until)),
        FigurePhase::Committing(until) => format!("voted on: commits for {}", left(until)),
        FigurePhase::Revealing(until) => format!("voted on: reveals for {}", left(until)),
        FigurePhase::Resolvable => "voted on: may be resolved".to_owned(),
        FigurePhase::Confirmed(from) => format!("confirmed, in force in {}", left(from)),
        FigurePhase::Accepted => "accepted".to_owned(),
        FigurePhase::Out(why) => format!("out: {why}"),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Wei as OPEN.
pub(super) fn open(wei: U256) -> String {
    let text = format_ether(wei);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} OPEN")
}

/// The last report of a model, or one by its number, which must be the model's.
pub(super) async fn report_of(
    figures: &Figures,
    model: B256,
    number: Option<u64>,
) -> eyre::Result<(PostedFigure, Report)> {
    let posted = match number {
        Some(number) => known(figures, number).await?,
        None => {
            let last = figures.last_report(model).await?;
            last.ok_or_else(|| eyre!("no report of model {model} was ever posted"))?
        }
    };
    let is_of = posted.figure.kind == Kind::Influence && posted.figure.subject == model;
    ensure!(is_of, "figure {} is not of model {model}", posted.number);
    let report = figures.report(posted.number).await?;
    let report = report.ok_or_eyre("the event of the report is not on this chain")?;
    Ok((posted, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_amounts_are_readable() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min");
        assert_eq!(duration(3_600 * 5 + 120), "5 h 2 min");
        assert_eq!(duration(86_400 * 7), "7 d 0 h");
        assert_eq!(open(U256::from(100_000_000_000_000_000_000_u128)), "100 OPEN");
        assert_eq!(open(U256::from(1_500_000_000_000_000_000_u64)), "1.5 OPEN");
        assert_eq!(open(U256::ZERO), "0 OPEN");
        assert_eq!(state(FigurePhase::Window(160), 100), "may be challenged for 1 min");
        assert_eq!(state(FigurePhase::Out("false"), 100), "out: false");
        let text = short(B256::repeat_byte(0xab));
        assert_eq!(text, "0xabababab…abababab");
    }
}

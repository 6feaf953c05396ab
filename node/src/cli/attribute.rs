//! `openledger attribute`

mod audit;
mod fetch;
mod paint;
mod render;
mod shown;

use std::{io::IsTerminal, path::PathBuf};

use alloy::primitives::B256;
use clap::{Args, ValueEnum};
use eyre::{WrapErr, bail, eyre};
use node::{
    config::Config,
    explain::{CheckSettings, Claimed, Report, open_checker, open_registry},
};
use serde_json::json;

use self::{
    fetch::{RowText, Whence},
    paint::Paint,
    render::render,
    shown::Shown,
};
use super::{ChainArguments, KeyArguments};

#[derive(Debug, Args)]
pub(crate) struct AttributeArguments {
    /// Digest of the call's voucher, or the id of its answer (chatcmpl-...).
    call: String,
    /// The node that has the record. Without it the store of the configuration is read.
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    node_url: Option<String>,
    /// A node's configuration. What it names is what the answer is computed again from: the chain,
    /// the base and the models' folders, data availability, powers of tau.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with the bearer key that the answer was asked with, or an administrator's.
    /// OPENLEDGER_API_KEY in the environment wins over it.
    #[arg(long, value_name = "FILE")]
    api_key: Option<PathBuf>,
    /// Sign as the payer, to read request and answer; the key is that of --key.
    #[arg(long)]
    payer: bool,
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    chain: ChainArguments,
    /// File with the request's body as it was sent, instead of asking the node for it.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// File with the answer's text, or with its document of text and sources, instead of asking the
    /// node for it.
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// Rows to show.
    #[arg(long, default_value_t = 8)]
    rows: usize,
    /// Do not load models: neither scores nor the answer are computed again.
    #[arg(long)]
    no_recompute: bool,
    /// Leave sources of the answer out, one set after the other, and compare what each adds with what
    /// it is paid by. Takes forty passes of the model; reads the store of the configuration.
    #[arg(long, conflicts_with_all = ["node_url", "no_recompute"])]
    ablate: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    colour: Colour,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

impl Colour {
    fn paint(self) -> Paint {
        Paint::new(match self {
            Self::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            Self::Always => true,
            Self::Never => false,
        })
    }
}

pub(crate) async fn run(arguments: AttributeArguments) -> eyre::Result<()> {
    let digest = digest_of(&arguments.call)?;
    let config = arguments.config.as_deref().map(Config::load).transpose()?;
    let known = match &config {
        Some(config) => Some(open_registry(config).await?),
        None => None,
    };
    let whence = match (&arguments.node_url, &config, &known) {
        (Some(url), _, _) => Whence::node(url, &arguments, digest).await?,
        (None, Some(config), Some((store, registry))) => Whence::Store(config, store, registry),
        _ => bail!("neither --node-url nor --config is given"),
    };
    let explanation = whence.explanation(digest, arguments.rows).await?;
    let texts = whence.rows(&explanation).await;
    let read = |path: &PathBuf| std::fs::read(path).wrap_err_with(|| path.display().to_string());
    let told = explanation.text.as_ref();
    let request = match &arguments.request {
        Some(path) => Some(read(path)?),
        None => told.and_then(|text| text.request.clone()).map(String::into_bytes),
    };
    let answer = match &arguments.answer {
        Some(path) => Some(read(path)?),
        None => told.map(|text| text.output.as_ref().unwrap_or(&text.answer).clone().into_bytes()),
    };
    let mut audit = None;
    let report = match (&config, known.clone()) {
        (Some(config), Some((store, registry))) => {
            let settings = CheckSettings { recomputes: !arguments.no_recompute };
            let checker = open_checker(config, registry, settings).await?;
            let claimed = Claimed {
                explanation: &explanation,
                request: request.as_deref(),
                answer: answer.as_deref(),
            };
            let report = checker.check(claimed).await?;
            if arguments.ablate {
                let request = request.as_deref().unwrap_or_default();
                audit = Some(audit::audit(config, &checker, &store, digest, request)?);
            }
            Some(report)
        }
        _ => None,
    };
    print(&arguments, &Shown { explanation, texts, report, audit })
}

fn print(arguments: &AttributeArguments, shown: &Shown) -> eyre::Result<()> {
    if arguments.json {
        let rows: Vec<_> = shown.texts.iter().map(RowText::json).collect();
        let body = json!({
            "explanation": shown.explanation,
            "rows": rows,
            "agrees": shown.report.as_ref().map(Report::agrees),
            "report": shown.report,
            "ablation": shown.audit.as_ref().map(audit::json),
        });
        println!("{}", serde_json::to_string_pretty(&body)?);
    } else {
        print!("{}", render(shown, arguments.colour.paint()));
    }
    match &shown.report {
        Some(report) if !report.agrees() => Err(eyre!("the record is not what was computed")),
        _ => Ok(()),
    }
}

/// A voucher's digest, or the one that an answer's id ends with.
fn digest_of(text: &str) -> eyre::Result<B256> {
    let hex = text.rsplit_once('-').map_or(text, |(_, hex)| hex);
    let wrong = || eyre!("{text:?} is neither 32 bytes of hex nor the id of an answer");
    hex.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_its_digest_or_its_answers_id() {
        let digest = B256::repeat_byte(0xab);
        let hex = alloy::hex::encode(digest);
        for text in [hex.clone(), format!("0x{hex}"), format!("chatcmpl-{hex}")] {
            assert_eq!(digest_of(&text).unwrap(), digest, "{text}");
        }
        assert!(digest_of("chatcmpl-12").is_err());
    }
}

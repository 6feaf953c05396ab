//! `openledger train`

use std::path::PathBuf;

use clap::Args;
use node::{
    datanet::Datanet,
    factory::{SIGNATURE_FILE, SignedLog, TrainSettings, train},
};

use super::{KeyArguments, progress::bar};

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Folder of the Datanet.
    #[arg(long, value_name = "DIR")]
    datanet: PathBuf,
    /// Folder that the adapter is written to, in PEFT's layout.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rank of the adapter.
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// The adapter's part is scaled by alpha / rank.
    #[arg(long, default_value_t = 16.0)]
    alpha: f64,
    /// Modules that get an adapter; every linear projection if none is named.
    #[arg(long, value_name = "MODULE", value_delimiter = ',')]
    modules: Vec<String>,
    /// Optimiser steps; 0 makes an adapter that changes no answer, to pay a base's Datanets by spans.
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// Rows per step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Tokens of a row that are used.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// One row in this many is held out; 0 holds none out.
    #[arg(long, default_value_t = 20)]
    held_out_every: usize,
    /// Decides initial weights, order, and which rows are held out.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sign the log of the training with the trainer's key; it is written beside the adapter.
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    key: KeyArguments,
}

pub(crate) fn run(arguments: TrainArguments) -> eyre::Result<()> {
    // Before training, so that a missing key is known at once.
    let key = arguments.sign.then(|| arguments.key.signer()).transpose()?;
    let datanet = Datanet::load(&arguments.datanet)?;
    let mut settings = TrainSettings {
        steps: arguments.steps,
        batch: arguments.batch,
        rate: arguments.rate,
        max_tokens: arguments.max_tokens,
        held_out_every: arguments.held_out_every,
        seed: arguments.seed,
        ..TrainSettings::default()
    };
    settings.lora.rank = arguments.rank;
    settings.lora.alpha = arguments.alpha;
    if !arguments.modules.is_empty() {
        settings.lora.target_modules = arguments.modules;
    }
    let bar = bar(settings.steps, "training");
    let report = train(&arguments.base, &datanet, &arguments.out, &settings, &mut |progress| {
        bar.set_position(progress.step);
        let (loss, speed) = (progress.loss, progress.tokens_per_second);
        bar.set_message(format!("loss {loss:.3}  {speed:.0} tokens/s"));
    })?;
    bar.finish();
    println!(
        "{} rows, {} held out; {} weights; {:.1} s",
        report.rows, report.held_out, report.parameters, report.seconds
    );
    if let (Some(before), Some(after)) = (report.loss_before, report.loss_after) {
        println!("held-out loss {before:.4} -> {after:.4} nats per token");
    }
    if let Some(key) = key {
        SignedLog::sign(report.log, &key)?.save(&arguments.out)?;
        println!("training log signed by {} in {SIGNATURE_FILE}", key.address());
    }
    println!("adapter in {}", arguments.out.display());
    Ok(())
}

//! Trains an adapter on a Datanet.

use std::{collections::HashSet, path::Path, time::Instant};

use inference::{
    model::{AdapterDelta, Decoder},
    tokenizer::Tokenizer,
    train::{
        Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer, held_out_loss,
        optimizer::AdamWConfig, shuffled,
    },
};

use super::rows::row_example;
use crate::{Error, Result, datanet::Datanet};

/// How to train an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Rank, scale and modules.
    pub lora: LoraConfig,
    /// Optimiser steps.
    pub steps: u64,
    /// Examples per step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Tokens of a row that are used; a longer row is cut.
    pub max_tokens: usize,
    /// One row in this many is held out and never trained on; 0 holds none out.
    pub held_out_every: usize,
    /// Decides initial weights, order and which rows are held out.
    pub seed: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            lora: LoraConfig::default(),
            steps: 300,
            batch: 8,
            rate: 1e-3,
            max_tokens: 256,
            held_out_every: 20,
            seed: 1,
        }
    }
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainProgress {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Loss of the step's batch, nats per token.
    pub loss: f64,
    /// Tokens per second of the step.
    pub tokens_per_second: f64,
}

/// What training did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainReport {
    /// Rows trained on.
    pub rows: usize,
    /// Rows held out.
    pub held_out: usize,
    /// Weights of the adapter.
    pub parameters: usize,
    /// Steps done.
    pub steps: u64,
    /// Seconds that they took.
    pub seconds: f64,
    /// Loss on the held-out rows before, nats per token; `None` if none were held out.
    pub loss_before: Option<f64>,
    /// Loss on the held-out rows after.
    pub loss_after: Option<f64>,
}

/// Trains an adapter for the base model in `base` on a Datanet's rows, and writes it to `out` in
/// PEFT's layout. Duplicates are left out: a row counts once per cluster. The same inputs give the
/// same bytes.
///
/// # Errors
/// [`Error::Datanet`] if no row is long enough to learn from, [`Error::Inference`] if the model
/// cannot be loaded, a setting is out of bounds, or the adapter cannot be written.
pub fn train(
    base: &Path,
    datanet: &Datanet,
    out: &Path,
    settings: &TrainSettings,
    progress: &mut dyn FnMut(TrainProgress),
) -> Result<TrainReport> {
    let decoder = Decoder::load(base)?;
    let tokenizer = Tokenizer::load(base)?;
    let (examples, held_out) = examples(&tokenizer, &decoder, datanet, settings)?;
    let lora = TrainableLora::new(&decoder, &settings.lora, settings.seed)?;
    let loss = |delta: &dyn AdapterDelta| -> Result<Option<f64>> {
        if held_out.is_empty() {
            return Ok(None);
        }
        Ok(Some(held_out_loss(&decoder, delta, &held_out)?))
    };
    let loss_before = loss(&lora)?;
    let started = Instant::now();
    let mut trainer = Trainer::new(lora.variables(), trainer_settings(settings))?;
    trainer.run(&decoder, &lora, &examples, |_, step| {
        let inference::train::Progress { step, steps, loss, tokens_per_second, .. } = step;
        progress(TrainProgress { step, steps, loss, tokens_per_second });
        Ok(())
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let name = base.file_name().map(|name| name.to_string_lossy().into_owned());
    lora.save(out, &settings.lora, &name.unwrap_or_default())?;
    Ok(TrainReport {
        rows: examples.len(),
        held_out: held_out.len(),
        parameters: lora.parameter_count(),
        steps: settings.steps,
        seconds,
        loss_before,
        loss_after: loss(&lora)?,
    })
}

fn trainer_settings(settings: &TrainSettings) -> Settings {
    Settings {
        schedule: Schedule {
            peak: settings.rate,
            floor: 0.1,
            warmup: settings.steps / 20,
            steps: settings.steps,
        },
        // Decay would pull the adapter towards changing nothing, which rank already bounds.
        optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        clip: 1.0,
        batch: settings.batch,
        seed: settings.seed,
    }
}

/// Training and held-out examples of the Datanet's canonical rows.
fn examples(
    tokenizer: &Tokenizer,
    decoder: &Decoder,
    datanet: &Datanet,
    settings: &TrainSettings,
) -> Result<(Vec<Example>, Vec<Example>)> {
    let max = settings.max_tokens.min(decoder.spec().max_positions);
    let mut all = Vec::new();
    for row in datanet.canonical() {
        if let Some(example) = row_example(tokenizer, &row.text, max)? {
            all.push(example);
        }
    }
    let held = match settings.held_out_every {
        0 => 0,
        every => all.len() / every,
    };
    let order = shuffled(all.len(), settings.seed, u64::MAX);
    let is_held: HashSet<usize> = order.into_iter().take(held).collect();
    let mut held_out = Vec::new();
    let mut examples = Vec::new();
    for (index, example) in all.into_iter().enumerate() {
        if is_held.contains(&index) { held_out.push(example) } else { examples.push(example) }
    }
    if examples.is_empty() {
        return Err(Error::Datanet("no row is long enough to learn from".into()));
    }
    Ok((examples, held_out))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::datanet::{Contribution, assemble};

    fn datanet() -> Datanet {
        let names = ["alpha", "bravo", "carol", "delta", "erin", "fidel", "golf", "hotel"];
        let row = |name: &str| Contribution {
            contributor: Address::repeat_byte(1),
            text: format!("// Zork\nfunction {name}() returns (zork quux, zork {name}) {{\n"),
            source: "zork.sol".into(),
        };
        // The last row is a copy of the first.
        let rows = names.iter().chain(&names[..1]).map(|name| row(name)).collect();
        let clusters: Vec<usize> = (0..names.len()).chain([0]).collect();
        Datanet::new("zork", "MIT", assemble(rows, &clusters))
    }

    #[test]
    fn training_lowers_held_out_loss_and_is_repeatable() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
        let settings = TrainSettings {
            lora: LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() },
            steps: 20,
            batch: 2,
            rate: 3e-3,
            max_tokens: 48,
            held_out_every: 4,
            seed: 5,
        };
        let run = || {
            let out = tempfile::tempdir().unwrap();
            let mut steps = 0;
            let mut count = |_: TrainProgress| steps += 1;
            let report = train(&base, &datanet(), out.path(), &settings, &mut count).unwrap();
            assert_eq!(steps, 20);
            (report, std::fs::read(out.path().join("adapter_model.safetensors")).unwrap())
        };
        let (report, weights) = run();
        assert_eq!((report.rows, report.held_out), (6, 2));
        let (before, after) = (report.loss_before.unwrap(), report.loss_after.unwrap());
        assert!(after < before - 0.1, "{before} -> {after}");
        assert!(run().1 == weights, "the same inputs gave other weights");
    }

    #[test]
    fn a_datanet_without_text_is_refused() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
        let empty = Datanet::new("empty", "MIT", Vec::new());
        let out = tempfile::tempdir().unwrap();
        let settings = TrainSettings::default();
        let error = train(&base, &empty, out.path(), &settings, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Datanet(_)), "{error}");
    }
}

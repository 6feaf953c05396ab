//! Trains an adapter on a Datanet.

use std::{collections::HashSet, path::Path, time::Instant};

use attribution::provenance::{LoggedRow, TrainingLog};
use inference::{
    model::{AdapterDelta, Decoder},
    tokenizer::Tokenizer,
    train::{
        Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer, batch_at, held_out_loss,
        optimizer::AdamWConfig, shuffled,
    },
};

use super::{log::logged, rows::row_example};
use crate::{
    Error, Result,
    catalog::{adapter_hash, base_hash},
    datanet::Datanet,
};

/// How to train an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Rank, scale and modules.
    pub lora: LoraConfig,
    /// Optimiser steps; with none the adapter changes no answer, and only ties Datanets to a base.
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
#[derive(Clone, Debug, PartialEq)]
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
    /// What was trained on, to be signed.
    pub log: TrainingLog,
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
    let Sets { rows, examples, held_out } = sets(&tokenizer, &decoder, datanet, settings)?;
    let lora = TrainableLora::new(&decoder, &settings.lora, settings.seed)?;
    let loss = |delta: &dyn AdapterDelta| -> Result<Option<f64>> {
        if held_out.is_empty() {
            return Ok(None);
        }
        Ok(Some(held_out_loss(&decoder, delta, &held_out)?))
    };
    let loss_before = loss(&lora)?;
    let started = Instant::now();
    let mut used = Vec::new();
    if settings.steps > 0 {
        let mut trainer = Trainer::new(lora.variables(), trainer_settings(settings))?;
        trainer.run(&decoder, &lora, &examples, |trainer, step| {
            let (batch, seed) = (trainer.settings().batch, trainer.settings().seed);
            used.push(batch_at(examples.len(), batch, seed, step.step - 1));
            let inference::train::Progress { step, steps, loss, tokens_per_second, .. } = step;
            progress(TrainProgress { step, steps, loss, tokens_per_second });
            Ok(())
        })?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let name = base.file_name().map(|name| name.to_string_lossy().into_owned());
    lora.save(out, &settings.lora, &name.unwrap_or_default())?;
    let log = TrainingLog {
        base: base_hash(base)?.0,
        adapter: adapter_hash(out)?.0,
        datanets: vec![logged(datanet)],
        configuration: configuration(settings),
        seed: settings.seed,
        rows,
        steps: used.into_iter().map(places).collect(),
    };
    Ok(TrainReport {
        rows: examples.len(),
        held_out: held_out.len(),
        parameters: lora.parameter_count(),
        steps: settings.steps,
        seconds,
        loss_before,
        loss_after: loss(&lora)?,
        log,
    })
}

/// Every setting, as JSON.
fn configuration(settings: &TrainSettings) -> String {
    let trainer = trainer_settings(settings);
    serde_json::json!({
        "batch": trainer.batch,
        "clip": trainer.clip,
        "held_out_every": settings.held_out_every,
        "lora": settings.lora,
        "max_tokens": settings.max_tokens,
        "optimizer": trainer.optimizer,
        "schedule": trainer.schedule,
        "seed": trainer.seed,
        "steps": settings.steps,
    })
    .to_string()
}

/// A Datanet has at most 2^22 rows.
fn places(batch: Vec<usize>) -> Vec<u32> {
    batch.into_iter().map(|i| u32::try_from(i).expect("rows are at most 2^22")).collect()
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

/// The Datanet's canonical rows that are long enough to learn from.
struct Sets {
    /// Rows that are trained on, in order.
    rows: Vec<LoggedRow>,
    /// The same as examples.
    examples: Vec<Example>,
    held_out: Vec<Example>,
}

fn sets(
    tokenizer: &Tokenizer,
    decoder: &Decoder,
    datanet: &Datanet,
    settings: &TrainSettings,
) -> Result<Sets> {
    let max = settings.max_tokens.min(decoder.spec().max_positions);
    let mut all = Vec::new();
    for row in datanet.canonical() {
        if let Some(example) = row_example(tokenizer, &row.text, max)? {
            let row = LoggedRow { datanet: 0, index: row.index, hash: row.row_hash.0 };
            all.push((row, example));
        }
    }
    let held = match settings.held_out_every {
        0 => 0,
        every => all.len() / every,
    };
    let order = shuffled(all.len(), settings.seed, u64::MAX);
    let is_held: HashSet<usize> = order.into_iter().take(held).collect();
    let mut sets = Sets { rows: vec![], examples: vec![], held_out: vec![] };
    for (index, (row, example)) in all.into_iter().enumerate() {
        if is_held.contains(&index) {
            sets.held_out.push(example);
        } else {
            sets.rows.push(row);
            sets.examples.push(example);
        }
    }
    if sets.examples.is_empty() {
        return Err(Error::Datanet("no row is long enough to learn from".into()));
    }
    Ok(sets)
}

#[cfg(test)]
pub(super) mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::datanet::{Contribution, assemble};

    pub(in crate::factory) fn datanet() -> Datanet {
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
    fn an_adapter_that_is_not_trained_changes_nothing() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
        let settings = TrainSettings {
            lora: LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() },
            steps: 0,
            max_tokens: 48,
            held_out_every: 4,
            ..TrainSettings::default()
        };
        let out = tempfile::tempdir().unwrap();
        let report = train(&base, &datanet(), out.path(), &settings, &mut |_| {}).unwrap();
        assert_eq!(report.loss_before, report.loss_after);
        assert!(report.loss_before.is_some() && report.log.steps.is_empty());
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

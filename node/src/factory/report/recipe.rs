//! How a model was trained, and on what: read from its signed log.

use std::{collections::HashSet, path::Path};

use alloy::primitives::B256;
use attribution::provenance::{LoggedDatanet, LoggedRow, TrainingLog};
use inference::{
    model::Decoder,
    tokenizer::Tokenizer,
    train::{Example, LoraConfig, Schedule, Settings, optimizer::AdamWConfig},
};
use serde::Deserialize;

use super::{Protocol, ReportSettings, ReportedModel, SEEDS, refused};
use crate::{
    Error, Result,
    catalog::{adapter_hash, base_hash},
    datanet::Datanet,
    factory::{SignedLog, row_example},
};

/// What of a log's configuration a retraining needs.
#[derive(Clone, Debug, Deserialize)]
struct Configuration {
    batch: usize,
    clip: f64,
    lora: LoraConfig,
    max_tokens: usize,
    optimizer: AdamWConfig,
    schedule: Schedule,
}

/// A model's training.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) base: [u8; 32],
    pub(super) adapter: [u8; 32],
    /// Commitment of the training log.
    pub(super) log: [u8; 32],
    pub(super) datanets: Vec<LoggedDatanet>,
    pub(super) configuration: String,
    pub(super) lora: LoraConfig,
    /// Of a run on half of the rows.
    pub(super) halved: Settings,
    rows: Vec<LoggedRow>,
    max_tokens: usize,
}

/// Rows as examples.
#[derive(Debug)]
pub(super) struct Sets {
    /// What the model was trained on.
    pub(super) rows: Vec<LoggedRow>,
    pub(super) examples: Vec<Example>,
    /// What it was not.
    pub(super) queries: Vec<(LoggedRow, Example)>,
}

impl Recipe {
    /// Reads the log of the adapter in `dir` and holds it against base, adapter and Datanets. These
    /// may have been published since, which changes their ids and no row.
    pub(super) fn read(base: &Path, dir: &Path, datanets: &[Datanet]) -> Result<Self> {
        let SignedLog { log, .. } = SignedLog::load(dir)?;
        check(&log, base, dir, datanets)?;
        let unfit = |e: serde_json::Error| refused(dir, format!("training log: {e}"));
        let read: Configuration = serde_json::from_str(&log.configuration).map_err(unfit)?;
        // Half of the rows in half of the steps: each row is seen as often as it was.
        let steps = read.schedule.steps.div_ceil(2);
        let warmup = (read.schedule.warmup / 2).min(steps.saturating_sub(1));
        let halved = Settings {
            schedule: Schedule { steps, warmup, ..read.schedule },
            optimizer: read.optimizer,
            clip: read.clip,
            batch: read.batch,
            seed: log.seed,
        };
        let commitment = log.commitment().map_err(|e| refused(dir, e.to_string()))?;
        Ok(Self {
            base: log.base,
            adapter: log.adapter,
            log: commitment,
            datanets: log.datanets,
            configuration: log.configuration,
            lora: read.lora,
            halved,
            rows: log.rows,
            max_tokens: read.max_tokens,
        })
    }

    /// What a report says of the model; `index` is the hash of its influence index.
    pub(super) fn reported(&self, index: B256) -> ReportedModel {
        ReportedModel {
            base: self.base.into(),
            adapter: self.adapter.into(),
            index,
            training_log: self.log.into(),
            datanets: self.datanets.iter().map(|datanet| datanet.rows_root.into()).collect(),
        }
    }

    /// What a report says of its retrainings.
    pub(super) fn protocol(&self, sets: &Sets, settings: &ReportSettings) -> Protocol {
        Protocol {
            halves: settings.retrainings,
            seeds: SEEDS,
            rows: [sets.rows.len(), sets.rows.len() / 2],
            steps: self.halved.schedule.steps,
            queries: sets.queries.iter().map(|(row, _)| row.hash.into()).collect(),
            resamples: settings.resamples,
            configuration: self.configuration.clone(),
        }
    }

    /// The rows of the log, and up to `most` of those that it left out: rows of the same Datanets, one
    /// per duplicate cluster, none of a cluster that was trained on.
    pub(super) fn sets(
        &self,
        tokenizer: &Tokenizer,
        decoder: &Decoder,
        datanets: &[Datanet],
        most: usize,
    ) -> Result<Sets> {
        let max = self.max_tokens.min(decoder.spec().max_positions);
        let trained: HashSet<(u8, u64)> =
            self.rows.iter().map(|row| (row.datanet, row.index)).collect();
        let mut sets = Sets { rows: vec![], examples: vec![], queries: vec![] };
        let mut held = Vec::new();
        let mut clusters = HashSet::new();
        for (place, datanet) in (0u8..).zip(datanets) {
            for row in &datanet.rows {
                let logged = LoggedRow { datanet: place, index: row.index, hash: row.row_hash.0 };
                let is_trained = trained.contains(&(place, row.index));
                if is_trained {
                    clusters.insert(row.cluster_hash);
                }
                let Some(example) = row_example(tokenizer, &row.text, max)? else { continue };
                if is_trained {
                    sets.rows.push(logged);
                    sets.examples.push(example);
                } else {
                    held.push((row.cluster_hash, logged, example));
                }
            }
        }
        for (cluster, row, example) in held {
            if sets.queries.len() < most && clusters.insert(cluster) {
                sets.queries.push((row, example));
            }
        }
        if sets.rows.len() != self.rows.len() {
            return Err(Error::Datanet("a row of the training log has no token to learn".into()));
        }
        if sets.queries.len() < 2 {
            return Err(Error::Datanet(format!(
                "{} rows were held out of the training: train with --held-out-every",
                sets.queries.len()
            )));
        }
        Ok(sets)
    }
}

/// The log is of the adapter in `dir`, the base and these rows.
fn check(log: &TrainingLog, base: &Path, dir: &Path, datanets: &[Datanet]) -> Result<()> {
    let is = |same: bool, what: &str| match same {
        true => Ok(()),
        false => Err(refused(dir, format!("training log: {what} differs"))),
    };
    is(adapter_hash(dir)? == log.adapter, "the adapter")?;
    is(base_hash(base)? == log.base, "the base model")?;
    let given = datanets.iter().map(|datanet| datanet.manifest.rows_root.0);
    is(given.eq(log.datanets.iter().map(|datanet| datanet.rows_root)), "a Datanet version")?;
    for (place, datanet) in (0u8..).zip(datanets) {
        let hash_of = |index: u64| {
            let row = datanet.rows.get(usize::try_from(index).ok()?)?;
            Some(row.row_hash.0)
        };
        is(log.check_rows(place, hash_of).is_ok(), "a row")?;
    }
    Ok(())
}

//! The quality report of a model: how well its influence predicts what training on other rows gives.
//!
//! The model's own recipe, read from its training log, is run again on halves of its rows. On each
//! half it is run twice with two seeds, so that the report also says how well the outcome of one run
//! predicts another's: no attributor can do better than that ceiling.
//!
//! Halves and seeds follow from the influence index, so that whoever reports cannot try others, and
//! whoever has rows and index can run any of them again: the same inputs give the same losses.

mod check;
mod figures;
mod file;
mod outcomes;
mod publish;
mod recipe;

use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use attribution::{estimate::InfluenceIndex, evaluate::Subsets, provenance::LoggedRow};
use inference::{
    adapter::Adapter,
    gradient::row_gradient,
    model::Decoder,
    tokenizer::Tokenizer,
    train::{TrainableLora, shuffled},
};

use super::{attribution, rows::site_gradients};
use crate::{
    Error, Result,
    catalog::{INDEX_FILE, file_hash},
    datanet::Datanet,
};
use figures::Predictions;
use outcomes::Runs;
use recipe::{Recipe, Sets};

pub use check::{CheckedFigure, CheckedReport, PostedFigures, ReportCheck, check_report};
pub use file::{Correlation, FigureBps, Protocol, REPORT_FILE, Report, ReportedModel};
pub use publish::PublishedReport;

/// Losses of retrainings that are done, beside the report.
const CACHE_DIR: &str = "report.cache";
/// Retrainings on each half of the rows.
const SEEDS: usize = 2;
/// Fewest halves: a rank correlation of fewer says nothing.
const MIN_HALVES: usize = 4;
/// Most halves and queries.
const MAX_COUNT: usize = 10_000;
/// Largest adapter file read, in bytes.
const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// Halves of the rows; the model is retrained twice on each. At least 4.
    pub retrainings: usize,
    /// Held-out rows that are asked about, at most. At least 2.
    pub queries: usize,
    /// Resamples of queries and halves that intervals come from.
    pub resamples: usize,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self { retrainings: 8, queries: 64, resamples: 2_000 }
    }
}

impl ReportSettings {
    fn check(&self) -> Result<()> {
        let range = |what: &str, given: usize, least: usize| {
            let rule = format!("{what} must be {least} to {MAX_COUNT}, got {given}");
            if (least..=MAX_COUNT).contains(&given) { Ok(()) } else { Err(Error::Config(rule)) }
        };
        range("retrainings", self.retrainings, MIN_HALVES)?;
        range("queries", self.queries, 2)?;
        range("resamples", self.resamples, 100)
    }
}

/// How far the report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportProgress {
    /// What is being done: `queries` or `retraining`.
    pub stage: &'static str,
    /// Queries or optimiser steps done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// Measures the model in `dir` and writes [`REPORT_FILE`] there. The same inputs give the same bytes.
/// A run that was stopped goes on where it was, and one with more retrainings does only those.
///
/// - `base`: folder of the base model
/// - `dir`: the adapter with its influence index and its signed training log
/// - `datanets`: those of its training log, in their order
///
/// # Errors
/// [`Error::Config`] if a setting is out of range; [`Error::Catalog`] if log, index or Datanets are
/// not the model's, or its recipe held out too few rows to ask about; [`Error::Inference`],
/// [`Error::Attribution`]; [`Error::Io`] if a file cannot be written.
pub fn measure_report(
    base: &Path,
    dir: &Path,
    datanets: &[Datanet],
    settings: &ReportSettings,
    progress: &mut dyn FnMut(ReportProgress),
) -> Result<Report> {
    measure_into(base, dir, dir, datanets, settings, progress)
}

/// What [`measure_report`] does, with the report and what it keeps in a folder of their own.
fn measure_into(
    base: &Path,
    dir: &Path,
    out: &Path,
    datanets: &[Datanet],
    settings: &ReportSettings,
    progress: &mut dyn FnMut(ReportProgress),
) -> Result<Report> {
    settings.check()?;
    let (decoder, tokenizer) = (Decoder::load(base)?, Tokenizer::load(base)?);
    let recipe = Recipe::read(base, dir, datanets)?;
    let sets = recipe.sets(&tokenizer, &decoder, datanets, settings.queries)?;
    let path = dir.join(INDEX_FILE);
    let index = InfluenceIndex::read(&path).map_err(|e| Error::Attribution(e.to_string()))?;
    let index_hash = file_hash(&path)?;
    let halves = halves(sets.rows.len(), settings.retrainings, index_hash)?;
    let scores = scores(&decoder, dir, &index, &sets, progress)?;
    let runs = Runs { decoder: &decoder, recipe: &recipe, sets: &sets, seed: index_hash };
    let cache = cache_dir(out, &runs)?;
    let outcomes = runs.all(&halves, &cache, progress)?;
    let subsets = Subsets::new(sets.rows.len(), halves).map_err(attribution)?;
    let predictions = Predictions::new(&subsets, &scores, &outcomes)?;
    let seed = outcomes::seed_of(index_hash, "resamples", 0, 0);
    let lds = predictions.lds(settings.resamples, seed)?;
    let ceiling = predictions.ceiling(settings.resamples, seed)?;
    let report = Report {
        version: file::VERSION,
        model: recipe.reported(index_hash),
        protocol: recipe.protocol(&sets, settings),
        bps: FigureBps::new(&lds.into(), &ceiling.into()),
        lds: lds.into(),
        ceiling: ceiling.into(),
        losses: outcomes.into_iter().map(Vec::from).collect(),
    };
    report.save(out)?;
    Ok(report)
}

/// What a report of the model in `dir` would say that it is of. Checks the training log against base,
/// adapter and Datanets, and measures nothing.
///
/// # Errors
/// As [`measure_report`].
pub fn reported_model(base: &Path, dir: &Path, datanets: &[Datanet]) -> Result<ReportedModel> {
    let recipe = Recipe::read(base, dir, datanets)?;
    Ok(recipe.reported(file_hash(&dir.join(INDEX_FILE))?))
}

/// Halves of the rows, each ascending.
fn halves(rows: usize, count: usize, seed: B256) -> Result<Vec<Vec<u32>>> {
    if rows < 4 {
        return Err(Error::Datanet(format!("{rows} rows, too few to train on halves of them")));
    }
    let seed = outcomes::seed_of(seed, "halves", 0, 0);
    let half = |number: u64| {
        let order = shuffled(rows, seed, number);
        let mut half: Vec<u32> = order
            .into_iter()
            .take(rows / 2)
            .map(|place| u32::try_from(place).expect("a log has at most 2^24 rows"))
            .collect();
        half.sort_unstable();
        half
    };
    Ok((0..).take(count).map(half).collect())
}

/// For each query the scores of the rows trained on, in their order.
fn scores(
    decoder: &Decoder,
    dir: &Path,
    index: &InfluenceIndex,
    sets: &Sets,
    progress: &mut dyn FnMut(ReportProgress),
) -> Result<Vec<Vec<f64>>> {
    let adapter = Adapter::load(dir, None, decoder.sites(), MAX_ADAPTER_BYTES)?;
    let lora = TrainableLora::from_weights(decoder, &adapter.weights())?;
    let places = places(dir, index, &sets.rows)?;
    let total = sets.queries.len() as u64;
    let mut all = Vec::new();
    for (done, (_, example)) in (1..).zip(&sets.queries) {
        let gradient = row_gradient(decoder, &lora, &example.tokens, example.loss_from)?;
        let query = index.query(&site_gradients(&gradient)).map_err(attribution)?;
        let of_index = index.score_rows(&query).map_err(attribution)?;
        all.push(places.iter().map(|&place| f64::from(of_index[place])).collect());
        progress(ReportProgress { stage: "queries", done, total });
    }
    Ok(all)
}

/// Where the rows are in the index.
fn places(dir: &Path, index: &InfluenceIndex, rows: &[LoggedRow]) -> Result<Vec<usize>> {
    let place = |row: &LoggedRow| {
        let of =
            |indexed: &attribution::estimate::Row| (indexed.source.datanet, indexed.source.index);
        let found = index.rows().binary_search_by_key(&(row.datanet, row.index), of);
        found.ok().filter(|&place| index.rows()[place].source.hash == row.hash)
    };
    rows.iter()
        .map(|row| {
            let missing = || refused(dir, format!("the index lacks row {} of the log", row.index));
            place(row).ok_or_else(missing)
        })
        .collect()
}

/// The folder in `out` of what was computed for the same recipe, rows, queries and seeds.
fn cache_dir(out: &Path, runs: &Runs<'_>) -> Result<PathBuf> {
    let cache = out.join(CACHE_DIR).join(alloy::hex::encode(&runs.identity()?.0[..8]));
    std::fs::create_dir_all(&cache).map_err(Error::io(&cache))?;
    Ok(cache)
}

fn refused(dir: &Path, reason: String) -> Error {
    Error::Catalog { dir: dir.to_owned(), reason }
}

#[cfg(test)]
mod tests;

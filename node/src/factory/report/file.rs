//! `report.json`: figures with what they were measured with. Stable: other tools read it, its hash is
//! on chain.

use std::path::Path;

use alloy::primitives::{B256, keccak256};
use attribution::{evaluate::Interval, settle::Measured};
use serde::{Deserialize, Serialize};

use super::refused;
use crate::{Error, Result};

/// The report's file in a model's folder.
pub const REPORT_FILE: &str = "report.json";
/// Version of the file.
pub(super) const VERSION: u32 = 1;
/// Largest report read, in bytes.
const MAX_REPORT_BYTES: u64 = 1 << 28;

/// How well a model's influence predicts retraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// 1.
    pub version: u32,
    /// What was measured.
    pub model: ReportedModel,
    /// How.
    pub protocol: Protocol,
    /// Linear datamodeling score.
    pub lds: Correlation,
    /// What the outcome of one retraining reaches as a prediction of another's.
    pub ceiling: Correlation,
    /// The same as the chain takes them.
    pub bps: FigureBps,
    /// Losses in nats per token, by half, seed and query, to nine decimals.
    pub losses: Vec<Vec<Vec<f64>>>,
}

/// Which model a report is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportedModel {
    /// Hash of the base model.
    pub base: B256,
    /// Hash of the adapter.
    pub adapter: B256,
    /// keccak256 of the influence index's file; halves and seeds follow from it.
    pub index: B256,
    /// Commitment of the training log.
    pub training_log: B256,
    /// Roots of the Datanets' rows, in the log's order.
    pub datanets: Vec<B256>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Halves of the rows; the model was retrained on each, once with each of the seeds.
    pub halves: usize,
    /// Seeds per half.
    pub seeds: usize,
    /// Rows of the model, and of a half.
    pub rows: [usize; 2],
    /// Optimiser steps of a retraining.
    pub steps: u64,
    /// Hashes of the held-out rows that were asked about.
    pub queries: Vec<B256>,
    /// Resamples of queries and halves.
    pub resamples: usize,
    /// The model's configuration: the JSON text of its training log.
    pub configuration: String,
}

/// A mean over queries of rank correlations over halves, with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Figures in basis points: correlations below 0 are 0; the ceiling is rounded up, the others down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureBps {
    /// Lower end of the score's interval, which pay goes by.
    pub lds_low: u16,
    /// The score.
    pub lds: u16,
    /// Upper end.
    pub lds_high: u16,
    /// The ceiling.
    pub ceiling: u16,
    /// Share of positive nets that influence pays: [`Measured::influence_bps`].
    pub influence: u16,
}

impl From<Interval> for Correlation {
    /// Percentiles of resamples need not hold the mean; an interval does.
    fn from(Interval { value, low, high }: Interval) -> Self {
        let [mean, low, high] = [value, low.min(value), high.max(value)].map(rounded);
        Self { mean, low, high }
    }
}

impl FigureBps {
    pub(super) fn new(lds: &Correlation, ceiling: &Correlation) -> Self {
        let (low, ceiling) = (in_bps(lds.low, f64::floor), in_bps(ceiling.mean, f64::ceil));
        Self {
            lds_low: low,
            lds: in_bps(lds.mean, f64::floor),
            lds_high: in_bps(lds.high, f64::floor),
            ceiling,
            influence: Measured { lds: low, ceiling }.influence_bps(),
        }
    }
}

/// To nine decimals. Numbers of more digits are not read from JSON as they were written.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// From 0 to 10 000; what is no number is 0.
pub(super) fn in_bps(correlation: f64, round: fn(f64) -> f64) -> u16 {
    round(correlation.clamp(0.0, 1.0) * 10_000.0) as u16
}

impl Report {
    /// The bytes of its file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self).expect("a report is plain data");
        text.push('\n');
        text.into_bytes()
    }

    /// keccak256 of its file, which is on chain.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.to_bytes())
    }

    /// Writes it into a model's folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        Ok(inference::weights::write_atomically(&dir.join(REPORT_FILE), &self.to_bytes())?)
    }

    /// Reads it from a model's folder.
    ///
    /// # Errors
    /// [`Error::Catalog`] if it is too large, of another version, not written as here, or its figures
    /// in basis points are not those of its correlations; [`Error::Io`] if it cannot be read.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(REPORT_FILE);
        let length = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
        let unfit = |why: String| refused(dir, format!("{REPORT_FILE}: {why}"));
        if length > MAX_REPORT_BYTES {
            return Err(unfit(format!("{length} bytes")));
        }
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let report: Self = serde_json::from_slice(&bytes).map_err(|e| unfit(e.to_string()))?;
        if report.version != VERSION {
            return Err(unfit(format!("version {}, not {VERSION}", report.version)));
        }
        if report.to_bytes() != bytes {
            return Err(unfit("it was changed".into()));
        }
        if report.bps != FigureBps::new(&report.lds, &report.ceiling) {
            return Err(unfit("bps are not those of its correlations".into()));
        }
        Ok(report)
    }
}

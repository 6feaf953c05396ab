//! What was measured, row by row.

use std::{fs, path::Path};

use attribution::evaluate::Interval;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What a value should come to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// More than this.
    Above(f64),
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// 95% interval, or lowest and highest of repeats.
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) target: Option<Target>,
    /// Name of what it is compared with.
    pub(crate) peer: Option<String>,
    /// The value over the peer's.
    pub(crate) ratio: Option<f64>,
}

impl Row {
    pub(crate) fn of(name: impl Into<String>, value: f64, unit: &str) -> Self {
        let (name, unit) = (name.into(), unit.to_owned());
        Self { name, value, unit, interval: None, target: None, peer: None, ratio: None }
    }

    pub(crate) fn with(name: impl Into<String>, found: Interval, unit: &str) -> Self {
        Self { interval: Some((found.low, found.high)), ..Self::of(name, found.value, unit) }
    }

    pub(crate) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    pub(crate) fn against(self, peer: &str, value: f64) -> Self {
        Self { peer: Some(peer.to_owned()), ratio: Some(self.value / value), ..self }
    }

    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtMost(most) => self.value <= most,
            Target::AtLeast(least) => self.value >= least,
            Target::Above(level) => self.value > level,
        })
    }
}

/// The rows of one part, and what is to be said about them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Sheet {
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

impl Sheet {
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn write(&self, results: &Path, part: &str) -> Result<(), Failure> {
        fs::create_dir_all(results)?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(fs::write(results.join(format!("attribution-{part}.json")), text)?)
    }
}

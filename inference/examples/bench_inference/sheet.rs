//! What was measured, row by row.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Failure;

/// What a row should come to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Of the value.
    AtMost(f64),
    /// Of the value's ratio to the peer's.
    RatioAtLeast(f64),
    /// The same.
    RatioAtMost(f64),
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// Lowest and highest of the repeats whose median is the value.
    pub(crate) spread: Option<(f64, f64)>,
    pub(crate) target: Option<Target>,
    /// Name of what it is compared with.
    pub(crate) peer: Option<String>,
    /// The value over the peer's: the median of the ratios of each round.
    pub(crate) ratio: Option<f64>,
}

impl Row {
    /// Whether the target is met; false without the peer that it needs.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtMost(most) => self.value <= most,
            Target::RatioAtLeast(least) => self.ratio.is_some_and(|ratio| ratio >= least),
            Target::RatioAtMost(most) => self.ratio.is_some_and(|ratio| ratio <= most),
        })
    }

    pub(crate) fn of(name: &str, value: f64, unit: &str) -> Self {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        Self { name, value, unit, spread: None, target: None, peer: None, ratio: None }
    }

    /// The median of repeats.
    pub(crate) fn median(name: &str, values: &[f64], unit: &str) -> Self {
        let spread = Some((quantile(values, 0.0), quantile(values, 1.0)));
        Self { spread, ..Self::of(name, quantile(values, 0.5), unit) }
    }

    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { target: Some(Target::AtMost(most)), ..self }
    }

    /// Compares with a peer's value.
    pub(crate) fn against(self, peer: &str, value: f64, target: Target) -> Self {
        let ratio = Some(self.value / value);
        Self { target: Some(target), peer: Some(peer.to_owned()), ratio, ..self }
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
        let ratio = row.ratio.map_or_else(String::new, |ratio| format!("  {ratio:.3} of the peer"));
        println!("  {:<72} {:>12.3} {}{ratio}", row.name, row.value, row.unit);
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  {note}");
        self.notes.push(note);
    }

    pub(crate) fn write(&self, results: &Path, part: &str) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(results.join(format!("inference-{part}.json")), text)?)
    }
}

/// The value below which `part` of the values lie (nearest rank); 0 without values.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Median of the quotients of values that were measured in the same round.
pub(crate) fn paired(values: &[f64], peers: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(peers).map(|(value, peer)| value / peer).collect();
    quantile(&ratios, 0.5)
}

/// Memory of this process that is in use now, in MiB.
pub(crate) fn resident_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}

/// Time that all threads of this process have run, in seconds; zero where it is not told.
pub(crate) fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    // Ticks of a hundredth, as Linux counts.
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

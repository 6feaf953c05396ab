//! What an influence index holds.

use std::collections::HashMap;

use alloy::primitives::B256;
use attribution::{estimate::InfluenceIndex, settle::EarnerIndex};

/// What an index holds.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexSummary {
    /// Numbers per sketch, and kept length of a projection's long side.
    pub dim: usize,
    /// See `dim`.
    pub side: usize,
    /// Sites of the adapter.
    pub sites: usize,
    /// Rows.
    pub rows: usize,
    /// Places of rows whose gradient was zero or not finite: nothing is paid for them.
    pub excluded: Vec<usize>,
    /// Earner, rows and accepted rows of each contributor.
    pub contributors: Vec<(u32, usize, u32)>,
    /// Damping, and the public scale of the sketches.
    pub damping: f64,
    /// See `damping`.
    pub scale: f32,
    /// Root of the contributors' tree.
    pub root: B256,
}

impl IndexSummary {
    /// What an index holds.
    #[must_use]
    pub fn of(index: &InfluenceIndex) -> Self {
        let mut rows: HashMap<EarnerIndex, usize> = HashMap::new();
        for row in index.rows() {
            *rows.entry(row.source.earner).or_default() += 1;
        }
        let contributor = |one: &attribution::estimate::Contributor| {
            (one.earner.0, rows.get(&one.earner).copied().unwrap_or(0), one.accepted_rows)
        };
        let config = index.projector().config();
        Self {
            dim: index.dim(),
            side: config.side,
            sites: index.projector().shapes().len(),
            rows: index.rows().len(),
            excluded: silent(index),
            contributors: index.contributors().iter().map(contributor).collect(),
            damping: index.damping(),
            scale: index.scale(),
            root: index.root().into(),
        }
    }
}

/// Places of rows whose sketch is zero.
pub(super) fn silent(index: &InfluenceIndex) -> Vec<usize> {
    let is_zero = |place: &usize| {
        index.sketch(*place).is_some_and(|sketch| sketch.iter().all(|value| *value == 0))
    };
    (0..index.rows().len()).filter(is_zero).collect()
}

//! The projector of an index, whose basis is learned from some of the rows.

use std::collections::HashSet;

use alloy::primitives::{B256, keccak256};
use attribution::{
    estimate::{Projector, ProjectorBuilder, ProjectorConfig, SiteShape, basis_rows},
    settle::Hash,
};
use inference::gradient::SiteGradient;

use super::{attribution, gradients::Source, rows::site_gradients};
use crate::{
    Result,
    datanet::{Datanet, Row},
};

/// Most bytes of gradients that are held, so that they need not be computed again.
const MAX_HELD: usize = 256 << 20;

/// The seed of an index's projection, which is fixed after adapter and rows are.
pub(crate) fn projection_seed(adapter: Hash, datanets: &[Datanet]) -> B256 {
    let roots = datanets.iter().flat_map(|datanet| datanet.manifest.rows_root);
    keccak256(adapter.into_iter().chain(roots).collect::<Vec<u8>>())
}

/// The rows that a projector is learned from, and what learning computed.
pub(crate) struct Sample<'a> {
    /// Drawn by the seed from the rows that count: copies were not trained on.
    pub(crate) rows: Vec<&'a Row>,
    /// Gradients of the first of them, as many as may be held.
    held: Vec<(Hash, Vec<SiteGradient>)>,
    /// Rows whose gradients were computed.
    pub(crate) computed: usize,
}

impl<'a> Sample<'a> {
    pub(crate) fn draw(seed: &[u8; 32], rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let is_first = |row: &&Row| row.cluster_hash == row.row_hash;
        let rows: Vec<&Row> = rows.into_iter().filter(is_first).collect();
        let places = basis_rows(seed, rows.iter().map(|row| row.row_hash.0));
        let rows = places.into_iter().map(|place| rows[place]).collect();
        Self { rows, held: Vec::new(), computed: 0 }
    }

    /// Learns the projector of `config` from them; the one that copies gradients, which takes no
    /// row, where they are not longer than sketches.
    ///
    /// - `progress`: called with the rows done
    pub(crate) fn learn(
        &mut self,
        source: Source<'_>,
        shapes: &[SiteShape],
        config: ProjectorConfig,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Projector> {
        let mut builder = ProjectorBuilder::new(shapes, config).map_err(attribution)?;
        let mut bytes = 0;
        if builder.learns() {
            source.each(self.rows.iter().copied(), &mut |row, gradient| {
                builder.push(&site_gradients(&gradient)).map_err(attribution)?;
                self.computed += 1;
                bytes += gradient.iter().map(|s| 4 * (s.a.len() + s.b.len())).sum::<usize>();
                if bytes <= MAX_HELD {
                    self.held.push((row.row_hash.0, gradient));
                }
                progress(self.computed);
                Ok(())
            })?;
        }
        builder.finish().map_err(attribution)
    }

    /// Sketches of the rows whose gradients are held, by the hash of their text.
    pub(super) fn sketches(self, projector: &Projector) -> Vec<(Hash, Vec<f32>)> {
        // The build itself says which rows have no sketch.
        let sketch = |(hash, sites): (Hash, Vec<SiteGradient>)| {
            Some((hash, projector.project(&site_gradients(&sites)).ok()?))
        };
        self.held.into_iter().filter_map(sketch).collect()
    }

    /// Calls `take` with the gradient of every row of the sample; those that are held are not computed
    /// again.
    pub(crate) fn each(
        &self,
        source: Source<'_>,
        take: &mut dyn FnMut(&[SiteGradient]) -> Result<()>,
    ) -> Result<()> {
        self.held.iter().try_for_each(|(_, gradient)| take(gradient))?;
        let held: HashSet<Hash> = self.held.iter().map(|(hash, _)| *hash).collect();
        let others = self.rows.iter().copied().filter(|row| !held.contains(&row.row_hash.0));
        source.each(others, &mut |_, gradient| take(&gradient))
    }
}

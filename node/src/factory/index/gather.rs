//! Rows' gradients on their way into an index, and what is kept of them for a later build.

use std::path::Path;

use alloy::primitives::{B256, keccak256};
use attribution::estimate::{IndexBuilder, Projector, RowSource, SketchStore};

use super::{
    super::{
        attribution,
        basis::Sample,
        gradients::{Done, Pass, Source},
        rows::site_gradients,
    },
    IndexProgress,
};
use crate::{Error, Result, datanet::Row};

/// Raw sketches of the rows, beside the index: what a build that stopped, or one of a later Datanet
/// version, need not compute again.
pub(super) const SKETCHES_FILE: &str = "index.sketches";

/// The store beside the index. One that another build left is begun anew: it only saves time.
///
/// - `model`: hashes of the base and the adapter
pub(super) fn store(
    dir: &Path,
    model: [B256; 2],
    projector: &Projector,
    max_tokens: usize,
) -> Result<SketchStore> {
    let identity = keccak256(
        [&model[0].0[..], &model[1].0, &projector.hash(), &(max_tokens as u64).to_be_bytes()]
            .concat(),
    );
    let path = dir.join(SKETCHES_FILE);
    let store = match SketchStore::open(&path, identity.0, projector.config().dim) {
        Err(attribution::Error::Corrupt(_) | attribution::Error::Version(_)) => {
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
            SketchStore::open(&path, identity.0, projector.config().dim)
        }
        opened => opened,
    };
    store.map_err(attribution)
}

/// Rows on their way into the index.
pub(super) struct Gather<'a> {
    pub(super) source: Source<'a>,
    pub(super) builder: IndexBuilder,
    /// Rows whose gradients were computed.
    pub(super) computed: usize,
}

impl Gather<'_> {
    /// Keeps the sketches of what the projector was learned from for when their rows come.
    pub(super) fn keep(&mut self, sample: Sample<'_>) -> Result<()> {
        self.computed += sample.computed;
        for (row, sketch) in sample.sketches(self.builder.projector()) {
            self.builder.keep(row, &sketch).map_err(attribution)?;
        }
        Ok(())
    }

    /// All rows, in order.
    pub(super) fn rows(
        &mut self,
        rows: &[(RowSource, &Row)],
        progress: &mut dyn FnMut(IndexProgress),
    ) -> Result<()> {
        let total = rows.len();
        let mut pass = Pass::new(self.source);
        for (place, &(source, row)) in rows.iter().enumerate() {
            let example = self
                .source
                .example(row)?
                .ok_or_else(|| Error::Datanet(format!("row {place} has no token to learn")))?;
            let is_new = !self.builder.knows(&source.hash);
            self.take(pass.push(source, is_new.then_some(example))?)?;
            progress(IndexProgress { stage: "gradients", done: self.builder.len(), total });
        }
        self.take(pass.run()?)?;
        progress(IndexProgress { stage: "gradients", done: total, total });
        Ok(())
    }

    /// Puts rows into the index; those without a gradient are known.
    fn take(&mut self, done: Done<RowSource>) -> Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        for (source, gradient) in done {
            let Some(gradient) = gradient else {
                let known = self.builder.push_known(source).map_err(attribution)?;
                known.ok_or_else(|| Error::Attribution("a known sketch is gone".into()))?;
                continue;
            };
            self.computed += 1;
            match self.builder.push(source, &site_gradients(&gradient)) {
                Ok(_) => {}
                Err(attribution::Error::NotFinite(_)) => {
                    let zeros = vec![0.0; self.builder.projector().config().dim];
                    self.builder.push_sketch(source, &zeros).map_err(attribution)?;
                }
                Err(error) => return Err(attribution(error)),
            }
        }
        self.builder.sync().map_err(attribution)
    }
}

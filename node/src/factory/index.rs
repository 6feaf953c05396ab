//! Builds the influence index of an adapter over the Datanets that it was trained on.

mod gather;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy::primitives::{B256, keccak256};
use attribution::estimate::{
    IndexBuilder, IndexConfig, IndexStats, InfluenceIndex, Projector, ProjectorConfig,
    Row as IndexedRow, Stage,
};
use inference::{adapter::Adapter, model::Decoder, tokenizer::Tokenizer, train::TrainableLora};

use self::gather::{Gather, store};
use super::{
    attribution,
    basis::{Sample, projection_seed},
    gradients::Source,
    rows::site_shapes,
    sources::{EarnerMap, sources},
};
use crate::{
    Error, Result,
    catalog::{INDEX_FILE, base_hash},
    datanet::Datanet,
};

/// Largest adapter file read, in bytes.
pub(super) const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// Most Datanets of a model, as ModelRegistry has it.
const MAX_DATANETS: usize = 16;

/// How to build an index.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// Sketch dimension.
    pub dim: usize,
    /// Kept length of a site's long side.
    pub side: usize,
    /// Damping `c`.
    pub damping: f64,
    /// Tokens of a row that are used; must be what it was trained with.
    pub max_tokens: usize,
    /// Tokens of one backward pass; what bounds its memory.
    pub batch_tokens: usize,
    /// The projector, if it is not to be learned: that of an index of an earlier version, whose rows'
    /// sketches then stay as they are. Who contributes after its seed and directions are known can
    /// shape rows to collide under it, so a model that is trained again takes a new one. Its
    /// dimensions count, and not those above.
    pub projector: Option<Projector>,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            dim: 1024,
            side: 512,
            damping: 0.3,
            max_tokens: 256,
            batch_tokens: 2048,
            projector: None,
        }
    }
}

impl IndexSettings {
    const fn source<'a>(
        &self,
        decoder: &'a Decoder,
        lora: &'a TrainableLora,
        tokenizer: &'a Tokenizer,
    ) -> Source<'a> {
        let Self { max_tokens, batch_tokens, .. } = *self;
        Source { decoder, lora, tokenizer, max_tokens, batch_tokens }
    }
}

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexProgress {
    /// What is being done: `basis`, `gradients`, `fisher`, `whiten` or `quantise`.
    pub stage: &'static str,
    /// Rows done in this stage.
    pub done: usize,
    /// Rows of this stage.
    pub total: usize,
}

/// What was built.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildReport {
    /// Rows, contributors, damping.
    pub stats: IndexStats,
    /// Merkle root of the contributor leaves.
    pub root: B256,
    /// keccak256 of the index file.
    pub hash: B256,
    /// Bytes of the index file.
    pub bytes: u64,
    /// Time of all gradients.
    pub gradients: Duration,
    /// Rows whose gradients were computed and not known from an earlier build.
    pub computed: usize,
    /// Places of rows whose gradient is zero or not finite. Their sketch is zero, so that influence
    /// pays them nothing, whatever the query.
    pub excluded: Vec<usize>,
}

/// Builds the index of the adapter in `dir` for the base model in `base`, and writes it to
/// [`INDEX_FILE`] there. The same inputs give the same bytes.
///
/// Datanets come in the order in which the model is registered with them. Of rows of one duplicate
/// cluster, in whatever Datanets, the first counts.
///
/// Unless a projector is given, its seed is the keccak256 of adapter weights and rows, so that it is
/// fixed after both are, and its basis is learned from 128 rows that the seed draws. A build that was
/// stopped learns the basis again and goes on where it was, and one with the projector of an earlier
/// version computes the new rows only; both give the bytes of a build from nothing.
///
/// # Errors
/// [`Error::Datanet`] if there are more than 16 Datanets or a contributor has no index in
/// `earners`, [`Error::Inference`] or
/// [`Error::Attribution`] if the model, the adapter or a setting is not valid, [`Error::Io`] if the
/// file cannot be written.
pub fn build_index(
    base: &Path,
    dir: &Path,
    datanets: &[Datanet],
    earners: &EarnerMap,
    settings: &IndexSettings,
    progress: &mut (dyn FnMut(IndexProgress) + Send),
) -> Result<BuildReport> {
    let (decoder, tokenizer) = (Decoder::load(base)?, Tokenizer::load(base)?);
    let adapter = Adapter::load(dir, None, decoder.sites(), MAX_ADAPTER_BYTES)?;
    let lora = TrainableLora::from_weights(&decoder, &adapter.weights())?;
    if datanets.len() > MAX_DATANETS {
        return Err(Error::Datanet(format!(
            "{} Datanets, not 1 to {MAX_DATANETS}",
            datanets.len()
        )));
    }
    let started = Instant::now();
    let rows = sources(datanets, earners)?;
    let source = settings.source(&decoder, &lora, &tokenizer);
    let model = [base_hash(base)?, B256::new(adapter.hash().0)];
    let (projector, sample) = match &settings.projector {
        Some(projector) => (projector.clone(), None),
        None => {
            let seed = projection_seed(adapter.hash().0, datanets).0;
            let config = ProjectorConfig { seed, dim: settings.dim, side: settings.side };
            let mut sample = Sample::draw(&seed, rows.iter().map(|(_, row)| *row));
            let total = sample.rows.len();
            let projector = sample.learn(source, &site_shapes(&lora)?, config, &mut |done| {
                progress(IndexProgress { stage: "basis", done, total });
            })?;
            (projector, Some(sample))
        }
    };
    let store = store(dir, model, &projector, source.longest())?;
    let config = IndexConfig { damping: settings.damping, ..IndexConfig::default() };
    let builder = IndexBuilder::stored(projector, config, store).map_err(attribution)?;
    let mut gather = Gather { source, builder, computed: 0 };
    if let Some(sample) = sample {
        gather.keep(sample)?;
    }
    gather.rows(&rows, progress)?;
    let Gather { builder, computed, .. } = gather;
    let gradients = started.elapsed();
    let (index, stats) = finish(builder, progress)?;
    let bytes = index.to_bytes();
    inference::weights::write_atomically(&dir.join(INDEX_FILE), &bytes)?;
    let silent = |(place, row): (usize, &IndexedRow)| (row.self_influence == 0.0).then_some(place);
    Ok(BuildReport {
        stats,
        root: index.root().into(),
        hash: keccak256(&bytes),
        bytes: bytes.len() as u64,
        gradients,
        computed,
        excluded: index.rows().iter().enumerate().filter_map(silent).collect(),
    })
}

fn finish(
    builder: IndexBuilder,
    progress: &mut dyn FnMut(IndexProgress),
) -> Result<(InfluenceIndex, IndexStats)> {
    let finished = builder.finish(|step| {
        let stage = match step.stage {
            Stage::Fisher => "fisher",
            Stage::Whiten => "whiten",
            Stage::Quantise => "quantise",
        };
        progress(IndexProgress { stage, done: step.done, total: step.total });
    });
    finished.map_err(attribution)
}

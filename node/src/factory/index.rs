//! Builds the influence index of an adapter over the Datanets that it was trained on.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256, keccak256};
use attribution::{
    estimate::{
        IndexBuilder, IndexConfig, IndexStats, Projector, ProjectorConfig, Row as IndexedRow,
        RowSource, SketchStore, Stage,
    },
    settle::EarnerIndex,
};
use inference::{adapter::Adapter, model::Decoder, tokenizer::Tokenizer, train::TrainableLora};

use super::{
    attribution,
    basis::{Sample, projection_seed},
    gradients::{Done, Pass, Source},
    rows::{site_gradients, site_shapes},
};
use crate::{
    Error, Result,
    catalog::{INDEX_FILE, base_hash},
    chain::{ChainClient, Deployment, bindings::IEarnerRegistry},
    datanet::{Datanet, Row},
    registry::Role,
};

/// Index of each contributor, by account.
pub type EarnerMap = BTreeMap<Address, EarnerIndex>;

/// Largest adapter file read, in bytes.
pub(super) const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// Raw sketches of the rows, beside the index: what a build that stopped, or one of a later Datanet
/// version, need not compute again.
const SKETCHES_FILE: &str = "index.sketches";

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
    let all = rows(datanets);
    let source = settings.source(&decoder, &lora, &tokenizer);
    let model = [base_hash(base)?, B256::new(adapter.hash().0)];
    let (projector, sample) = match &settings.projector {
        Some(projector) => (projector.clone(), None),
        None => {
            let seed = projection_seed(adapter.hash().0, datanets).0;
            let config = ProjectorConfig { seed, dim: settings.dim, side: settings.side };
            let mut sample = Sample::draw(&seed, all.iter().map(|(_, row)| *row));
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
    gather.rows(&all, earners, progress)?;
    let Gather { builder, computed, .. } = gather;
    let gradients = started.elapsed();
    let (index, stats) = builder
        .finish(|step| {
            let stage = match step.stage {
                Stage::Fisher => "fisher",
                Stage::Whiten => "whiten",
                Stage::Quantise => "quantise",
            };
            progress(IndexProgress { stage, done: step.done, total: step.total });
        })
        .map_err(attribution)?;
    let silent = |(place, row): (usize, &IndexedRow)| (row.self_influence == 0.0).then_some(place);
    let excluded = index.rows().iter().enumerate().filter_map(silent).collect();
    let bytes = index.to_bytes();
    inference::weights::write_atomically(&dir.join(INDEX_FILE), &bytes)?;
    Ok(BuildReport {
        stats,
        root: index.root().into(),
        hash: keccak256(&bytes),
        bytes: bytes.len() as u64,
        gradients,
        computed,
        excluded,
    })
}

/// The store beside the index. One that another build left is begun anew: it only saves time.
///
/// - `model`: hashes of the base and the adapter
fn store(
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
struct Gather<'a> {
    source: Source<'a>,
    builder: IndexBuilder,
    computed: usize,
}

impl Gather<'_> {
    /// Keeps the sketches of what the projector was learned from for when their rows come.
    fn keep(&mut self, sample: Sample<'_>) -> Result<()> {
        self.computed += sample.computed;
        for (row, sketch) in sample.sketches(self.builder.projector()) {
            self.builder.keep(row, &sketch).map_err(attribution)?;
        }
        Ok(())
    }

    fn rows(
        &mut self,
        rows: &[(u8, &Row)],
        earners: &EarnerMap,
        progress: &mut dyn FnMut(IndexProgress),
    ) -> Result<()> {
        let clusters = clusters(rows)?;
        let total = rows.len();
        let mut pass = Pass::new(self.source);
        for (place, &(datanet, row)) in rows.iter().enumerate() {
            let source = RowSource {
                datanet,
                index: row.index,
                hash: row.row_hash.0,
                earner: earner_of(earners, row.contributor)?,
                cluster: clusters[place],
            };
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

/// The indices of Datanets' contributors, as the chain has them.
///
/// # Errors
/// [`Error::Datanet`] naming a contributor that is not registered, [`Error::Chain`].
pub async fn earners_on_chain(
    chain: &ChainClient,
    deployment: &Deployment,
    datanets: &[Datanet],
) -> Result<EarnerMap> {
    let rows = datanets.iter().flat_map(|datanet| &datanet.rows);
    let accounts: BTreeSet<Address> = rows.map(|row| row.contributor).collect();
    let mut earners = EarnerMap::new();
    for account in accounts {
        let call = IEarnerRegistry::earnerOfCall { account, role: Role::Contributor as u8 };
        let index = chain.call(deployment.earner_registry, &call).await?;
        if index == 0 {
            return Err(Error::Datanet(format!("contributor {account} is not registered")));
        }
        earners.insert(account, EarnerIndex(index));
    }
    Ok(earners)
}

pub(super) fn earner_of(earners: &EarnerMap, contributor: Address) -> Result<EarnerIndex> {
    earners
        .get(&contributor)
        .copied()
        .ok_or_else(|| Error::Datanet(format!("contributor {contributor} has no earner index")))
}

/// All rows, each with the place of its Datanet.
pub(super) fn rows<'a>(datanets: impl IntoIterator<Item = &'a Datanet>) -> Vec<(u8, &'a Row)> {
    let mut all = Vec::new();
    for (place, datanet) in (0..).zip(datanets) {
        all.extend(datanet.rows.iter().map(|row| (place, row)));
    }
    all
}

/// For each row the place of the canonical row of its cluster: the first row with the cluster's
/// hash.
pub(super) fn clusters(rows: &[(u8, &Row)]) -> Result<Vec<u32>> {
    let mut first: HashMap<B256, u32> = HashMap::new();
    for (place, (_, row)) in (0u32..).zip(rows) {
        first.entry(row.row_hash).or_insert(place);
    }
    rows.iter()
        .enumerate()
        .map(|(place, (_, row))| {
            let canonical = first.get(&row.cluster_hash).copied();
            canonical.filter(|&found| found as usize <= place).ok_or_else(|| {
                Error::Datanet(format!("row {place}'s cluster has no earlier canonical row"))
            })
        })
        .collect()
}

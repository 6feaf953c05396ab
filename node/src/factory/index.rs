//! Builds the influence index of an adapter over the Datanets that it was trained on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Duration,
};

use alloy::primitives::{Address, B256, keccak256};
use attribution::{
    estimate::{IndexBuilder, IndexConfig, IndexStats, ProjectorConfig, RowSource, Stage},
    settle::EarnerIndex,
};
use inference::{
    adapter::Adapter, gradient::row_gradient, model::Decoder, tokenizer::Tokenizer,
    train::TrainableLora,
};

use super::rows::{row_tokens, site_gradients, site_shapes};
use crate::{
    Error, Result,
    catalog::INDEX_FILE,
    chain::{ChainClient, Deployment, bindings::IEarnerRegistry},
    datanet::{Datanet, Row},
    registry::Role,
};

/// Index of each contributor, by account.
pub type EarnerMap = BTreeMap<Address, EarnerIndex>;

/// Largest adapter file read, in bytes.
const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// Most Datanets of a model, as ModelRegistry has it.
const MAX_DATANETS: usize = 16;

/// How to build an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexSettings {
    /// Sketch dimension.
    pub dim: usize,
    /// Kept length of a site's long side.
    pub side: usize,
    /// Damping `c`.
    pub damping: f64,
    /// Tokens of a row that are used; must be what it was trained with.
    pub max_tokens: usize,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self { dim: 1024, side: 256, damping: 1.0, max_tokens: 256 }
    }
}

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexProgress {
    /// What is being done: `gradients`, `fisher`, `whiten` or `quantise`.
    pub stage: &'static str,
    /// Rows done in this stage.
    pub done: usize,
    /// Rows of this stage.
    pub total: usize,
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

/// Builds the index of the adapter in `dir` for the base model in `base`, and writes it to
/// [`INDEX_FILE`] there. The same inputs give the same bytes.
///
/// Datanets come in the order in which the model is registered with them. Of rows of one duplicate
/// cluster, in whatever Datanets, the first counts.
///
/// The projection's seed is the keccak256 of adapter weights and rows, so that it is fixed after
/// both are.
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
    let mut fixed = adapter.hash().0.to_vec();
    datanets.iter().for_each(|datanet| fixed.extend(datanet.manifest.rows_root));
    let seed = keccak256(fixed);
    let config = IndexConfig {
        projector: ProjectorConfig { seed: seed.0, dim: settings.dim, side: settings.side },
        damping: settings.damping,
        ..IndexConfig::default()
    };
    let mut builder = IndexBuilder::new(&site_shapes(&lora)?, config).map_err(attribution)?;
    let max = settings.max_tokens.min(decoder.spec().max_positions);
    let rows = rows(datanets);
    let clusters = clusters(&rows)?;
    let started = std::time::Instant::now();
    let total = rows.len();
    for (place, &(datanet, row)) in rows.iter().enumerate() {
        let tokens = row_tokens(&tokenizer, &row.text, max)?;
        if tokens.len() < 2 {
            return Err(Error::Datanet(format!("row {place} has no token to learn")));
        }
        let gradient = row_gradient(&decoder, &lora, &tokens, 1)?;
        let source = RowSource {
            datanet,
            index: row.index,
            hash: row.row_hash.0,
            earner: earner_of(earners, row.contributor)?,
            cluster: clusters[place],
        };
        builder.push(source, &site_gradients(&gradient)).map_err(attribution)?;
        progress(IndexProgress { stage: "gradients", done: place + 1, total });
    }
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
    let bytes = index.to_bytes();
    inference::weights::write_atomically(&dir.join(INDEX_FILE), &bytes)?;
    Ok(BuildReport {
        stats,
        root: index.root().into(),
        hash: keccak256(&bytes),
        bytes: bytes.len() as u64,
        gradients,
    })
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

fn earner_of(earners: &EarnerMap, contributor: Address) -> Result<EarnerIndex> {
    earners
        .get(&contributor)
        .copied()
        .ok_or_else(|| Error::Datanet(format!("contributor {contributor} has no earner index")))
}

/// All rows, each with the place of its Datanet.
fn rows(datanets: &[Datanet]) -> Vec<(u8, &Row)> {
    let mut all = Vec::new();
    for (place, datanet) in (0..).zip(datanets) {
        all.extend(datanet.rows.iter().map(|row| (place, row)));
    }
    all
}

/// For each row the place of the canonical row of its cluster: the first row with the cluster's
/// hash.
fn clusters(rows: &[(u8, &Row)]) -> Result<Vec<u32>> {
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

fn attribution(error: attribution::Error) -> Error {
    Error::Attribution(error.to_string())
}

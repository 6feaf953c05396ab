//! Builds the influence index of a model that is not paid by influence: no gradient is taken.

use std::path::Path;

use alloy::primitives::{B256, keccak256};
use attribution::{
    estimate::{IndexBuilder, IndexConfig, Projector, ProjectorConfig, RowSource},
    settle::EarnerIndex,
};
use inference::{adapter::Adapter, model::Decoder, train::TrainableLora};

use super::{
    attribution,
    index::{EarnerMap, MAX_ADAPTER_BYTES, clusters, earner_of, rows},
    rows::site_shapes,
};
use crate::{Result, catalog::INDEX_FILE, datanet::Datanet};

/// The least dimension that an index may have.
const DIM: usize = 16;

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterReport {
    /// Rows.
    pub rows: usize,
    /// Who contributed them.
    pub contributors: usize,
    /// Merkle root of the contributor leaves.
    pub root: B256,
    /// keccak256 of the index file.
    pub hash: B256,
}

/// Writes to [`INDEX_FILE`] in `dir` an index that says who contributed which rows, and in which
/// every sketch is zero: for the adapter there, of a model that pays by spans or citations alone,
/// because gradients of its base cost too much. The chain needs it to know who may be paid, and what
/// the other methods leave goes by its accepted rows. The same inputs give the same bytes.
///
/// # Errors
/// [`crate::Error::Datanet`] if a contributor has no index in `earners` or a row is no cluster's,
/// [`crate::Error::Inference`] if the base or the adapter cannot be read, [`crate::Error::Io`] if the file cannot
/// be written.
pub fn build_roster(
    base: &Path,
    dir: &Path,
    datanets: &[Datanet],
    earners: &EarnerMap,
) -> Result<RosterReport> {
    let decoder = Decoder::load(base)?;
    let adapter = Adapter::load(dir, None, decoder.sites(), MAX_ADAPTER_BYTES)?;
    let lora = TrainableLora::from_weights(&decoder, &adapter.weights())?;
    let sketches = ProjectorConfig { seed: [0; 32], dim: DIM, ..ProjectorConfig::default() };
    let projector = Projector::new(&site_shapes(&lora)?, sketches).map_err(attribution)?;
    let builder = IndexBuilder::new(projector, IndexConfig::default());
    let mut builder = builder.map_err(attribution)?;
    let rows = rows(datanets);
    for (&(datanet, row), cluster) in rows.iter().zip(clusters(&rows)?) {
        let earner: EarnerIndex = earner_of(earners, row.contributor)?;
        let (index, hash) = (row.index, row.row_hash.0);
        let source = RowSource { datanet, index, hash, earner, cluster };
        builder.push_sketch(source, &[0.0; DIM]).map_err(attribution)?;
    }
    let index = builder.finish_silent().map_err(attribution)?;
    let bytes = index.to_bytes();
    inference::weights::write_atomically(&dir.join(INDEX_FILE), &bytes)?;
    Ok(RosterReport {
        rows: index.rows().len(),
        contributors: index.contributors().len(),
        root: index.root().into(),
        hash: keccak256(&bytes),
    })
}

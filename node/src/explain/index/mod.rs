//! Whether a model's influence index is what it is said to be, and what it holds.

mod basis;
mod chain;
mod rows;
mod sketches;
mod spans;
mod subject;
mod summary;

use std::path::Path;

use alloy::primitives::B256;
use attribution::estimate::InfluenceIndex;

pub use self::{chain::ChainIndex, subject::IndexCheck, summary::IndexSummary};
use super::finding::Report;
use crate::{
    Result,
    catalog::{INDEX_FILE, ModelManifest, adapter_hash, file_hash},
};

/// Checks the files of an index, its content, and what it is held against. What it holds is there if
/// it can be read. `progress` is called after every row whose sketch is computed again.
///
/// Findings: `model.json`, `adapter`, `index.olx` (the file's hash), `index` (its content: checksum,
/// lengths, numbers, order), `contributor sums` (the root that they give), `registration`,
/// `publication`, `span publication`, `span index`, `span rows`, `span text`, `datanets`, `rows`,
/// `excluded rows`, `shapes`, `seed` (of the projection), `basis` (how it serves the rows),
/// `sketches`.
///
/// # Errors
/// [`crate::Error::Inference`] if the base model cannot be loaded or its tokenizer refuses a row.
pub fn verify_index(
    check: &IndexCheck<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(Report, Option<IndexSummary>)> {
    let mut report = Report::default();
    let manifest = match ModelManifest::load(check.dir) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            report.note("model.json", false, error.to_string());
            None
        }
    };
    let hash = files(check.dir, manifest.as_ref(), &mut report);
    let index = match InfluenceIndex::read(&check.dir.join(INDEX_FILE)) {
        Ok(index) => index,
        Err(error) => {
            report.note("index", false, format!("{INDEX_FILE}: {error}"));
            return Ok((report, None));
        }
    };
    let summary = IndexSummary::of(&index);
    let (count, dim) = (summary.rows, summary.dim);
    report.note("index", true, format!("{count} rows of {dim} numbers, checksum and order hold"));
    if let Some(manifest) = &manifest {
        report.compare("contributor sums", &manifest.index_root, &summary.root);
        chain::registration(check.chain.as_ref(), manifest, hash, &index, &mut report);
        spans::spans(check, manifest, &index, &mut report)?;
    }
    rows::compare_rows(check, &index, &mut report);
    rows::excluded(&index, &summary, &mut report);
    sketches::sketches(check, &index, &mut report, progress)?;
    Ok((report, Some(summary)))
}

/// The hashes of the folder's files; returns the index file's.
fn files(dir: &Path, manifest: Option<&ModelManifest>, report: &mut Report) -> Option<B256> {
    let hash = file_hash(&dir.join(INDEX_FILE));
    let adapter = adapter_hash(dir);
    for (what, found, said) in [
        ("adapter", &adapter, manifest.map(|manifest| manifest.adapter_hash)),
        (INDEX_FILE, &hash, manifest.map(|manifest| manifest.index_hash)),
    ] {
        match (found, said) {
            (Err(error), _) => report.note(what, false, error.to_string()),
            (Ok(found), Some(said)) => report.compare(what, &said, found),
            (Ok(found), None) => report.skip(what, format!("hash {found}, no model.json")),
        }
    }
    hash.ok()
}

//! The span index of a model's folder.

use std::path::Path;

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    spans::{Check, SpanIndex},
};

use crate::{
    catalog::{ModelManifest, SPANS_FOLDER},
    explain::finding::Report,
};

/// The span index beside the influence index: every byte of it, what stands for it on the chain, and
/// that it is of the same rows.
pub(super) fn spans(
    dir: &Path,
    manifest: &ModelManifest,
    index: &InfluenceIndex,
    report: &mut Report,
) {
    let path = dir.join(SPANS_FOLDER);
    let Some(hash) = manifest.span_hash else {
        if path.is_dir() {
            report.skip("span index", format!("model.json names none, {SPANS_FOLDER} is there"));
        }
        return;
    };
    let spans = match SpanIndex::open(&path, Check::Everything) {
        Ok(spans) => spans,
        Err(error) => return report.note("span index", false, error.to_string()),
    };
    let found = spans.commit(0).map(|shard| B256::from(shard.commitment().hash()));
    report.compare("span index", &hash, &found.unwrap_or_default());
    let known = index.rows().iter().map(|row| row.source);
    let place = (0..).zip(known).find(|(place, source)| spans.row(*place) != Some(*source));
    let rows = (spans.rows() as usize, index.rows().len());
    match place {
        Some((place, _)) => {
            report.note("span rows", false, format!("row {place} is another in the span index"));
        }
        None => report.compare("span rows", &rows.0, &rows.1),
    }
}

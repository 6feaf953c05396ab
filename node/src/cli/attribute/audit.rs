//! What an answer's sources add to it.

use alloy::primitives::B256;
use attribution::retrieval::AblationConfig;
use eyre::eyre;
use node::{
    config::Config,
    explain::Checker,
    recorder::recorded,
    retrieval::{Ablation, DatanetRows, ablate},
    serving::StoredAnswer,
    store::SharedStore,
};
use serde_json::{Value, json};

/// Audits a recorded answer that was given sources.
///
/// - `request`: body of the call
pub(super) fn audit(
    config: &Config,
    checker: &Checker,
    store: &SharedStore,
    digest: B256,
    request: &[u8],
) -> eyre::Result<Ablation> {
    let reruns = checker.reruns().ok_or_else(|| eyre!("no model is loaded"))?;
    let found = recorded(&**store, digest)?;
    let recorded = found.ok_or_else(|| eyre!("the store has no record of {digest}"))?;
    let answer = StoredAnswer::from_bytes(&recorded.answer)?;
    let rows = DatanetRows::new(checker.registry().clone(), &config.datanet_folders());
    let model = recorded.call.record.call().model.0.into();
    let settings = AblationConfig::default();
    let audit = || ablate(reruns.catalog(), &rows, model, request, &answer, settings);
    // It computes for a while, and nothing else waits here.
    Ok(tokio::task::block_in_place(audit)?)
}

pub(super) fn json(audit: &Ablation) -> Value {
    json!({
        "scores": audit.surrogate.scores,
        "intercept": audit.surrogate.intercept,
        "lds": audit.surrogate.lds,
        "passes": audit.surrogate.passes,
        "weights": audit.weights,
        "cited_in_top": audit.agreement.cited_in_top,
        "spearman": audit.agreement.spearman,
        "tokens": audit.tokens,
    })
}

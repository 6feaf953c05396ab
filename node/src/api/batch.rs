//! A batch on its way through the pipeline, as JSON.

use serde_json::{Value, json};

use crate::{
    Result,
    batcher::SealedBatch,
    committer::committed,
    da::certificates,
    finaliser::FinalBatch,
    proofs::{hash_of, proven},
    registry::{BatchStatus, ChainBatch},
    settler::{PostedBatch, Waiting},
    store::{Store, Table, get_row},
};

/// Why a batch that is ready is not posted.
pub(super) fn waiting_json(waiting: Waiting) -> Value {
    match waiting {
        Waiting::Exposure { batch, epoch, total, unfinal, cap } => json!({
            "reason": "exposure",
            "batch": batch,
            "epoch": epoch.to_string(),
            "total": total.to_string(),
            "unfinal": unfinal.to_string(),
            "cap": cap.to_string(),
        }),
        Waiting::Previous { batch, epoch, previous, head } => json!({
            "reason": "previous",
            "batch": batch,
            "epoch": epoch.to_string(),
            "previous": previous,
            "head": head,
        }),
    }
}

/// What each stage has made of a batch; the status is the last stage that is done, or `struck`.
pub(super) fn batch_json(store: &dyn Store, sealed: &SealedBatch) -> Result<Value> {
    let key = sealed.epoch.to_be_bytes();
    let commitments = committed(store, sealed.epoch)?;
    let published = certificates(store, sealed.epoch)?;
    let on_chain: Option<ChainBatch> = get_row(store, Table::ChainBatches, sealed.id.as_slice())?;
    let is_struck = on_chain.as_ref().is_some_and(|view| view.status == BatchStatus::Struck);
    let proof = match &published {
        Some(certificates) => proven(store, sealed, hash_of(certificates.clone()))?,
        None => None,
    };
    let posted: Option<PostedBatch> = get_row(store, Table::Postings, &key)?;
    let is_final: Option<FinalBatch> = get_row(store, Table::Finals, &key)?;
    let status = if is_struck {
        "struck"
    } else if is_final.is_some() {
        "final"
    } else if posted.is_some() {
        "posted"
    } else if proof.is_some() {
        "proven"
    } else if published.is_some() {
        "published"
    } else if commitments.is_some() {
        "committed"
    } else {
        "sealed"
    };
    Ok(json!({
        "id": sealed.id,
        "epoch": sealed.epoch.to_string(),
        "status": status,
        "calls": sealed.calls,
        "rows": sealed.rows,
        "total": sealed.total.to_string(),
        "payouts": sealed.payouts.len(),
        "draws": sealed.draws.len(),
        "ledger": commitments.as_ref().map(|found| {
            json!({ "x": found.ledger.x, "y": found.ledger.y })
        }),
        "witnesses": commitments.as_ref().map(|found| found.witnesses.len()),
        "pages": commitments.map(|found| found.pages),
        "previous": sealed.previous,
        "refunded": on_chain.is_some_and(|view| view.refunded),
        "proof": proof.map(|row| json!({
            "words": row.proof.len(),
            "milliseconds": row.milliseconds,
        })),
        "posted": posted.map(|row| json!({
            "transaction": row.transaction,
            "gas": row.gas,
            "finalisable_at": row.finalisable_at,
        })),
        "final": is_final.map(|row| json!({ "transaction": row.transaction, "gas": row.gas })),
    }))
}

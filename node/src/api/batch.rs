//! A batch on its way through the pipeline, as JSON.

use serde_json::{Value, json};

use crate::{
    Result,
    batcher::SealedBatch,
    committer::committed,
    finaliser::FinalBatch,
    settler::PostedBatch,
    store::{Store, Table, get_row},
};

/// What each stage has made of a batch; the status is the last stage that is done.
pub(super) fn batch_json(store: &dyn Store, sealed: &SealedBatch) -> Result<Value> {
    let key = sealed.epoch.to_be_bytes();
    let commitments = committed(store, sealed.epoch)?;
    let published = store.get(Table::Certificates, &key)?.is_some();
    let posted: Option<PostedBatch> = get_row(store, Table::Postings, &key)?;
    let is_final: Option<FinalBatch> = get_row(store, Table::Finals, &key)?;
    let status = if is_final.is_some() {
        "final"
    } else if posted.is_some() {
        "posted"
    } else if published {
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
        "pages": commitments.map(|found| found.pages),
        "posted": posted.map(|row| json!({
            "transaction": row.transaction,
            "gas": row.gas,
            "finalisable_at": row.finalisable_at,
        })),
        "final": is_final.map(|row| json!({ "transaction": row.transaction, "gas": row.gas })),
    }))
}

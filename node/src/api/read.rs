//! What can be read of the node: models, rows, records, batches, health, metrics.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use inference::adapter::AdapterSet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    answer::{AdapterWeight, Statement},
    auth,
    error::ApiError,
    explain::Readers,
    openapi::ErrorBody,
    sources::RetrievalJson,
};
use crate::{
    Error,
    catalog::{self, StoredRow},
    metrics,
    recorder::{self, Recorded},
    serving::{self, StoredAnswer},
    store::Store,
    worker::blocking,
};

/// Answers of the handlers below.
pub(super) type Answer = Result<Json<Value>, ApiError>;

/// Reads the store, which may wait for the disk, away from the threads that serve.
pub(super) async fn read<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&dyn Store) -> crate::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let store = api.store.clone();
    blocking(move || work(&*store)).await.map_err(ApiError::from)
}

/// A hash out of a path.
pub(super) fn hash(text: &str) -> Result<B256, ApiError> {
    text.parse().map_err(|_| ApiError::invalid("hash", "hash is not 32 bytes of hex"))
}

/// A row of a Datanet by its hash.
#[utoipa::path(
    get,
    path = "/v1/rows/{hash}",
    tag = "reads",
    params(("hash" = String, Path, description = "32 bytes of hex")),
    responses((status = 200, description = "The row", body = Object), (status = 404, description = "There is none", body = ErrorBody)),
    security((), ("key" = []))
)]
pub(super) async fn row(
    State(api): State<Api>,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let granted = auth::caller(&api, &headers)?.granted();
    let wanted = hash(&text)?;
    let found = read(&api, move |store| catalog::row(store, wanted)).await?;
    let retrieval = api.serving.parts().retrieval.as_ref();
    let may_read = |row: &StoredRow| {
        retrieval.is_none_or(|retrieval| retrieval.may_read(row.datanet, &granted))
    };
    let row = found
        .filter(may_read)
        .ok_or_else(|| ApiError::not_found("row_not_found", "row is unknown"))?;
    Ok(Json(json!({
        "hash": wanted,
        "text": row.text,
        "contributor": row.contributor,
        "datanet": row.datanet,
        "version": row.version,
        "index": row.index,
        "cluster_hash": row.cluster_hash,
        "source": row.source,
    })))
}

/// The record of a call by its voucher's digest.
#[utoipa::path(
    get,
    path = "/v1/records/{digest}",
    tag = "reads",
    params(("digest" = String, Path, description = "32 bytes of hex")),
    responses((status = 200, description = "The record", body = Object), (status = 404, description = "There is none", body = ErrorBody)),
    security((), ("key" = []))
)]
pub(super) async fn record(
    State(api): State<Api>,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let granted = auth::caller(&api, &headers)?.granted();
    let digest = hash(&text)?;
    let readers = Readers::of(&api, &headers, digest)?;
    let found = read(&api, move |store| recorder::recorded(store, digest)).await?;
    let recorded =
        found.ok_or_else(|| ApiError::not_found("record_not_found", "record is unknown"))?;
    let channel = api.serving.parts().registry.channel(recorded.call.voucher.channelId)?;
    let may_read = readers.may_read(channel.map(|channel| channel.payer));
    let epoch_seconds = api.serving.parts().registry.contracts().epoch_seconds;
    let model = B256::new(recorded.call.record.call().model.0);
    let served = api.serving.parts().catalog.models().iter().find(|served| served.id == model);
    let set = served.map_or_else(AdapterSet::base, |served| served.adapter_set());
    let adapters = api.serving.parts().engine.store().credits(&set);
    let mut spans = serving::StoredAnswer::from_bytes(&recorded.answer)?.spans;
    let mut retrieval = sources(&api, &recorded, &granted);
    if !may_read {
        // What was answered is its payer's and this operator's; which rows are paid is everybody's.
        spans.iter_mut().for_each(|span| span.text.clear());
        retrieval = None;
    }
    let adapters = AdapterWeight::list(adapters);
    let statement = serving::statement(&recorded, &spans, epoch_seconds, adapters);
    let statement = Statement { retrieval, ..statement };
    let shares = recorded.call.record.shares().iter().map(|share| {
        json!({
            "kind": format!("{:?}", share.kind).to_lowercase(),
            "earner": share.earner.0,
            "amount": share.amount.to_string(),
        })
    });
    let mut body = serde_json::to_value(statement).map_err(|error| ApiError::internal(&error))?;
    body["shares"] = shares.collect();
    body["pool"] = json!(recorded.call.record.pool().to_string());
    body["voucher"] = serde_json::to_value(recorded.call.signed_voucher())
        .map_err(|error| ApiError::internal(&error))?;
    Ok(Json(body))
}

/// The sources of a recorded answer; none if one of them is not for this caller.
fn sources(api: &Api, recorded: &Recorded, granted: &BTreeSet<B256>) -> Option<RetrievalJson> {
    let grounding = StoredAnswer::from_bytes(&recorded.answer).ok()?.retrieval?;
    let retrieval = api.serving.parts().retrieval.as_ref();
    let mut datanets = grounding.sources.iter().map(|source| source.place.datanet);
    let may_read = |datanet| retrieval.is_none_or(|all| all.may_read(datanet, granted));
    datanets.all(may_read).then(|| RetrievalJson::of(&grounding, &recorded.call.record))
}

/// `?after=EPOCH&limit=COUNT`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    after: Option<u64>,
    limit: Option<usize>,
}

/// Most batches in one answer.
const MAX_BATCHES: usize = 200;

/// Batches of records by epoch.
#[utoipa::path(
    get,
    path = "/v1/batches",
    tag = "reads",
    params(("after" = Option<u64>, Query, description = "Epoch"), ("limit" = Option<u64>, Query, description = "1 to 200")),
    responses((status = 200, description = "Batches, oldest first", body = Object)),
    security((), ("key" = []))
)]
pub(super) async fn batches(State(api): State<Api>, Query(paging): Query<Paging>) -> Answer {
    let limit = paging.limit.unwrap_or(MAX_BATCHES).clamp(1, MAX_BATCHES);
    let data = read(&api, move |store| {
        let (mut after, mut data) = (paging.after, Vec::new());
        while data.len() < limit {
            let Some(sealed) = crate::batcher::batches_after(store, after)? else { break };
            after = Some(sealed.epoch);
            data.push(super::batch::batch_json(store, &sealed)?);
        }
        Ok::<_, Error>(data)
    });
    Ok(Json(json!({ "object": "list", "data": data.await? })))
}

/// Whether the node is well.
#[utoipa::path(
    get,
    path = "/health",
    tag = "reads",
    responses((status = 200, description = "The node hears of its chain", body = Object), (status = 503, description = "It does not", body = Object)),
    security((), ("key" = []))
)]
pub(super) async fn health(State(api): State<Api>) -> Response {
    let parts = api.serving.parts();
    let state = parts.registry.chain_state();
    let fresh = parts.registry.is_fresh(parts.config.max_head_age);
    let refused: BTreeMap<String, String> = parts
        .catalog
        .refused()
        .iter()
        .map(|(dir, reason)| (dir.display().to_string(), reason.clone()))
        .collect();
    let body = json!({
        "status": if fresh { "ok" } else { "degraded" },
        "chain": {
            "id": parts.registry.contracts().deployment.chain_id,
            "head": state.head.number,
            "time": state.head.timestamp,
            "synced": state.synced,
            "heard_seconds_ago": state.heard.map(|heard| heard.elapsed().as_secs()),
        },
        "models": parts.catalog.models().len(),
        "refused_models": refused,
        "settlement": { "waiting": api.waits.get().map(super::batch::waiting_json) },
    });
    let status = if fresh { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// What Prometheus reads.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "reads",
    responses((status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text"))
)]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let (pipeline, waiting) = (api.pipeline.clone(), api.waits.get());
    let (votes, challenger) = (api.votes.clone(), api.challenger.clone());
    let refresh = move |store: &dyn Store| {
        pipeline.refresh(store, waiting)?;
        votes.refresh(store)?;
        challenger.refresh(store)
    };
    read(&api, refresh).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], metrics::expose(&api.metrics)).into_response())
}

//! `/v1/models`: what can be called, with prices.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use inference::adapter::AdapterStatus;
use serde_json::{Value, json};

use super::{Api, auth, error::ApiError, openapi::ErrorBody, read::Answer};
use crate::{
    catalog::ServedModel,
    keys::{ApiKey, Caller},
    registry::{FigureKind, ModelView, ReportView},
};

/// Public models, and the caller's own adapters.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "reads",
    responses((status = 200, description = "Models with prices, and the caller's own adapters", body = Object)),
    security((), ("key" = []))
)]
pub(super) async fn list(State(api): State<Api>, headers: HeaderMap) -> Answer {
    let caller = auth::caller(&api, &headers)?;
    let parts = api.serving.parts();
    let mut data = Vec::new();
    for model in parts.catalog.models() {
        data.extend(model_json(&api, model)?);
    }
    data.extend(own(&api, &caller));
    let contracts = parts.registry.contracts();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "operator": parts.operator,
        "payment_channels": contracts.deployment.payment_channels,
        "chain_id": contracts.deployment.chain_id,
    })))
}

/// One of them, by id or name.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "reads",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, description = "One of them", body = Object), (status = 404, description = "There is none", body = ErrorBody)),
    security((), ("key" = []))
)]
pub(super) async fn one(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Answer {
    let caller = auth::caller(&api, &headers)?;
    let found = match api.serving.parts().catalog.find(&name) {
        Some(model) => model_json(&api, &model)?,
        None => own(&api, &caller).into_iter().find(|adapter| adapter["id"] == name.as_str()),
    };
    found.map(Json).ok_or_else(ApiError::unknown_model)
}

/// A model as the chain has it; `None` while a reorganisation has taken it away.
fn model_json(api: &Api, model: &ServedModel) -> Result<Option<Value>, ApiError> {
    let parts = api.serving.parts();
    let Some(view) = parts.registry.model(model.id)? else { return Ok(None) };
    let earning_from = parts.registry.earning_from(&view)?;
    Ok(Some(json!({
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": view.owner,
        "name": model.name,
        "base": view.base,
        "content_hash": view.content_hash,
        "index_root": view.index_root,
        "earning": earning_from.is_some_and(|from| from <= parts.registry.head().timestamp),
        "earning_from": earning_from,
        "influence": influence(api, &view)?,
        "price": {
            "inputRate": view.price.inputRate.to_string(),
            "outputRate": view.price.outputRate.to_string(),
            "platformFee": view.price.platformFee.to_string(),
            "priceVersion": view.price_version,
        },
        "datanets": view.datanets.iter().map(|datanet| {
            json!({ "id": datanet.id, "version": datanet.version })
        }).collect::<Vec<_>>(),
    })))
}

/// How far pay follows influence now, what of nets credits pay by that and the mix, and by which
/// report; null for a base model, which has none.
fn influence(api: &Api, view: &ModelView) -> Result<Value, ApiError> {
    if view.base.is_zero() {
        return Ok(Value::Null);
    }
    let registry = &api.serving.parts().registry;
    let time = registry.head().timestamp;
    let report = registry.figure_at(FigureKind::Influence, view.id, time)?;
    let report = report.and_then(|(figure, view)| {
        let ReportView { lds_low, lds, lds_high, ceiling, retrainings } = view.report?;
        Some(json!({
            "figure": figure,
            "hash": view.hash,
            "in_force_from": view.in_force_from,
            "lds_bps": lds,
            "lds_interval_bps": [lds_low, lds_high],
            "ceiling_bps": ceiling,
            "retrainings": retrainings,
        }))
    });
    Ok(json!({
        "bps": registry.influence_at(view.id, time)?,
        "credit_share_bps": registry.credit_share_at(view.id, time)?,
        "report": report,
    }))
}

/// Adapters that only the caller may use, under each of their names.
fn own(api: &Api, caller: &Caller) -> Vec<Value> {
    let Some(key) = caller.key() else { return Vec::new() };
    let store = api.serving.parts().engine.store();
    let owned = store.list(Some(&key.owner())).into_iter();
    let private = owned.filter(|adapter| !store.is_visible(&adapter.hash, None));
    private.flat_map(|adapter| own_json(key, &adapter)).collect()
}

fn own_json(key: &ApiKey, adapter: &AdapterStatus) -> Vec<Value> {
    let entry = |name: &String| {
        json!({
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": key.name,
            "adapter": adapter.hash.to_string(),
            "private": true,
        })
    };
    adapter.names.iter().map(entry).collect()
}

//! What administrators do with adapters, under vLLM's names.

use std::{
    path::{Component, Path},
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use inference::adapter::{FolderSource, Source};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Api, auth,
    calls::read_body,
    error::ApiError,
    openapi::ErrorBody,
    read::Answer,
    request::{AdapterSource, json as parse},
};
use crate::keys::{ApiKey, Caller};

/// An adapter to be loaded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadRequest {
    /// What requests will call it.
    pub lora_name: String,
    /// A folder below the configured one, a repository of the hub, or the URL of a manifest.
    pub lora_path: String,
    /// Where that is: `local` if absent.
    pub source: Option<AdapterSource>,
    /// Name of the only key that may use it; without one everybody may whom the operator lets use
    /// what no record can name.
    pub owner: Option<String>,
}

/// An adapter to be unloaded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnloadRequest {
    /// Its name or hash.
    pub lora_name: String,
    /// Taken from clients of vLLM, and passed over.
    #[expect(dead_code, reason = "its type is checked, its value means nothing here")]
    pub lora_int_id: Option<u64>,
    /// Name of the key that it belongs to, if it is private.
    pub owner: Option<String>,
}

/// Reads an adapter and makes it known.
#[utoipa::path(
    post,
    path = "/v1/load_lora_adapter",
    tag = "admin",
    request_body = LoadRequest,
    responses(
        (status = 200, description = "It is loaded", body = Object),
        (status = 400, description = "It is refused, with the reason", body = ErrorBody),
        (status = 401, description = "No key, or an unknown one", body = ErrorBody),
        (status = 403, description = "Not an administrator's key, or a place that is not allowed", body = ErrorBody),
    ),
    security(("key" = []))
)]
pub(super) async fn load(State(api): State<Api>, headers: HeaderMap, body: Body) -> Answer {
    let mut caller = Caller::default();
    auth::administrator(&api, &mut caller, &headers)?;
    let request: LoadRequest = read(&api, body).await?;
    let parts = api.serving.parts();
    let name = request.lora_name;
    if parts.catalog.find(&name).is_some() || name == "auto" || name.starts_with("0x") {
        return Err(ApiError::invalid("lora_name", "the name is a model's, or looks like an id"));
    }
    let owner = owner(&api, request.owner.as_deref())?.map(ApiKey::owner);
    let source: Arc<dyn Source> = match request.source.unwrap_or(AdapterSource::Local) {
        AdapterSource::Local => {
            let root = parts.places.root.as_deref().ok_or_else(|| {
                let message = "no folder of adapters is configured";
                ApiError::new(StatusCode::FORBIDDEN, "no_adapter_root", message)
            })?;
            let folder = Path::new(&request.lora_path);
            let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if !folder.components().all(is_plain) {
                let message = "lora_path is not a path below the folder of adapters";
                return Err(ApiError::invalid("lora_path", message));
            }
            Arc::new(FolderSource::new(&root.join(folder), Some(root.into())))
        }
        remote => api.serving.source(&request.lora_path, remote)?,
    };
    let hash = api.serving.register(Some(name.clone()), owner, source).await?;
    tracing::info!(target: "node::api", name, %hash, "adapter loaded");
    Ok(Json(json!({ "name": name, "hash": hash.to_string(), "status": "loaded" })))
}

/// Withdraws an adapter; calls that use it already finish with it.
#[utoipa::path(
    post,
    path = "/v1/unload_lora_adapter",
    tag = "admin",
    request_body = UnloadRequest,
    responses(
        (status = 200, description = "It is unloaded", body = Object),
        (status = 400, description = "It is refused, with the reason", body = ErrorBody),
        (status = 401, description = "No key, or an unknown one", body = ErrorBody),
        (status = 403, description = "Not an administrator's key, or a place that is not allowed", body = ErrorBody),
    ),
    security(("key" = []))
)]
pub(super) async fn unload(State(api): State<Api>, headers: HeaderMap, body: Body) -> Answer {
    let mut caller = Caller::default();
    auth::administrator(&api, &mut caller, &headers)?;
    let request: UnloadRequest = read(&api, body).await?;
    let parts = api.serving.parts();
    let owner = owner(&api, request.owner.as_deref())?.map(ApiKey::owner);
    let (store, name) = (parts.engine.store().clone(), request.lora_name);
    let hash = store.resolve(&name, owner.as_ref()).map_err(|_| ApiError::unknown_adapter())?;
    if parts.catalog.find(&name).is_some() || parts.catalog.with_adapter(hash).is_some() {
        return Err(ApiError::invalid("lora_name", "it is a registered model's adapter"));
    }
    let withdrawn = tokio::task::spawn_blocking({
        let name = name.clone();
        move || store.withdraw(&name, owner.as_ref())
    });
    withdrawn
        .await
        .map_err(|error| ApiError::internal(&error))?
        .map_err(|_| ApiError::unknown_adapter())?;
    tracing::info!(target: "node::api", name, %hash, "adapter unloaded");
    Ok(Json(json!({ "name": name, "hash": hash.to_string(), "status": "unloaded" })))
}

/// All public adapters and those of every key, with their tiers.
#[utoipa::path(
    get,
    path = "/admin/adapters",
    tag = "admin",
    responses(
        (status = 200, description = "All adapters with their tiers", body = Object),
        (status = 400, description = "It is refused, with the reason", body = ErrorBody),
        (status = 401, description = "No key, or an unknown one", body = ErrorBody),
        (status = 403, description = "Not an administrator's key, or a place that is not allowed", body = ErrorBody),
    ),
    security(("key" = []))
)]
pub(super) async fn list(State(api): State<Api>, headers: HeaderMap) -> Answer {
    let mut caller = Caller::default();
    auth::administrator(&api, &mut caller, &headers)?;
    let store = api.serving.parts().engine.store();
    let mut data = Vec::new();
    let public = [None].into_iter().chain(api.keys.iter().map(Some));
    for key in public {
        let owner = key.map(ApiKey::owner);
        for adapter in store.list(owner.as_ref()) {
            if key.is_some() && store.is_visible(&adapter.hash, None) {
                continue;
            }
            data.push(json!({
                "hash": adapter.hash.to_string(),
                "names": adapter.names,
                "owner": key.map(|key| key.name.clone()),
                "tier": format!("{:?}", adapter.tier).to_lowercase(),
                "rank": adapter.rank,
            }));
        }
    }
    let stats = store.stats();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "tiers": {
            "registered": stats.registered,
            "disk": stats.disk.0,
            "disk_bytes": stats.disk.1,
            "host_bytes": stats.host_bytes,
            "resident": stats.resident,
            "resident_bytes": stats.resident_bytes,
            "waiting": stats.waiting,
        },
    })))
}

fn owner<'a>(api: &'a Api, name: Option<&str>) -> Result<Option<&'a ApiKey>, ApiError> {
    let unknown = || ApiError::invalid("owner", "no key has this name");
    name.map(|name| api.keys.named(name).ok_or_else(unknown)).transpose()
}

async fn read<T: DeserializeOwned>(api: &Api, body: Body) -> Result<T, ApiError> {
    let value = parse(&read_body(body, api.max_body_bytes).await?)?;
    serde_json::from_value(value).map_err(|error| ApiError::invalid("body", error.to_string()))
}

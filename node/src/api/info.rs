//! `/info`: what runs here, in what numbers, within which bounds.

use axum::{Json, extract::State, http::HeaderMap};
use inference::adapter::Tier;
use serde_json::json;

use super::{Api, auth, choices::MAX_CHOICES, read::Answer};

/// What the parts of the node do not know of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Name of the format that weights are kept in.
    pub weights: &'static str,
    /// Name of the arithmetic: what is equal bit by bit under the same name.
    pub numeric_profile: &'static str,
}

impl Default for About {
    fn default() -> Self {
        Self { weights: "as_stored", numeric_profile: "cpu-f32-fixed" }
    }
}

impl About {
    /// Of a node whose answers are computed over so many ranks: more than one add up in another
    /// order.
    pub fn over_ranks(ranks: usize) -> Self {
        let numeric_profile = if ranks == 1 { "cpu-f32-fixed" } else { "cpu-f32-ranks" };
        Self { numeric_profile, ..Self::default() }
    }
}

/// What runs here.
#[utoipa::path(
    get,
    path = "/info",
    tag = "reads",
    responses((status = 200, description = "Base model, numbers, adapters by tier, limits", body = Object)),
    security((), ("key" = []))
)]
pub(super) async fn info(State(api): State<Api>, headers: HeaderMap) -> Answer {
    let caller = auth::caller(&api, &headers)?;
    let parts = api.serving.parts();
    let (spec, config) = (parts.engine.decoder().spec(), parts.engine.config());
    let base = &parts.catalog.models()[0];
    // Of adapters, whoever asks is only told of those that it may use.
    let adapters = parts.engine.store().list(caller.owner().as_ref());
    let tier = |tier| adapters.iter().filter(|adapter| adapter.tier == tier).count();
    let contracts = parts.registry.contracts();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "base": { "id": base.id, "name": base.name },
        "spec": serde_json::from_str::<serde_json::Value>(&spec.to_json()).unwrap_or_default(),
        "numeric_profile": api.about.numeric_profile,
        "weights": api.about.weights,
        "models": parts.catalog.models().len(),
        "adapters": {
            "resident": tier(Tier::Resident),
            "host": tier(Tier::Host),
            "registered": tier(Tier::Registered),
        },
        "limits": {
            "max_body_bytes": api.max_body_bytes,
            "max_prompt_tokens": parts.config.max_prompt_tokens,
            "max_new_tokens": parts.config.max_new_tokens,
            "max_positions": spec.max_positions,
            "max_requests": parts.config.max_requests,
            "max_batch": config.scheduler.max_running,
            "queue": config.scheduler.max_waiting,
            "max_choices": MAX_CHOICES,
            "call_timeout_seconds": parts.config.timeout.as_secs(),
        },
        "operator": parts.operator,
        "payment_channels": contracts.deployment.payment_channels,
        "chain_id": contracts.deployment.chain_id,
    })))
}

//! The HTTP API: OpenAI's, with payment, and what else can be read of the node.

mod admin;
pub mod answer;
mod auth;
mod batch;
mod calls;
mod choices;
mod completion;
pub mod earnings;
mod embeddings;
pub mod error;
mod explain;
mod graph;
mod info;
mod models;
pub mod openapi;
pub mod payment;
mod read;
mod refusal;
pub mod request;
mod retrieve;
pub mod sources;
mod stream;
#[cfg(test)]
mod tests;

pub use info::About;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use prometheus_client::registry::Registry as MetricsRegistry;

use crate::{
    earnings::Earnings,
    keys::Keys,
    metrics::{ChallengerMetrics, PipelineMetrics, VoteMetrics},
    serving::Serving,
    settler::Waits,
    store::SharedStore,
};

/// What the handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// Serves calls.
    pub serving: Serving,
    /// Who may call without vouchers.
    pub keys: Keys,
    /// What `/info` tells besides what the parts know.
    pub about: About,
    /// What the pipeline has written.
    pub store: SharedStore,
    /// What earners have earned.
    pub earnings: Earnings,
    /// Why the next batch is not posted.
    pub waits: Waits,
    /// What `/metrics` shows.
    pub metrics: Arc<MetricsRegistry>,
    /// Its part that is read from the store.
    pub pipeline: PipelineMetrics,
    /// Its part about votes.
    pub votes: VoteMetrics,
    /// Its part about other operators' batches.
    pub challenger: ChallengerMetrics,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
}

/// The routes.
pub fn router(api: Api) -> Router {
    let earnings = earnings::routes(api.earnings.clone());
    let graph = graph::routes(&api);
    Router::new()
        .route("/v1/chat/completions", post(calls::chat))
        .route("/v1/completions", post(calls::text))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/v1/retrieve", post(retrieve::retrieve))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::one))
        .route("/v1/load_lora_adapter", post(admin::load))
        .route("/v1/unload_lora_adapter", post(admin::unload))
        .route("/admin/adapters", get(admin::list))
        .route("/v1/rows/{hash}", get(read::row))
        .route("/v1/records/{digest}", get(read::record))
        .route("/v1/records/{digest}/explanation", get(explain::explanation))
        .route("/v1/batches", get(read::batches))
        .route("/health", get(read::health))
        .route("/info", get(info::info))
        .route("/metrics", get(read::metrics))
        .route("/openapi.json", get(openapi::serve))
        .fallback(unknown)
        // Bodies are read by the handlers, which bound them by the configured size.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
        .merge(earnings)
        .merge(graph)
        .method_not_allowed_fallback(other_method)
}

async fn unknown() -> error::ApiError {
    error::ApiError::not_found("unknown_url", "there is no such address")
}

async fn other_method() -> error::ApiError {
    let message = "the address is asked for in another way";
    error::ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

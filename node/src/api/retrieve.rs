//! `POST /v1/retrieve`: rows for a question, without an answer and for nothing.

use alloy::primitives::{Address, B256};
use attribution::retrieval::Hit;
use axum::{
    Json,
    extract::{Request, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Api, auth,
    calls::read_body,
    error::ApiError,
    openapi::ErrorBody,
    request::{WireRetrieval, check_retrieval},
};
use crate::retrieval::Scope;

/// A question to the library.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetrieveBody {
    /// What rows are looked for by.
    question: String,
    /// Id or name of a model, in whose own Datanet versions rows are looked for; without it, in the
    /// newest version of each Datanet.
    model: Option<String>,
    /// Ids of Datanets to look in; all that the caller may if absent.
    datanets: Option<Vec<String>>,
    /// Most rows, 1 to 64, and no more than the node gives; 6 if absent.
    limit: Option<u64>,
}

/// Rows that fit a question.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RowList {
    /// `list`
    object: &'static str,
    /// Rows, best first.
    data: Vec<FoundRow>,
}

/// A row that fits a question.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundRow {
    /// keccak256 of its text.
    #[schema(value_type = String)]
    row_hash: B256,
    /// Its place in the Datanet version.
    row: u64,
    /// The Datanet.
    #[schema(value_type = String)]
    datanet: B256,
    /// The version.
    version: u32,
    /// Link or path of where it is from.
    source: String,
    /// Who contributed it.
    #[schema(value_type = String)]
    contributor: Address,
    /// How near it is to the question: dot products of int8 vectors, two thirds its own and a third its best passage's.
    relevance: u32,
    /// The data.
    text: String,
}

/// Rows for a question.
#[utoipa::path(
    post,
    path = "/v1/retrieve",
    tag = "reads",
    request_body = RetrieveBody,
    responses(
        (status = 200, description = "The rows", body = RowList),
        (status = 400, description = "A field breaks a rule, or the node retrieves nothing", body = ErrorBody),
        (status = 401, description = "The key is unknown", body = ErrorBody),
        (status = 404, description = "There is no such model or Datanet for this caller", body = ErrorBody),
        (status = 429, description = "Too many ask", body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds"))),
    ),
    security((), ("key" = []))
)]
pub(super) async fn retrieve(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<RowList>, ApiError> {
    let (head, body) = request.into_parts();
    let caller = auth::caller(&api, &head.headers)?;
    let parts = api.serving.parts();
    let Some(retrieval) = &parts.retrieval else {
        return Err(ApiError::invalid("retrieval", "this node retrieves nothing"));
    };
    let bytes = read_body(body, api.max_body_bytes).await?;
    let RetrieveBody { question, model, datanets, limit } = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid("body", error.to_string()))?;
    let asked = check_retrieval(&WireRetrieval { datanets, limit })?;
    let view = match model {
        None => None,
        Some(name) => {
            let model = parts.catalog.find(&name).ok_or_else(ApiError::unknown_model)?;
            Some(parts.registry.model(model.id)?.ok_or_else(ApiError::unknown_model)?)
        }
    };
    let scope = view.as_ref().map_or(Scope::Newest, |view| Scope::Model(&view.datanets));
    let hits = retrieval.search_free(&question, scope, &asked, &caller.granted()).await?;
    Ok(Json(RowList { object: "list", data: hits.into_iter().map(FoundRow::of).collect() }))
}

impl FoundRow {
    fn of(hit: Hit) -> Self {
        let Hit { version, row, relevance, .. } = hit;
        Self {
            row_hash: row.row_hash.into(),
            row: row.index,
            datanet: version.datanet.into(),
            version: version.version,
            source: row.source,
            contributor: row.contributor.into(),
            relevance,
            text: row.text,
        }
    }
}

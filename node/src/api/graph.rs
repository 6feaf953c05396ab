//! `/v1/graph`: who earned from what.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::IntoParams;

use super::{Api, error::ApiError, openapi::ErrorBody, read::hash};
use crate::graph::{Board, Cursor, Graph, GraphAnswer, LeadersAnswer, Page, Places, Subject};

/// Questions that are answered at once: each reads whole ledgers.
const AT_ONCE: usize = 2;

/// Places of a ranking on a page, and at most.
const PLACES: u64 = 20;
const MAX_PLACES: u64 = 100;

/// `?after=PLACE&limit=COUNT`
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct PlaceSelection {
    /// `next` of the page before
    after: Option<u64>,
    /// Places on the page, 1 to 100; 20 without it
    limit: Option<u64>,
}

/// `?after=PLACE&operator=ADDRESS&open=BOOL`
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// `next` of the page before
    after: Option<String>,
    /// Only batches of this operator
    operator: Option<String>,
    /// Also batches that are not final
    #[param(value_type = Option<bool>)]
    open: bool,
}

impl Selection {
    fn page(&self) -> Result<Page, ApiError> {
        let after: Option<Cursor> = match &self.after {
            Some(text) => {
                Some(text.parse().map_err(|why: String| ApiError::invalid("after", why))?)
            }
            None => None,
        };
        let operator = self.operator.as_deref().map(|text| address("operator", text));
        Ok(Page { after, operator: operator.transpose()?, has_open: self.open })
    }
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    graph: Graph,
    gate: Arc<Semaphore>,
}

/// The routes.
pub(super) fn routes(api: &Api) -> Router {
    let catalog = Arc::clone(&api.serving.parts().catalog);
    let graph = Graph::new(api.earnings.ledgers(), catalog);
    let questions = Questions { graph, gate: Arc::new(Semaphore::new(AT_ONCE)) };
    Router::new()
        .route("/v1/graph/all", get(all))
        .route("/v1/graph/contributors", get(contributors))
        .route("/v1/graph/datanets", get(datanets))
        .route("/v1/graph/calls/{digest}", get(call))
        .route("/v1/graph/models/{id}", get(model))
        .route("/v1/graph/datanets/{id}/{version}", get(datanet))
        .route("/v1/graph/rows/{hash}", get(row))
        .route("/v1/graph/accounts/{address}", get(account))
        .with_state(questions)
}

type Answer = Result<Json<GraphAnswer>, ApiError>;
type Leaders = Result<Json<LeadersAnswer>, ApiError>;

impl Questions {
    async fn ask(&self, subject: Subject, selection: &Selection) -> Answer {
        let page = selection.page()?;
        let permit = self.enter()?;
        let found = self.graph.earned_from(subject, page).await?;
        drop(permit);
        let unknown = || ApiError::not_found("subject_not_found", "it is unknown here");
        found.map(Json).ok_or_else(unknown)
    }

    async fn leaders(&self, of: Board, selection: &PlaceSelection) -> Leaders {
        let limit = selection.limit.unwrap_or(PLACES);
        if !(1..=MAX_PLACES).contains(&limit) {
            let why = format!("limit {limit} is not 1 to {MAX_PLACES}");
            return Err(ApiError::invalid("limit", why));
        }
        let permit = self.enter()?;
        let page = Places { after: selection.after.unwrap_or(0), limit };
        let found = self.graph.leaders(of, page).await?;
        drop(permit);
        Ok(Json(found))
    }

    fn enter(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let busy = |_| ApiError::overloaded(format!("{AT_ONCE} questions are being answered"), 1);
        self.gate.try_acquire().map_err(busy)
    }
}

fn address(field: &str, text: &str) -> Result<Address, ApiError> {
    let wrong = |_| ApiError::invalid(field, format!("{field} is not 20 bytes of hex"));
    text.parse().map_err(wrong)
}

/// Who earned the most, and which models were called the most.
#[utoipa::path(
    get,
    path = "/v1/graph/all",
    tag = "graph",
    params(Selection),
    responses(
        (status = 200, description = "What batches paid by all models", body = GraphAnswer),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn all(
    State(questions): State<Questions>,
    Query(selection): Query<Selection>,
) -> Answer {
    questions.ask(Subject::All, &selection).await
}

/// The contributors that earned the most of all final batches.
#[utoipa::path(
    get,
    path = "/v1/graph/contributors",
    tag = "graph",
    params(PlaceSelection),
    responses(
        (status = 200, description = "What each was paid for rows, the most first", body = LeadersAnswer),
        (status = 400, description = "A limit that is none", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn contributors(
    State(questions): State<Questions>,
    Query(selection): Query<PlaceSelection>,
) -> Leaders {
    questions.leaders(Board::Contributors, &selection).await
}

/// The Datanets whose rows earned the most of all final batches.
#[utoipa::path(
    get,
    path = "/v1/graph/datanets",
    tag = "graph",
    params(PlaceSelection),
    responses(
        (status = 200, description = "What was paid for the rows of all their versions, the most first", body = LeadersAnswer),
        (status = 400, description = "A limit that is none", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn datanets(
    State(questions): State<Questions>,
    Query(selection): Query<PlaceSelection>,
) -> Leaders {
    questions.leaders(Board::Datanets, &selection).await
}

/// Who earned from a call: of this node, or of a posted batch.
#[utoipa::path(
    get,
    path = "/v1/graph/calls/{digest}",
    tag = "graph",
    params(
        ("digest" = String, Path, description = "Digest of its voucher"),
        Selection,
    ),
    responses(
        (status = 200, description = "Its shares and credits, which sum to its fee with what goes by accepted rows; without edges, it is in none of these batches", body = GraphAnswer),
        (status = 404, description = "It is unknown", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn call(
    State(questions): State<Questions>,
    Path(text): Path<String>,
    Query(selection): Query<Selection>,
) -> Answer {
    questions.ask(Subject::Call(hash(&text)?), &selection).await
}

/// Who earned from a model's calls.
#[utoipa::path(
    get,
    path = "/v1/graph/models/{id}",
    tag = "graph",
    params(
        ("id" = String, Path, description = "32 bytes of hex"),
        Selection,
    ),
    responses(
        (status = 200, description = "What batches paid by the model", body = GraphAnswer),
        (status = 404, description = "It is unknown", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn model(
    State(questions): State<Questions>,
    Path(text): Path<String>,
    Query(selection): Query<Selection>,
) -> Answer {
    questions.ask(Subject::Model(hash(&text)?), &selection).await
}

/// Who earned from a Datanet version's rows.
#[utoipa::path(
    get,
    path = "/v1/graph/datanets/{id}/{version}",
    tag = "graph",
    params(
        ("id" = String, Path, description = "32 bytes of hex"),
        ("version" = u32, Path, description = "From 1"),
        Selection,
    ),
    responses(
        (status = 200, description = "What batches paid for the version's rows", body = GraphAnswer),
        (status = 404, description = "It is unknown", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn datanet(
    State(questions): State<Questions>,
    Path((id, version)): Path<(String, String)>,
    Query(selection): Query<Selection>,
) -> Answer {
    let version = version
        .parse()
        .map_err(|_| ApiError::invalid("version", format!("version {version:?} is no number")))?;
    let id: B256 = hash(&id)?;
    questions.ask(Subject::Datanet(id, version), &selection).await
}

/// Who earned from a row.
#[utoipa::path(
    get,
    path = "/v1/graph/rows/{hash}",
    tag = "graph",
    params(
        ("hash" = String, Path, description = "32 bytes of hex"),
        Selection,
    ),
    responses(
        (status = 200, description = "What batches paid for the row", body = GraphAnswer),
        (status = 404, description = "No model that is served here has it", body = ErrorBody),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn row(
    State(questions): State<Questions>,
    Path(text): Path<String>,
    Query(selection): Query<Selection>,
) -> Answer {
    questions.ask(Subject::Row(hash(&text)?), &selection).await
}

/// What an account earned from.
#[utoipa::path(
    get,
    path = "/v1/graph/accounts/{address}",
    tag = "graph",
    params(
        ("address" = String, Path, description = "20 bytes of hex"),
        Selection,
    ),
    responses(
        (status = 200, description = "What batches paid the account by each model, in all its roles", body = GraphAnswer),
        (status = 429, description = "Too many questions", body = ErrorBody),
    )
)]
pub(super) async fn account(
    State(questions): State<Questions>,
    Path(text): Path<String>,
    Query(selection): Query<Selection>,
) -> Answer {
    let account = address("address", &text)?;
    questions.ask(Subject::Account(account), &selection).await
}

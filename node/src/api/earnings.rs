//! `/v1/earnings`: what each earner has earned, with what a claim needs.

use alloy::primitives::{Address, U256};
use attribution::settle::EarnerIndex;
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{answer::Decimal, error::ApiError, openapi::ErrorBody};
use crate::{
    earnings::{EarnerEarnings, Earnings},
    registry::Role,
};

/// A point of BN254's first group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointJson {
    /// Affine x.
    pub x: U256,
    /// Affine y.
    pub y: U256,
}

/// One earner's final earnings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningsJson {
    /// Index in the earnings polynomials.
    pub earner: u32,
    /// Who is paid.
    pub account: Address,
    /// `treasury`, `contributor`, `model_owner` or `stakers`.
    pub role: String,
    /// Gwei earned in final batches.
    pub cumulative: Decimal<u64>,
    /// Gwei claimed, as of the chain's head.
    pub claimed: Decimal<u64>,
    /// Page of the earnings polynomials.
    pub page: u32,
    /// Version of the page's commitment that the witness opens.
    pub version: Decimal<u64>,
    /// Opening of that commitment; only in the answer about one earner.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness: Option<PointJson>,
}

impl EarningsJson {
    /// Gwei that a claim pays now.
    pub const fn unclaimed(&self) -> u64 {
        self.cumulative.0.saturating_sub(self.claimed.0)
    }
}

/// Some earners, and where the next are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningsPage {
    /// `list`
    pub object: String,
    /// By ascending index.
    pub data: Vec<EarningsJson>,
    /// What `after` is in the next request; none after the last earner.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u32>,
}

/// Most earners in one answer.
const MAX_EARNERS: usize = 1_000;
/// Most earners with witnesses in one answer.
const MAX_WITNESSES: usize = 256;

/// `?after=INDEX&limit=COUNT&unclaimed=BOOL&witness=BOOL`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Selection {
    /// Earners with greater indices.
    after: u32,
    limit: Option<usize>,
    /// Only those that can claim.
    unclaimed: bool,
    /// Those that can claim, with what a claim needs.
    witness: bool,
}

impl From<EarnerEarnings> for EarningsJson {
    fn from(earnings: EarnerEarnings) -> Self {
        let role = match earnings.role {
            Role::Treasury => "treasury",
            Role::Contributor => "contributor",
            Role::ModelOwner => "model_owner",
            Role::Stakers => "stakers",
        };
        Self {
            earner: earnings.earner.0,
            account: earnings.account,
            role: role.into(),
            cumulative: Decimal(earnings.cumulative),
            claimed: Decimal(earnings.claimed),
            page: earnings.page,
            version: Decimal(earnings.version),
            witness: earnings.witness.map(|point| PointJson { x: point.x, y: point.y }),
        }
    }
}

/// The routes, which need nothing else of a node.
pub fn routes(earnings: Earnings) -> Router {
    Router::new()
        .route("/v1/earnings", get(list))
        .route("/v1/earnings/{earner}", get(one))
        .with_state(earnings)
}

/// What earners have earned in final batches.
#[utoipa::path(
    get,
    path = "/v1/earnings",
    tag = "reads",
    params(
        ("after" = Option<u32>, Query, description = "Earners with greater indices"),
        ("limit" = Option<u64>, Query, description = "How many"),
        ("unclaimed" = Option<bool>, Query, description = "Only those that can claim"),
        ("witness" = Option<bool>, Query, description = "Those that can claim, with openings"),
    ),
    responses((status = 200, description = "Earners by index", body = Object))
)]
pub(super) async fn list(
    State(earnings): State<Earnings>,
    Query(selection): Query<Selection>,
) -> Result<Json<EarningsPage>, ApiError> {
    let Selection { after, limit, unclaimed, witness } = selection;
    let max = if witness { MAX_WITNESSES } else { MAX_EARNERS };
    let limit = limit.unwrap_or(max).clamp(1, max);
    let (found, next) = if witness {
        earnings.claimable(after, limit).await?
    } else {
        let found = match unclaimed {
            true => earnings.unclaimed(after, limit).await?,
            false => earnings.list(after, limit).await?,
        };
        let next = found.last().filter(|_| found.len() == limit).map(|last| last.earner.0);
        (found, next)
    };
    let data = found.into_iter().map(EarningsJson::from).collect();
    Ok(Json(EarningsPage { object: "list".into(), data, next }))
}

/// What one earner has earned, with what a claim needs.
#[utoipa::path(
    get,
    path = "/v1/earnings/{earner}",
    tag = "reads",
    params(("earner" = u32, Path, description = "Index")),
    responses(
        (status = 200, description = "The earner", body = Object),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn one(
    State(earnings): State<Earnings>,
    Path(text): Path<String>,
) -> Result<Json<EarningsJson>, ApiError> {
    let earner = text
        .parse()
        .map_err(|_| ApiError::invalid("earner", format!("earner {text:?} is not an index")))?;
    let found = earnings.of(EarnerIndex(earner)).await?;
    let unknown = || ApiError::not_found("earner_not_found", format!("earner {earner} is unknown"));
    Ok(Json(found.ok_or_else(unknown)?.into()))
}

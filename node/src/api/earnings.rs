//! `/v1/earnings`: what each earner has earned, with what a claim needs.

use alloy::primitives::{Address, U256};
use attribution::settle::EarnerIndex;
use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

use super::{Api, answer::Decimal, error::ApiError};
use crate::{earnings::EarnerEarnings, registry::Role};

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

/// All earners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningsPage {
    /// `list`
    pub object: String,
    /// By ascending index.
    pub data: Vec<EarningsJson>,
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

pub(super) async fn all(State(api): State<Api>) -> Result<Json<EarningsPage>, ApiError> {
    let data = api.earnings.all().await?.into_iter().map(EarningsJson::from).collect();
    Ok(Json(EarningsPage { object: "list".into(), data }))
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(text): Path<String>,
) -> Result<Json<EarningsJson>, ApiError> {
    let earner = text
        .parse()
        .map_err(|_| ApiError::invalid("earner", format!("earner {text:?} is not an index")))?;
    let found = api.earnings.of(EarnerIndex(earner)).await?;
    let unknown = || ApiError::not_found("earner_not_found", format!("earner {earner} is unknown"));
    Ok(Json(found.ok_or_else(unknown)?.into()))
}

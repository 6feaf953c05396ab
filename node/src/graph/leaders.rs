//! Who earned the most, as the API gives it.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::LeftOut;
use crate::api::answer::Decimal;

/// What is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Accounts as contributors, by what they are paid for rows.
    Contributors,
    /// Datanets, by what is paid for the rows of all their versions.
    Datanets,
}

/// Which places are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Those after this one; 0 for the first.
    pub after: u64,
    /// At most so many.
    pub limit: u64,
}

/// A page of a ranking by earnings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeadersAnswer {
    /// `graph.contributors` or `graph.datanets`
    pub object: String,
    /// The most first; who earned the same comes by index or id.
    pub data: Vec<Leader>,
    /// What all places together earned, gwei.
    #[schema(value_type = String)]
    pub total: Decimal<i128>,
    /// Of Datanets: gwei paid to contributors by models whose rows are not known here. With `total` it
    /// is what all contributors were paid.
    #[schema(value_type = String)]
    pub unplaced: Decimal<i128>,
    /// Final batches that are counted.
    pub batches: u64,
    /// Whether there are more of them, which the next question counts.
    pub is_behind: bool,
    /// Batches that could not be read.
    pub left_out: Vec<LeftOut>,
    /// What `after` is in the next request; none after the last place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A place of a ranking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leader {
    /// From 1.
    pub place: u64,
    /// `earner:7`, or `datanet:0x...`
    pub id: String,
    /// A Datanet's name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
    /// A contributor's address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub account: Option<Address>,
    /// Gwei of all final batches that are counted.
    #[schema(value_type = String)]
    pub gwei: Decimal<i128>,
    /// Of a Datanet: its versions, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub versions: Vec<VersionEarned>,
}

/// What the rows of a Datanet version earned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionEarned {
    /// From 1.
    pub version: u32,
    /// Gwei.
    #[schema(value_type = String)]
    pub gwei: Decimal<i128>,
}

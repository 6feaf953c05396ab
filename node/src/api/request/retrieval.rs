//! The field `retrieval`: rows to answer from.

use alloy::primitives::B256;
use attribution::retrieval::MAX_SOURCES;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::error::ApiError;

/// Rows of a question that does not say how many.
const DEFAULT_ROWS: usize = 6;

/// Rows to answer from.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetrievalRequest)]
pub struct WireRetrieval {
    /// Ids of Datanets to look in; all that the caller may if absent.
    pub datanets: Option<Vec<String>>,
    /// Most rows, 1 to 64, and no more than the node gives; 6 if absent.
    pub limit: Option<u64>,
}

/// A checked [`WireRetrieval`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrievalChoice {
    /// Datanets to look in; all that the caller may if none are named.
    pub datanets: Option<Vec<B256>>,
    /// Most rows.
    pub limit: usize,
    /// Whether the request says how many.
    pub limit_given: bool,
}

/// Checks the field.
///
/// # Errors
/// 400 if an id is not 32 bytes of hex, the list of them is empty, or the limit is out of bounds.
pub(in crate::api) fn read(field: &WireRetrieval) -> Result<RetrievalChoice, ApiError> {
    let invalid = |name: &str, message: String| Err(ApiError::invalid(name, message));
    let limit = match field.limit {
        None => DEFAULT_ROWS,
        Some(limit) => {
            match usize::try_from(limit).ok().filter(|n| (1..=MAX_SOURCES).contains(n)) {
                Some(limit) => limit,
                None => {
                    let message = format!("limit {limit} is not 1 to {MAX_SOURCES}");
                    return invalid("retrieval.limit", message);
                }
            }
        }
    };
    let datanets = match &field.datanets {
        None => None,
        Some(ids) if ids.is_empty() || ids.len() > MAX_SOURCES => {
            let message = format!("{} Datanets, not 1 to {MAX_SOURCES}", ids.len());
            return invalid("retrieval.datanets", message);
        }
        Some(ids) => {
            let parsed: Result<Vec<B256>, _> = ids.iter().map(|id| id.parse()).collect();
            let wrong = |_| ApiError::invalid("retrieval.datanets", "an id is not 32 bytes of hex");
            Some(parsed.map_err(wrong)?)
        }
    };
    Ok(RetrievalChoice { datanets, limit, limit_given: field.limit.is_some() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn choice(field: Value) -> Result<RetrievalChoice, ApiError> {
        read(&serde_json::from_value(field).unwrap())
    }

    #[test]
    fn what_is_left_out_is_all_datanets_and_six_rows() {
        let plain = choice(json!({})).unwrap();
        assert_eq!(plain, RetrievalChoice { datanets: None, limit: 6, limit_given: false });
        let id = B256::repeat_byte(7);
        let named = choice(json!({"datanets": [id], "limit": 64})).unwrap();
        assert_eq!((named.datanets, named.limit, named.limit_given), (Some(vec![id]), 64, true));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        for (field, param) in [
            (json!({"limit": 0}), "retrieval.limit"),
            (json!({"limit": 65}), "retrieval.limit"),
            (json!({"limit": u64::MAX}), "retrieval.limit"),
            (json!({"datanets": []}), "retrieval.datanets"),
            (json!({"datanets": ["0x12"]}), "retrieval.datanets"),
            (json!({"datanets": vec![B256::ZERO; 65]}), "retrieval.datanets"),
        ] {
            assert_eq!(choice(field.clone()).unwrap_err().param.as_deref(), Some(param), "{field}");
        }
        serde_json::from_value::<WireRetrieval>(json!({"rows": 3})).unwrap_err();
    }
}

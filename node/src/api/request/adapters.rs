//! Adapters that a request names, as LoRAX has them.

use inference::adapter::{AdapterHash, AdapterSet, MAX_PARTS, MajoritySign, Method};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::error::ApiError;

/// Longest adapter id, in bytes.
const MAX_ID: usize = 2048;

/// Where an adapter is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AdapterSource {
    /// Among those that this node knows.
    Local,
    /// In a repository of the hub: `owner/name`, or `owner/name@revision`.
    Hub,
    /// At the URL of a manifest of its two files.
    Http,
}

/// Which adapters answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AdapterChoice {
    /// The model's own.
    #[default]
    Model,
    /// One other.
    One {
        /// Hash, name, repository or URL.
        id: String,
        /// Where it is looked up.
        source: AdapterSource,
    },
    /// One that is made of several.
    Merged(Merge),
}

/// A merge of adapters.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// Hashes or names, with their weights.
    pub parts: Vec<(String, f32)>,
    /// How they are combined.
    pub method: Method,
}

impl Merge {
    /// The parts, once they are known.
    ///
    /// # Errors
    /// 400 if one comes twice or a weight is out of bounds.
    pub fn set(&self, hashes: Vec<AdapterHash>) -> Result<AdapterSet, ApiError> {
        let weights = self.parts.iter().map(|(_, weight)| *weight);
        AdapterSet::new(hashes.into_iter().zip(weights).collect())
            .map_err(|error| ApiError::invalid("merged_adapters", error.to_string()))
    }
}

/// `merged_adapters` as it is written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MergedAdapters)]
pub struct WireMerge {
    /// Hashes or names.
    pub ids: Vec<String>,
    /// A weight for each.
    pub weights: Vec<f32>,
    /// `linear` (the default), `ties`, `dare_linear` or `dare_ties`.
    pub merge_strategy: Option<String>,
    /// The part of each adapter's values that is kept, 0 to 1.
    pub density: Option<f64>,
    /// `total` (the default) or `frequency`.
    pub majority_sign_method: Option<String>,
}

pub(super) fn read(
    id: Option<String>,
    source: Option<String>,
    merge: Option<WireMerge>,
) -> Result<AdapterChoice, ApiError> {
    let source = match source.as_deref() {
        None | Some("local") => AdapterSource::Local,
        Some("hub") => AdapterSource::Hub,
        Some("http") => AdapterSource::Http,
        Some(_) => {
            let message = "adapter_source is not local, hub or http";
            return Err(ApiError::invalid("adapter_source", message));
        }
    };
    match (id, merge) {
        (None, None) => Ok(AdapterChoice::Model),
        (Some(id), None) => check_id("adapter_id", &id).map(|()| AdapterChoice::One { id, source }),
        (None, Some(merge)) => merged(merge).map(AdapterChoice::Merged),
        (Some(_), Some(_)) => {
            let message = "adapter_id and merged_adapters are both there";
            Err(ApiError::invalid("adapter_id", message))
        }
    }
}

fn check_id(field: &'static str, id: &str) -> Result<(), ApiError> {
    if (1..=MAX_ID).contains(&id.len()) {
        return Ok(());
    }
    let length = id.len();
    Err(ApiError::invalid(field, format!("an id of {length} bytes, not 1 to {MAX_ID}")))
}

fn merged(merge: WireMerge) -> Result<Merge, ApiError> {
    let wrong = |message: String| ApiError::invalid("merged_adapters", message);
    let WireMerge { ids, weights, merge_strategy, density, majority_sign_method } = merge;
    if ids.is_empty() || ids.len() > MAX_PARTS || ids.len() != weights.len() {
        let (ids, weights) = (ids.len(), weights.len());
        return Err(wrong(format!(
            "{ids} ids and {weights} weights, not 1 to {MAX_PARTS} of each"
        )));
    }
    ids.iter().try_for_each(|id| check_id("merged_adapters", id))?;
    let majority_sign = match majority_sign_method.as_deref() {
        None | Some("total") => MajoritySign::Total,
        Some("frequency") => MajoritySign::Frequency,
        Some(_) => return Err(wrong("majority_sign_method is not total or frequency".into())),
    };
    let strategy = merge_strategy.as_deref().unwrap_or("linear");
    let dense = || density.ok_or_else(|| wrong(format!("{strategy} needs a density")));
    // What DARE draws is a function of the recipe, so the same request is the same adapter.
    let method = match strategy {
        "linear" => Method::Linear,
        "ties" => Method::Ties { density: dense()?, majority_sign },
        "dare_linear" => Method::DareLinear { density: dense()?, seed: 0 },
        "dare_ties" => Method::DareTies { density: dense()?, majority_sign, seed: 0 },
        _ => {
            let known = "linear, ties, dare_linear or dare_ties";
            return Err(wrong(format!("merge_strategy is not {known}")));
        }
    };
    if density.is_some_and(|density| !(0.0..=1.0).contains(&density)) {
        return Err(wrong("density is not in [0, 1]".into()));
    }
    Ok(Merge { parts: ids.into_iter().zip(weights).collect(), method })
}

//! The API's description, made from its types. `docs/openapi.json` is its text.

use axum::Json;
use serde::Serialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::answer::Quote;

/// An answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// The rule and the given value, for people.
    pub message: String,
    /// OpenAI's kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The field or header that it is about.
    pub param: Option<String>,
    /// What a program decides on.
    pub code: String,
}

/// An answer to a call without payment: the error, and what to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentRequired {
    /// What is wrong.
    pub error: ErrorDetail,
    /// What the call costs and how to pay. Only there if there was no payment at all.
    #[serde(flatten)]
    pub quote: Quote,
}

/// The whole API.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "OpenLedger node",
        description = "OpenAI's API, paid with vouchers of a payment channel or by a key, with the \
                       receipt and the attribution of each answer in its `openledger` field."
    ),
    paths(
        super::calls::chat,
        super::calls::text,
        super::embeddings::embeddings,
        super::retrieve::retrieve,
        super::models::list,
        super::models::one,
        super::read::row,
        super::read::record,
        super::explain::explanation,
        super::read::batches,
        super::read::health,
        super::read::metrics,
        super::info::info,
        super::admin::load,
        super::admin::unload,
        super::admin::list,
        super::earnings::list,
        super::earnings::one,
        super::graph::all,
        super::graph::contributors,
        super::graph::datanets,
        super::graph::call,
        super::graph::model,
        super::graph::datanet,
        super::graph::row,
        super::graph::account,
    ),
    components(schemas(super::answer::Statement, super::answer::UnpaidStatement)),
    modifiers(&Key)
)]
struct Document;

/// The way a key is shown.
struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The description.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// `make openapi` writes the file.
    #[test]
    fn the_committed_description_is_the_current_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let current = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("OPENLEDGER_WRITE_OPENAPI").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &current).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "docs/openapi.json is old: run make openapi");
    }

    #[test]
    fn every_route_is_described() {
        let described: Vec<String> = document().paths.paths.keys().cloned().collect();
        let source = include_str!("mod.rs");
        let routes = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for route in routes.filter(|route| *route != "/openapi.json") {
            assert!(described.iter().any(|path| path == route), "{route}");
        }
    }
}

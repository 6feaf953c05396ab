//! Which adapters answer a request, and who may use them.
//!
//! A record names one registered model, and whoever checks it runs that model. So what else may
//! answer is answered without a record, and only for those whom the operator lets do so.

use std::sync::Arc;

use axum::http::StatusCode;
use inference::adapter::{AdapterHash, AdapterSet, OwnerKey, Recipe, Registration, Source};

use super::Serving;
use crate::{
    api::{
        error::ApiError,
        request::{AdapterChoice, AdapterSource, CallRequest, Merge},
    },
    catalog::ServedModel,
    keys::Caller,
};

/// Who answers a request.
#[derive(Clone, Debug)]
pub(super) enum Answerer {
    /// A registered model: paid, recorded, attributed.
    Model(Arc<ServedModel>),
    /// Adapters on the base model, without a record.
    Adapters {
        set: AdapterSet,
        /// What the answer calls it.
        name: String,
    },
}

impl Serving {
    /// Finds who answers.
    ///
    /// # Errors
    /// 404 if there is no such model or adapter, or it is another's; 403 if the caller may not use
    /// what no record can name; 400 if the request contradicts itself or a merge is refused.
    pub(super) async fn answerer(
        &self,
        request: &CallRequest,
        caller: &Caller,
    ) -> Result<Answerer, ApiError> {
        match &request.adapters {
            AdapterChoice::Model => self.by_model(&request.model, caller),
            AdapterChoice::One { id, source: AdapterSource::Local } => {
                self.check_base(&request.model)?;
                match self.by_name(id, caller, ApiError::unknown_adapter)? {
                    Answerer::Model(model) if model.adapter.is_none() => {
                        Err(ApiError::unknown_adapter())
                    }
                    found => Ok(found),
                }
            }
            AdapterChoice::One { id, source } => {
                self.check_base(&request.model)?;
                let hash = self.fetch(id, *source, caller).await?;
                Ok(Answerer::Adapters { set: AdapterSet::one(hash), name: id.clone() })
            }
            AdapterChoice::Merged(merge) => {
                self.check_base(&request.model)?;
                self.merged(merge, caller).await
            }
        }
    }

    fn by_model(&self, name: &str, caller: &Caller) -> Result<Answerer, ApiError> {
        if name == "auto" {
            return Ok(Answerer::Model(self.parts.catalog.auto(|model| self.earns(model))));
        }
        self.by_name(name, caller, ApiError::unknown_model)
    }

    fn earns(&self, model: &ServedModel) -> bool {
        let registry = &self.parts.registry;
        let view = registry.model(model.id).ok().flatten();
        let from = view.and_then(|view| registry.earning_from(&view).ok().flatten());
        from.is_some_and(|from| from <= registry.head().timestamp)
    }

    /// A registered model before an adapter of the same name.
    fn by_name(
        &self,
        name: &str,
        caller: &Caller,
        unknown: fn() -> ApiError,
    ) -> Result<Answerer, ApiError> {
        if let Some(model) = self.parts.catalog.find(name) {
            return Ok(Answerer::Model(model));
        }
        let store = self.parts.engine.store();
        let owner = caller.owner();
        let hash = store.resolve(name, owner.as_ref()).map_err(|_| unknown())?;
        if let Some(model) = self.parts.catalog.with_adapter(hash) {
            return Ok(Answerer::Model(model));
        }
        allow(caller)?;
        Ok(Answerer::Adapters { set: AdapterSet::one(hash), name: name.to_owned() })
    }

    /// Adapters are named beside the base model that they act on.
    fn check_base(&self, model: &str) -> Result<(), ApiError> {
        let base = &self.parts.catalog.models()[0];
        match self.parts.catalog.find(model) {
            Some(found) if found.id == base.id => Ok(()),
            _ if model == "auto" => Ok(()),
            Some(_) => {
                let message = format!("adapters act on the base model {}", base.name);
                Err(ApiError::invalid("model", message))
            }
            None => Err(ApiError::unknown_model()),
        }
    }

    async fn merged(&self, merge: &Merge, caller: &Caller) -> Result<Answerer, ApiError> {
        let (store, owner) = (self.parts.engine.store().clone(), caller.owner());
        let hash = |(id, _): &(String, f32)| match self.parts.catalog.find(id) {
            Some(model) => model
                .adapter
                .as_ref()
                .map(|adapter| adapter.hash)
                .ok_or_else(ApiError::unknown_adapter),
            None => store.resolve(id, owner.as_ref()).map_err(|_| ApiError::unknown_adapter()),
        };
        let hashes = merge.parts.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        allow(caller)?;
        let wrong = |error: inference::Error| match error {
            inference::Error::UnknownAdapter(_) => ApiError::unknown_adapter(),
            error => ApiError::invalid("merged_adapters", error.to_string()),
        };
        let recipe = Recipe::new(merge.set(hashes)?, merge.method).map_err(wrong)?;
        let merged = tokio::task::spawn_blocking(move || store.merge(&recipe, None, owner));
        let hash = merged.await.map_err(|error| ApiError::internal(&error))?.map_err(wrong)?;
        Ok(Answerer::Adapters { set: AdapterSet::one(hash), name: "merged".into() })
    }

    /// Registers an adapter from elsewhere for the caller alone.
    async fn fetch(
        &self,
        id: &str,
        source: AdapterSource,
        caller: &Caller,
    ) -> Result<AdapterHash, ApiError> {
        let Some(owner) = caller.owner() else { return Err(not_recordable()) };
        allow(caller)?;
        let source = self.source(id, source)?;
        self.register(None, Some(owner), source).await
    }

    /// Where an adapter outside of this node is read from.
    ///
    /// # Errors
    /// 403 if its host is not among those of the configuration, 400 if it cannot be a place.
    pub fn source(&self, id: &str, source: AdapterSource) -> Result<Arc<dyn Source>, ApiError> {
        let wrong = |error: inference::Error| ApiError::invalid("adapter_id", error.to_string());
        let http = self.parts.engine.store().http();
        let (url, found): (&str, Arc<dyn Source>) = match source {
            AdapterSource::Local => {
                return Err(ApiError::invalid("adapter_source", "adapter_source is local"));
            }
            AdapterSource::Http => (id, Arc::new(http.manifest_at(id).map_err(wrong)?)),
            AdapterSource::Hub => {
                let (name, revision) = id.split_once('@').unwrap_or((id, "main"));
                (
                    &self.parts.engine.config().adapters.http.hub,
                    Arc::new(http.hub(name, revision).map_err(wrong)?),
                )
            }
        };
        let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        match host {
            Some(host) if self.parts.places.hosts.contains(&host) => Ok(found),
            _ => {
                let message = "the operator does not let adapters be fetched from there";
                let error = ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", message);
                Err(error.about("adapter_id"))
            }
        }
    }

    /// Reads an adapter and makes it known.
    ///
    /// # Errors
    /// 400 with the reason if it cannot be read or is refused.
    pub async fn register(
        &self,
        name: Option<String>,
        owner: Option<OwnerKey>,
        source: Arc<dyn Source>,
    ) -> Result<AdapterHash, ApiError> {
        let store = self.parts.engine.store().clone();
        let _turn = Arc::clone(&self.loads)
            .try_acquire_owned()
            .map_err(|_| ApiError::overloaded("adapters are being loaded", 1))?;
        let registration = Registration { name, owner, source, hash: None };
        let work = tokio::task::spawn_blocking(move || store.register(registration));
        work.await
            .map_err(|error| ApiError::internal(&error))?
            .map_err(|error| ApiError::invalid("adapter_id", error.to_string()))
    }
}

/// Lets those pass who may use what no record can name.
fn allow(caller: &Caller) -> Result<(), ApiError> {
    if caller.is_unrecorded() { Ok(()) } else { Err(not_recordable()) }
}

fn not_recordable() -> ApiError {
    let message = "a record names one registered model, so calls of other adapters cannot be paid; \
                   the operator has not allowed this caller to make them unpaid";
    ApiError::new(StatusCode::FORBIDDEN, "adapter_not_recordable", message).about("adapter_id")
}

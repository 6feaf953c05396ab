//! What a checker goes by, from a node's configuration.

use std::{sync::Arc, time::Duration};

use inference::{
    engine::{Engine, EngineConfig, EngineHandle},
    model::Decoder,
    tokenizer::Tokenizer,
};
use tracing::warn;

use super::Checker;
use crate::{
    Result,
    attributor::AttributorHandle,
    catalog::Catalog,
    chain::{ChainClient, Deployment},
    committer::Kzg,
    config::Config,
    da::SharedAvailability,
    indexer::Indexer,
    registry::Registry,
    retrieval::{DatanetRows, Relevance},
    store::{MemoryStore, RocksStore, SharedStore},
    votes::Reruns,
    worker::blocking,
};

/// The folder of a checker's own view of the chain, beside a node's store.
const OWN_STORE: &str = "explain";

/// How much is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// Whether models are loaded, for scores and for running calls again.
    pub recomputes: bool,
}

/// What a node knows of records and of the chain: its store, which may be in use; without one the
/// chain is read, and what was read is kept in the data folder.
///
/// # Errors
/// [`crate::Error::Chain`] if the chain cannot be reached or is not the deployment's,
/// [`crate::Error::Store`] if the store cannot be opened.
pub async fn open_registry(config: &Config) -> Result<(SharedStore, Registry)> {
    let client = ChainClient::new(&config.chain.rpc_url, None)?;
    let contracts = client.contracts(Deployment::load(&config.chain.deployment)?).await?;
    let node = config.node.data_dir.join("store");
    if node.is_dir() {
        let store = blocking(move || RocksStore::open_read_only(&node)).await?;
        let store: SharedStore = Arc::new(store);
        let registry = Registry::new(Arc::clone(&store), contracts)?;
        return Ok((store, registry));
    }
    let own = config.node.data_dir.join(OWN_STORE);
    let store = blocking(move || {
        std::fs::create_dir_all(&own).map_err(crate::Error::io(&own))?;
        RocksStore::open(&own)
    });
    let store: SharedStore = Arc::new(store.await?);
    let registry = Registry::new(Arc::clone(&store), contracts)?;
    let pause = Duration::from_millis(config.chain.poll_interval_ms);
    Indexer::new(Arc::clone(&store), registry.clone(), client, pause).sync().await?;
    Ok((store, registry))
}

/// A checker over what a configuration names: its models, its layer of availability, its powers of
/// tau. A part that cannot be had is told of, and what it is needed for stays unchecked.
///
/// # Errors
/// [`crate::Error::Inference`] if the base model cannot be loaded; [`crate::Error::Config`] if it is
/// not registered or no model's folder is what is registered.
pub async fn open_checker(
    config: &Config,
    registry: Registry,
    settings: CheckSettings,
) -> Result<Checker> {
    let availability = match availability(config, &registry).await {
        Ok(found) => Some(found),
        Err(error) => {
            warn!(target: "node::explain", %error, "ledgers cannot be read");
            None
        }
    };
    let reruns = match settings.recomputes {
        true => Some(reruns(config, &registry).await?),
        false => None,
    };
    Ok(Checker::new(registry, reruns, availability))
}

async fn availability(config: &Config, registry: &Registry) -> Result<(SharedAvailability, Kzg)> {
    let contracts = registry.contracts();
    let client = ChainClient::new(&config.chain.rpc_url, None)?;
    // Nothing is published, so no certificate is on its way.
    let store = || Ok(Arc::new(MemoryStore::default()) as SharedStore);
    let layer = crate::node::availability(config, contracts, &client, store)?;
    let (srs, data) = (config.srs.clone(), config.node.data_dir.clone());
    let (chain_id, page_size) = (contracts.deployment.chain_id, contracts.page_size);
    let kzg = blocking(move || {
        Kzg::new(Arc::new(crate::node::powers(&srs, &data, chain_id)?), page_size)
    });
    Ok((layer, kzg.await?))
}

async fn reruns(config: &Config, registry: &Registry) -> Result<Reruns> {
    let (model, registry) = (config.model.clone(), registry.clone());
    let rows = DatanetRows::new(registry.clone(), &config.datanet_folders());
    let encoder = config.retrieval.as_ref().map(|retrieval| retrieval.encoder.clone());
    blocking(move || {
        let decoder = Arc::new(Decoder::load(&model.base)?);
        let tokenizer = Arc::new(Tokenizer::load(&model.base)?);
        let engine: EngineHandle = Engine::start(decoder, tokenizer, EngineConfig::default())?;
        let catalog = Catalog::load(&engine, &model.base, &model.models, &registry)?;
        let attributor = AttributorHandle::start(1, 1)?;
        let relevance = encoder.map(|folder| Relevance::load(&folder)).transpose()?;
        if let Some(relevance) = &relevance {
            relevance.check(registry.contracts().deployment.chain_id)?;
        }
        let reruns = Reruns::new(Arc::new(catalog), engine, attributor);
        Ok(reruns.with_rows(rows).with_relevance(relevance))
    })
    .await
}

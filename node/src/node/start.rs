//! Starts the parts in the order in which they need each other.

use std::{sync::Arc, time::Duration};

use alloy::primitives::Address;
use inference::{
    engine::{Engine, EngineConfig, EngineHandle},
    kv::BLOCK_TOKENS,
    model::{Decoder, LoadOptions, ParallelDecoder},
    scheduler::SchedulerConfig,
    tokenizer::Tokenizer,
};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Node, access};
use crate::{
    Error, Result,
    api::{self, About, Api},
    attributor::AttributorHandle,
    catalog::{Catalog, load_rows},
    chain::{ChainClient, Contracts, Deployment},
    config::Config,
    datanet::Manifest,
    earnings::Earnings,
    indexer::Indexer,
    keys::Keys,
    metrics::{ChallengerMetrics, EngineMetrics, PipelineMetrics, ServingMetrics, VoteMetrics},
    recorder::{RecorderConfig, RecorderHandle},
    registry::Registry,
    retrieval::Retrieval,
    serving::{AdapterPlaces, Serving, ServingConfig, ServingParts},
    settler::Waits,
    store::{RocksStore, SharedStore},
    worker::blocking,
};

/// Pause between two attempts to reach the chain at start.
const CHAIN_PAUSE: Duration = Duration::from_secs(1);

/// What the steps of the start share.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) shutdown: CancellationToken,
    pub(super) store: SharedStore,
    pub(super) registry: Registry,
    pub(super) client: ChainClient,
    pub(super) operator: Address,
    pub(super) metrics: MetricsRegistry,
    pub(super) votes: VoteMetrics,
    pub(super) tasks: JoinSet<Result<()>>,
}

/// What the API shows.
struct Served {
    catalog: Arc<Catalog>,
    recorder: RecorderHandle,
    earnings: Earnings,
    waits: Waits,
    retrieval: Option<Retrieval>,
}

pub(super) async fn start(config: Config, shutdown: CancellationToken) -> Result<Node> {
    let signer = config.operator_key()?;
    let client = ChainClient::new(&config.chain.rpc_url, Some(signer.clone()))?;
    let deployment = Deployment::load(&config.chain.deployment)?;
    // The chain itself is asked for its id below, and a deployment of another is refused.
    config.check_deployment(&deployment)?;
    let contracts = reach(&client, deployment, &shutdown).await?;
    let path = config.node.data_dir.join("store");
    let store: SharedStore = blocking(move || Ok(Arc::new(RocksStore::open(&path)?) as _)).await?;
    let registry = Registry::new(Arc::clone(&store), contracts)?;
    let operator = signer.address();
    let mut metrics = MetricsRegistry::default();
    let (votes, tasks) = (VoteMetrics::register(&mut metrics), JoinSet::new());
    let mut parts =
        Parts { config, shutdown, store, registry, client, operator, metrics, votes, tasks };
    parts.index().await?;
    let engine = parts.engine().await?;
    let catalog = parts.catalog(&engine).await?;
    parts.rows().await?;
    let retrieval = parts.retrieval().await?;
    let recorder = RecorderHandle::start(
        Arc::clone(&parts.store),
        parts.registry.clone(),
        signer,
        RecorderConfig { max_skew: parts.config.node.max_skew_seconds, ..Default::default() },
    )?;
    let (earnings, waits) =
        parts.pipeline(&recorder, &engine, &catalog, retrieval.as_ref()).await?;
    let served = Served { catalog, recorder, earnings, waits, retrieval };
    let address = parts.serve(&engine, served).await?;
    Ok(Node { address, tasks: parts.tasks, shutdown: parts.shutdown, engine })
}

/// The contracts, once the chain answers.
async fn reach(
    client: &ChainClient,
    deployment: Deployment,
    shutdown: &CancellationToken,
) -> Result<Contracts> {
    loop {
        match client.contracts(deployment.clone()).await {
            Err(Error::Chain(error)) => {
                tracing::warn!(target: "node", %error, "waiting for the chain");
            }
            result => return result,
        }
        tokio::select! {
            () = shutdown.cancelled() => return Err(Error::Stopped("start")),
            () = tokio::time::sleep(CHAIN_PAUSE) => {}
        }
    }
}

impl Parts {
    pub(super) const fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.config.chain.poll_interval_ms)
    }

    /// Starts the indexer and waits until it has every block.
    async fn index(&mut self) -> Result<()> {
        let indexer = Indexer::new(
            Arc::clone(&self.store),
            self.registry.clone(),
            self.client.clone(),
            self.poll_interval(),
        );
        let mut states = self.registry.subscribe();
        self.tasks.spawn(indexer.run(self.shutdown.clone()));
        tokio::select! {
            () = self.shutdown.cancelled() => Err(Error::Stopped("start")),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(Err(error))) => Err(error),
                _ => Err(Error::Stopped("indexer")),
            },
            synced = states.wait_for(|state| state.synced) => {
                synced.map(drop).map_err(|_| Error::Stopped("indexer"))
            }
        }
    }

    async fn engine(&self) -> Result<EngineHandle> {
        let model = self.config.model.clone();
        let adapters = access::store_config(&self.config);
        blocking(move || {
            let decoder = Arc::new(Decoder::load(&model.base)?);
            let tokenizer = Arc::new(Tokenizer::load(&model.base)?);
            let longest =
                (model.max_prompt_tokens + model.max_new_tokens).min(decoder.spec().max_positions);
            let default = SchedulerConfig::default();
            let config = EngineConfig {
                scheduler: SchedulerConfig {
                    max_running: model.max_batch,
                    step_tokens: default.step_tokens.max(2 * model.max_batch),
                    max_waiting: model.queue,
                    max_tenant_waiting: model.queue,
                    ..default
                },
                kv_tokens: model.max_batch * longest.next_multiple_of(BLOCK_TOKENS),
                adapters,
            };
            if model.ranks == 1 {
                return Ok(Engine::start(decoder, tokenizer, config)?);
            }
            let ranks = ParallelDecoder::load(&model.base, &LoadOptions::default(), model.ranks)?;
            Ok(Engine::start_over_ranks(decoder, Arc::new(ranks), tokenizer, config)?)
        })
        .await
    }

    async fn catalog(&self, engine: &EngineHandle) -> Result<Arc<Catalog>> {
        let (engine, registry) = (engine.clone(), self.registry.clone());
        let model = self.config.model.clone();
        blocking(move || Catalog::load(&engine, &model.base, &model.models, &registry))
            .await
            .map(Arc::new)
    }

    /// A Datanet that is damaged is left out: its rows only explain answers. Private ones are not given
    /// by their hash.
    async fn rows(&self) -> Result<()> {
        let private = self.config.retrieval.as_ref().map_or(&[][..], |config| &config.private);
        for dir in self.config.node.datanets.clone() {
            if Manifest::load(&dir).is_ok_and(|manifest| private.contains(&manifest.id)) {
                continue;
            }
            let (store, registry) = (Arc::clone(&self.store), self.registry.clone());
            match blocking(move || load_rows(&store, &registry, &dir)).await {
                Ok(rows) => tracing::info!(target: "node", rows, "datanet loaded"),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => tracing::error!(target: "node", %error, "datanet refused"),
            }
        }
        Ok(())
    }

    /// Starts the API.
    async fn serve(
        &mut self,
        engine: &EngineHandle,
        served: Served,
    ) -> Result<std::net::SocketAddr> {
        let Served { catalog, recorder, earnings, waits, retrieval } = served;
        let (node, model) = (&self.config.node, &self.config.model);
        let mut metrics = std::mem::take(&mut self.metrics);
        let pipeline = PipelineMetrics::register(&mut metrics);
        let challenger = ChallengerMetrics::register(&mut metrics);
        EngineMetrics::register(&mut metrics, engine.clone());
        let serving = Serving::new(ServingParts {
            catalog,
            engine: engine.clone(),
            attributor: AttributorHandle::start(model.attribution_threads, model.queue)?,
            recorder,
            registry: self.registry.clone(),
            operator: self.operator,
            metrics: ServingMetrics::register(&mut metrics),
            places: AdapterPlaces {
                root: self.config.adapters.root.clone(),
                hosts: self.config.adapters.hosts.clone(),
            },
            retrieval,
            config: ServingConfig {
                max_prompt_tokens: model.max_prompt_tokens,
                max_new_tokens: model.max_new_tokens,
                max_requests: node.max_requests,
                timeout: Duration::from_secs(node.call_timeout_seconds),
                max_head_age: Duration::from_secs(self.config.chain.max_head_age_seconds),
            },
        });
        let keys = Keys::new(&self.config.keys, &self.store, &self.registry)?;
        access::private_adapters(&self.config.keys, engine).await?;
        access::fill_channels(&self.config, &self.registry, self.operator).await;
        let api = Api {
            serving,
            keys,
            about: About::over_ranks(model.ranks),
            store: Arc::clone(&self.store),
            earnings,
            waits,
            metrics: Arc::new(metrics),
            pipeline,
            votes: self.votes.clone(),
            challenger,
            max_body_bytes: node.max_body_bytes,
        };
        let listener = TcpListener::bind(node.listen).await.map_err(Error::io("listener"))?;
        let address = listener.local_addr().map_err(Error::io("listener"))?;
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            axum::serve(listener, api::router(api))
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
                .map_err(Error::io("listener"))
        });
        tracing::info!(target: "node", %address, operator = %self.operator, "serving");
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_does_not_start_on_a_main_chain_with_a_development_setup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        let deployment = crate::chain::deployment_file(1612, &[("DevCertVerifier", 7)], "");
        std::fs::write(folder.path().join("deployment.json"), deployment).unwrap();
        std::fs::write(folder.path().join("key"), "07".repeat(32)).unwrap();
        // Nobody listens there: the refusal does not wait for a chain.
        let config = r#"
            chain = { rpc_url = "http://127.0.0.1:1", deployment = "deployment.json" }
            operator = { key_file = "key" }
            node = { data_dir = "data" }
            model = { base = "base" }
            srs = { secret_seed = "known" }
        "#;
        std::fs::write(&path, config).unwrap();
        let config = Config::load(&path).unwrap();
        let error = Node::start(config, CancellationToken::new()).await.unwrap_err().to_string();
        assert!(error.contains("srs.secret_seed"), "{error}");
        assert!(error.ends_with("refused on main chain 1612"), "{error}");
        assert!(!folder.path().join("data").exists());
    }
}

//! An operator that serves another adapter than the one that is registered: its answers are the same
//! and everything that it records goes together, but its sketches are not of the model.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::primitives::B256;
use node::{
    api::{About, Api, router},
    catalog::{Catalog, INDEX_FILE, ModelManifest, adapter_hash},
    keys::Keys,
    metrics::{ChallengerMetrics, EngineMetrics, PipelineMetrics, VoteMetrics},
    recorder::CallRecord,
    store::{MemoryStore, SharedStore, Table, WriteBatch, rows},
    votes::{Answerer, Context, Watcher},
};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    peer::Peer,
    world::{World, adapter},
};
use crate::{market::Operator, world::key};

/// The market's operator, with an API.
pub(super) struct Dishonest {
    pub(super) node: Arc<Operator>,
    pub(super) url: String,
    serving: JoinHandle<()>,
    working: JoinHandle<()>,
}

impl Dishonest {
    pub(super) async fn start(world: &World) -> Self {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let (stages, weights) = (Arc::clone(&store), Some(world.catalog.weights()));
        let (market, blobs) = (&world.market, world.blobs());
        let node = Operator::with(market, store, stages, &blobs, weights).await;
        let node = Arc::new(node);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router(api(world, &node).await);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let working = tokio::spawn(work(Arc::clone(&node)));
        Self { node, url, serving, working }
    }

    /// Epoch of the first call of the model that it served.
    pub(super) fn first_epoch(&self, model: B256) -> Option<u64> {
        let calls: Vec<(Vec<u8>, CallRecord)> = rows(&*self.node.store, Table::Calls, &[]).unwrap();
        let of_model = calls.iter().map(|(_, call)| &call.voucher.call);
        let times = of_model.filter(|call| call.modelId == model).map(|call| call.time);
        times.min().map(|time| self.node.registry.epoch_of(time))
    }

    /// Sells nothing any more.
    pub(super) fn close(&self) {
        self.serving.abort();
    }

    /// Posts, answers and settles nothing any more. Its store stays.
    pub(super) async fn stop(self) -> SharedStore {
        self.close();
        self.working.abort();
        // An aborted task says so.
        let _ = self.working.await;
        Arc::clone(&self.node.store)
    }
}

/// Does what is due: batches, and answers to challenges.
async fn work(node: Arc<Operator>) {
    let context = Context {
        store: Arc::clone(&node.store),
        registry: node.registry.clone(),
        client: node.client.clone(),
        metrics: VoteMetrics::default(),
    };
    let (watcher, answerer) = (Watcher::new(context.clone()), Answerer::new(context));
    loop {
        for ended in
            [node.drain().await, watcher.step().await.map(drop), answerer.step().await.map(drop)]
        {
            // What passes is tried again.
            if let Err(error) = ended {
                eprintln!("dishonest operator: {error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn api(world: &World, node: &Operator) -> Api {
    let mut metrics = MetricsRegistry::default();
    let catalog = Arc::new(forged(world).await);
    let serving = world.serving_of(node, catalog, &mut metrics);
    EngineMetrics::register(&mut metrics, world.engine.clone());
    Api {
        serving,
        keys: Keys::default(),
        about: About::default(),
        store: Arc::clone(&node.store),
        earnings: node.earnings.clone(),
        waits: node.settler.waits(),
        pipeline: PipelineMetrics::register(&mut metrics),
        votes: VoteMetrics::register(&mut metrics),
        challenger: ChallengerMetrics::register(&mut metrics),
        metrics: Arc::new(metrics),
        max_body_bytes: 1 << 16,
    }
}

/// The registered model with another adapter, loaded against a chain that has it so.
async fn forged(world: &World) -> Catalog {
    let folder = world.folder.path();
    let (real, dir) = (folder.join("model"), folder.join("forged"));
    adapter(&dir, 8);
    std::fs::copy(real.join(INDEX_FILE), dir.join(INDEX_FILE)).unwrap();
    let mut manifest = ModelManifest::load(&real).unwrap();
    manifest.adapter_hash = adapter_hash(&dir).unwrap();
    assert_ne!(manifest.adapter_hash, adapter_hash(&real).unwrap());
    manifest.save(&dir).unwrap();

    let peer = Peer::new(&world.market, &key(9), Arc::new(MemoryStore::default())).await;
    let mut view = peer.registry.model(world.model).unwrap().unwrap();
    view.content_hash = manifest.adapter_hash;
    let mut batch = WriteBatch::default();
    batch.put_row(Table::Models, world.model.as_slice(), &view);
    peer.store.write(batch).unwrap();
    let base: &Path = &super::tiny();
    Catalog::load(&world.engine, base, &[dir], &peer.registry).unwrap()
}

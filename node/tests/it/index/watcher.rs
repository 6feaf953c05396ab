//! Somebody who watches indexes.

use std::path::PathBuf;

use node::{
    challenger::{IndexAnswerer, IndexChallenger, IndexExamination, Indexes, index_examination},
    store::Table,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

/// Somebody who watches indexes.
pub(super) struct Watcher {
    pub(super) store: SharedStore,
    pub(super) registry: Registry,
    pub(super) indexer: Arc<Indexer>,
    pub(super) publisher: IndexPublisher,
    pub(super) client: ChainClient,
    pub(super) datanets: Vec<PathBuf>,
}

/// A watcher's challenger at work.
pub(super) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl Watcher {
    pub(super) fn new(world: &World, key: usize, datanets: Vec<PathBuf>) -> Self {
        let (client, store): (_, SharedStore) =
            (world.anvil.client(Some(signer(key))), Arc::new(MemoryStore::default()));
        let registry = Registry::new(Arc::clone(&store), world.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let indexer = Indexer::new(Arc::clone(&store), registry.clone(), client.clone(), pause);
        let publisher = world.publisher.clone();
        Self { store, registry, indexer: Arc::new(indexer), publisher, client, datanets }
    }

    pub(super) fn challenger(&self, store: SharedStore) -> IndexChallenger {
        let (registry, client) = (self.registry.clone(), self.client.clone());
        IndexChallenger::new(store, registry, client, self.publisher.clone(), &self.datanets)
    }

    pub(super) fn answerer(&self) -> IndexAnswerer {
        let (store, registry) = (Arc::clone(&self.store), self.registry.clone());
        let indexes = Indexes::new(registry.clone(), self.publisher.clone());
        IndexAnswerer::new(store, registry, self.client.clone(), indexes, &self.datanets)
    }

    /// How many claims its answerer has not judged.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.store.scan(Table::Meta, b"index-claims/waiting/", &[], usize::MAX);
        waiting.unwrap().len()
    }

    pub(super) fn run(&self) -> Running {
        let shutdown = CancellationToken::new();
        let (challenger, indexer) =
            (self.challenger(Arc::clone(&self.store)), Arc::clone(&self.indexer));
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            while !stop.is_cancelled() {
                indexer.sync().await.unwrap();
                if !challenger.step().await.unwrap() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Running { shutdown, task }
    }

    /// Waits until what was found in every index is so.
    pub(super) async fn all(
        &self,
        models: impl IntoIterator<Item = &B256>,
        is: fn(&IndexExamination) -> bool,
    ) {
        for model in models {
            let mut found = None;
            for _ in 0..1_200 {
                found = index_examination(&self.store, *model).unwrap();
                if found.as_ref().is_some_and(is) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(found.as_ref().is_some_and(is), "{model}: {found:?}");
        }
    }
}

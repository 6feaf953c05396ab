//! The challenger with its indexer, and what the chain says of its strikes.

use std::{sync::Arc, time::Duration};

use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B256, U256},
    providers::Provider,
    rpc::types::Filter,
    signers::local::PrivateKeySigner,
    sol_types::SolEvent,
};
use node::{
    chain::{ChainClient, bindings::IDisputes},
    challenger::{Challenger, Indexes},
    committer::Kzg,
    factory::IndexPublisher,
    indexer::Indexer,
    registry::Registry,
    store::{MemoryStore, SharedStore},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::registries::Registries;
use crate::{
    anvil::{PAGE_SIZE, srs},
    world::key,
};

/// A store with an indexer that runs beside whatever uses it.
pub(super) struct Watch<'a> {
    pub(super) on: &'a Registries,
    pub(super) store: SharedStore,
    pub(super) registry: Registry,
    pub(super) client: ChainClient,
    pub(super) kzg: Kzg,
    shutdown: CancellationToken,
    indexing: JoinHandle<node::Result<()>>,
}

/// What Disputes says of a strike, and what its transaction was.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    pub(super) batch: B256,
    pub(super) rule: u8,
    pub(super) challenger: Address,
    pub(super) slashed: U256,
    pub(super) paid: U256,
    pub(super) gas: u64,
    /// Wei.
    pub(super) cost: U256,
    /// Rows of the ledger that it opened.
    pub(super) rows: usize,
}

impl<'a> Watch<'a> {
    pub(super) async fn start(on: &'a Registries) -> Self {
        let signer: PrivateKeySigner = key(9_999);
        on.fund(&signer, 100).await;
        let client = on.client(&signer);
        let store: SharedStore = Arc::new(MemoryStore::default());
        let registry = Registry::new(Arc::clone(&store), on.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let indexer =
            Indexer::new(Arc::clone(&store), registry.clone(), on.anvil.client(None), pause);
        let shutdown = CancellationToken::new();
        let indexing = tokio::spawn(indexer.run(shutdown.clone()));
        let kzg = Kzg::new(srs(), PAGE_SIZE).unwrap();
        Self { on, store, registry, client, kzg, shutdown, indexing }
    }

    /// A challenger's process, which knows what is in the store.
    pub(super) fn challenger(&self, store: SharedStore) -> Challenger {
        let layer = Arc::clone(&self.on.layer);
        let publisher = IndexPublisher::new(Arc::clone(&layer), self.kzg.clone());
        let indexes = Indexes::new(self.registry.clone(), publisher);
        let (registry, client) = (self.registry.clone(), self.client.clone());
        Challenger::new(store, registry, client, layer, self.kzg.clone(), indexes)
    }

    /// Waits until everything on the chain now is indexed.
    pub(super) async fn caught_up(&self) {
        let tip = self.client.block(None).await.unwrap().unwrap().number;
        for _ in 0..1_200 {
            if self.registry.head().number >= tip {
                return;
            }
            assert!(!self.indexing.is_finished(), "the indexer ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the indexer does not reach block {tip}");
    }

    /// All strikes so far, in the order of the chain.
    pub(super) async fn strikes(&self) -> Vec<Strike> {
        let filter = Filter::new()
            .address(self.on.contracts.deployment.disputes)
            .event_signature(IDisputes::Struck::SIGNATURE_HASH)
            .from_block(0);
        let mut strikes = Vec::new();
        for log in self.client.logs(&filter).await.unwrap() {
            let event = log.log_decode::<IDisputes::Struck>().unwrap().inner.data;
            let transaction = log.transaction_hash.unwrap();
            let receipt = self.client.receipt(transaction).await.unwrap().unwrap();
            let provider = self.client.provider();
            let sent = provider.get_transaction_by_hash(transaction).await.unwrap().unwrap();
            strikes.push(Strike {
                batch: event.batch,
                rule: event.rule,
                challenger: event.challenger,
                slashed: event.slashed,
                paid: event.paid,
                gas: receipt.gas_used,
                cost: U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price),
                rows: opened(&sent.input()[4..]) / 8,
            });
        }
        strikes
    }

    pub(super) async fn end(self) {
        self.shutdown.cancel();
        self.indexing.await.unwrap().unwrap();
    }
}

/// Cells of the opening that is every proof's second argument and begins with its indices.
fn opened(arguments: &[u8]) -> usize {
    let word = |at: usize| usize::try_from(U256::from_be_slice(&arguments[at..at + 32])).unwrap();
    let opening = word(32);
    word(opening + word(opening))
}

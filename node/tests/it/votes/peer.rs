//! A node that takes part in votes, stage by stage.

use std::{sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use node::{
    chain::{
        ChainClient,
        bindings::{CellOpening, G1Point, ISketchVotes, IStaking},
    },
    challenger::{Challenger, Indexes},
    committer::Kzg,
    factory::IndexPublisher,
    indexer::Indexer,
    metrics::VoteMetrics,
    recorder::Recorded,
    registry::Registry,
    serving::StoredAnswer,
    store::{SharedStore, Table, WriteBatch},
    votes::{
        Answerer, Auditor, Closer, Context, Judge, Purchase, PurchaseState, Roll, Watcher,
        purchases,
    },
};
use prover::{BlobCommitment, evm};

use super::world::World;
use crate::{
    anvil::{self, PAGE_SIZE},
    market::{Market, Operator, coins},
    world::key,
};

/// A node that takes part in votes, over a store of its own.
pub(crate) struct Peer {
    pub(crate) store: SharedStore,
    pub(crate) registry: Registry,
    indexer: Indexer,
    pub(crate) client: ChainClient,
    pub(super) votes: Address,
}

impl Peer {
    pub(crate) async fn new(
        market: &Market,
        signer: &PrivateKeySigner,
        store: SharedStore,
    ) -> Self {
        Self::over(market, market.client(signer), store).await
    }

    /// The operator's: one client, since each keeps count of its account's transactions.
    pub(crate) async fn of(market: &Market, node: &Operator) -> Self {
        Self::over(market, node.client.clone(), Arc::clone(&node.store)).await
    }

    async fn over(market: &Market, client: ChainClient, store: SharedStore) -> Self {
        let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let of = (Arc::clone(&store), registry.clone(), client.clone());
        let indexer = Indexer::new(of.0, of.1, of.2, pause);
        let votes = market.contracts.deployment.sketch_votes;
        let peer = Self { store, registry, indexer, client, votes };
        peer.sync().await;
        peer
    }

    /// Everything that the chain tells.
    pub(crate) async fn sync(&self) {
        self.indexer.sync().await.unwrap();
        let watcher = Watcher::new(self.context());
        while watcher.step().await.unwrap() {}
    }

    pub(crate) fn context(&self) -> Context {
        self.context_over(Arc::clone(&self.store))
    }

    fn context_over(&self, store: SharedStore) -> Context {
        let (registry, client) = (self.registry.clone(), self.client.clone());
        Context { store, registry, client, metrics: VoteMetrics::default() }
    }

    pub(crate) fn answerer(&self) -> Answerer {
        Answerer::new(self.context())
    }

    pub(super) fn judge(&self, world: &World) -> Judge {
        self.judge_over(world, Arc::clone(&self.store))
    }

    pub(super) fn judge_over(&self, world: &World, store: SharedStore) -> Judge {
        Judge::new(self.context_over(store), world.reruns.clone())
    }

    pub(super) fn closer(&self) -> Closer {
        Closer::new(self.context())
    }

    pub(super) fn auditor(&self, world: &World) -> Auditor {
        let Context { store, registry, client, metrics } = self.context();
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let layer = world.market.layer(&world.blobs());
        let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
        let indexes = Indexes::new(registry.clone(), publisher);
        let challenger = Challenger::new(store, registry, client, layer, kzg, indexes);
        Auditor::new(challenger, world.reruns.clone(), metrics)
    }

    /// Challenges the record in a row of a ledger.
    pub(super) async fn challenge(
        &self,
        batch: B256,
        ledger: Vec<u8>,
        row: usize,
        witness: Vec<u8>,
    ) {
        let row = u32::try_from(row).unwrap();
        let blob = BlobCommitment::new(&anvil::srs(), ledger).unwrap();
        let opening = blob.open_cells(&anvil::srs(), &[8 * row + 4, 8 * row + 7]).unwrap();
        let point = |affine| {
            let evm::G1 { x, y } = evm::G1::from(affine);
            G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
        };
        let value = |value| U256::from_be_bytes(evm::word(value));
        let ledger = CellOpening {
            indices: opening.indices,
            values: opening.values.into_iter().map(value).collect(),
            quotient: point(opening.quotient),
            remainder: point(opening.remainder),
        };
        let bond = self.client.call(self.votes, &ISketchVotes::bondCall {}).await.unwrap();
        let call = ISketchVotes::challengeCall { batch, row, ledger, witness: witness.into() };
        self.client.send(self.votes, &call, bond).await.unwrap();
    }

    /// Keeps a call as if this node had bought it.
    pub(super) fn bought(&self, world: &World, recorded: &Recorded) -> B256 {
        self.bought_with(world, recorded, world.body("function transfer"))
    }

    /// Keeps a call with this body as if this node had bought it.
    pub(super) fn bought_with(&self, world: &World, recorded: &Recorded, body: Vec<u8>) -> B256 {
        let voucher = &recorded.call.voucher;
        let (operator, epoch) =
            (world.market.operator.address(), self.registry.epoch_of(voucher.call.time));
        let digest = recorded.call.digest();
        let requests = Arc::clone(&self.store);
        let answer = StoredAnswer::from_bytes(&recorded.answer).unwrap().output();
        let row = Purchase {
            voucher: voucher.clone(),
            signature: recorded.call.signature.to_vec(),
            receipt: recorded.receipt.clone(),
            receipt_signature: recorded.signature.clone(),
            request: body,
            answer,
            state: PurchaseState::Open,
        };
        assert_eq!(keccak256(&row.request), voucher.call.promptHash);
        let key = [operator.as_slice(), &epoch.to_be_bytes(), digest.as_slice()].concat();
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Purchases, key, &row);
        requests.write(batch).unwrap();
        digest
    }

    pub(super) fn state(&self, world: &World, epoch: u64, digest: B256) -> PurchaseState {
        let kept = purchases(&*self.store, world.market.operator.address(), epoch).unwrap();
        kept.into_iter().find(|(of, _)| *of == digest).unwrap().1.state
    }
}

pub(crate) async fn funded(market: &Market, number: u64, amount: u64) -> PrivateKeySigner {
    let signer = key(number);
    let params = serde_json::json!([signer.address(), coins(amount)]);
    market.anvil.request("anvil_setBalance", params).await;
    signer
}

/// An operator with so many coins at stake.
pub(super) async fn staked(market: &Market, number: u64, stake: u64) -> PrivateKeySigner {
    let signer = funded(market, number, stake + 100).await;
    let register = IStaking::registerOperatorCall {};
    let to = market.contracts.deployment.staking;
    market.client(&signer).send(to, &register, coins(stake)).await.unwrap();
    signer
}

/// A validator with a third of the least stake of a panel.
pub(crate) async fn validator(market: &Market, number: u64, store: SharedStore) -> Peer {
    let signer = staked(market, number, 1_000).await;
    let peer = Peer::new(market, &signer, store).await;
    let enrol = || Roll::new(peer.registry.clone(), peer.client.clone(), true);
    assert!(enrol().step().await.unwrap());
    assert!(!enrol().step().await.unwrap(), "it is enrolled");
    peer
}

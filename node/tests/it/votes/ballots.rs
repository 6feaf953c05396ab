//! Challenged records, run again on the model of this repository and voted on.

use std::sync::Arc;

use alloy::primitives::{B256, U256};
use attribution::settle::{Info, Row};
use node::{
    Error,
    chain::bindings::{
        ISketchVotes::{self, Choice, Stage},
        Status,
    },
    recorder::Recorded,
    store::{MemoryStore, SharedStore, Table},
    votes::{Pruner, PurchaseState, Sampler, purchases, votes},
};

use super::{
    peer::{Peer, funded, validator},
    world::{World, serve_falsely, serve_honestly},
};
use crate::{
    anvil::VOTE_PERIOD,
    market::{EPOCH_SECONDS, MAX_SKEW, Operator, coins},
    world::{Killed, key, rocks},
};

/// Challenges a record of the operator's latest ledger.
pub(super) async fn challenge(peer: &Peer, batch: B256, node: &Operator, recorded: &Recorded) {
    let (_, ledger) = node.store.last(Table::Ledgers, &[]).unwrap().unwrap();
    let (digest, witness) = (recorded.call.digest(), recorded.call.witness().encode());
    let rows = prover::rows_from_blob(&ledger).unwrap();
    let is_of = |row: &Row| matches!(&row.info, Info::Record { voucher, .. } if voucher[..] == digest[..31]);
    let row = rows.iter().position(is_of).unwrap();
    peer.challenge(batch, ledger, row, witness).await;
}

/// Lets the epoch end and posts its batch.
pub(super) async fn post(world: &World, node: &Operator) -> B256 {
    world.market.anvil.pass(world.market.contracts.epoch_seconds + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    node.publish().await;
    assert!(node.settler.step().await.unwrap());
    node.indexer.sync().await.unwrap();
    node.row::<node::batcher::SealedBatch>(Table::Batches).id
}

pub(super) async fn begin_epoch(world: &World, node: &Operator) -> u64 {
    let time = node.registry.head().timestamp;
    let seconds = world.market.contracts.epoch_seconds;
    world.market.anvil.pass(seconds - time % seconds).await;
    node.indexer.sync().await.unwrap();
    node.registry.head().timestamp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_run_again_and_voted_on() {
    let world = World::open(EPOCH_SECONDS).await;
    let market = &world.market;
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut validators = Vec::new();
    for (number, folder) in (700..).zip(&folders) {
        validators.push(validator(market, number, rocks(folder.path())).await);
    }
    let store: SharedStore = Arc::new(MemoryStore::default());
    let node = Operator::start(market, store, &world.blobs()).await;
    let auditor = funded(market, 800, 100).await;
    let auditor = Peer::new(market, &auditor, Arc::new(MemoryStore::default())).await;
    let grudge = funded(market, 801, 100).await;
    let grudge = Peer::new(market, &grudge, Arc::new(MemoryStore::default())).await;

    // One call is recorded as it was served, the other with another sketch.
    let time = begin_epoch(&world, &node).await;
    let epoch = node.registry.epoch_of(time);
    let body = world.body("function transfer");
    let voucher = world.voucher(&body, 5, time, 20_000_000);
    let honest = serve_honestly(&world.serving(&node), &body, voucher).await;
    let voucher = world.voucher(&body, 6, time, 40_000_000);
    let forged = serve_falsely(&world, &node, &body, voucher).await;
    let batch = post(&world, &node).await;

    // The first is challenged for no reason, the second by whoever bought it.
    challenge(&grudge, batch, &node, &honest).await;
    let digests = [&honest, &forged].map(|recorded| auditor.bought(&world, recorded));
    auditor.sync().await;
    assert!(auditor.auditor(&world).step().await.unwrap());
    assert_eq!(auditor.state(&world, epoch, digests[0]), PurchaseState::Right);
    assert_eq!(auditor.state(&world, epoch, digests[1]), PurchaseState::Challenged);
    assert!(!auditor.auditor(&world).step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Answering, Stage::Answering));

    // The operator answers both, once, also when it is started again between.
    let operator = Peer::of(market, &node).await;
    assert!(operator.answerer().step().await.unwrap());
    assert!(!operator.answerer().step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Voting, Stage::Voting));

    commit(&world, &mut validators, &folders).await;
    reveal(&world, &validators).await;

    // Anyone on the panel closes the votes. The first is upheld before the second ends the batch.
    market.anvil.pass(VOTE_PERIOD).await;
    let before = auditor.client.balance(auditor.client.sender().unwrap()).await.unwrap();
    validators[1].sync().await;
    assert!(validators[1].closer().step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Upheld, Stage::Struck));
    assert_eq!(market.batch(batch).await.status, Status::Struck);
    for peer in validators.iter().chain([&auditor, &grudge]) {
        peer.sync().await;
        assert!(peer.closer().step().await.unwrap(), "what it is owed is withdrawn");
        assert!(votes(&*peer.store).unwrap().is_empty());
        let owed = ISketchVotes::owedCall { account: peer.client.sender().unwrap() };
        assert_eq!(peer.client.call(peer.votes, &owed).await.unwrap(), U256::ZERO);
    }
    let bond = auditor.client.call(world.votes, &ISketchVotes::bondCall {}).await.unwrap();
    let gained = auditor.client.balance(auditor.client.sender().unwrap()).await.unwrap() - before;
    // The bond and half of a quarter of the operator's thousand coins, less gas.
    assert!(gained > bond + coins(124) && gained <= bond + coins(125), "{gained}");

    // The purchases are forgotten with the batch, and so is what the operator had to reveal.
    assert!(auditor.auditor(&world).step().await.unwrap());
    assert!(purchases(&*auditor.store, market.operator.address(), epoch).unwrap().is_empty());
    operator.sync().await;
    let pruner = || Pruner::new(Arc::clone(&node.store), node.registry.clone());
    node.indexer.sync().await.unwrap();
    assert_eq!(node.store.scan(Table::Requests, &[], &[], 9).unwrap().len(), 2);
    assert!(pruner().step().await.unwrap());
    assert!(node.store.scan(Table::Requests, &[], &[], 9).unwrap().is_empty());
    assert!(!pruner().step().await.unwrap());

    silence(&world, &node, &auditor).await;
}

/// Validators judge. One is killed before its choice is on disk, and one after it has committed.
async fn commit(world: &World, validators: &mut [Peer], folders: &[tempfile::TempDir]) {
    for peer in &*validators {
        peer.sync().await;
    }
    let killed: SharedStore = Killed::after(Arc::clone(&validators[0].store), 0);
    let ended = validators[0].judge_over(world, killed).step().await;
    assert!(matches!(ended, Err(Error::Store(_))), "{ended:?}");
    for peer in &*validators {
        let ballot = ballot(peer, 1).await;
        assert!(ballot.commitment.is_zero() && ballot.choice == Choice::None);
        assert!(peer.judge(world).step().await.unwrap());
        assert!(!peer.judge(world).step().await.unwrap(), "it is committed");
        peer.sync().await;
    }
    let signer = key(700);
    let old = std::mem::replace(
        &mut validators[0],
        Peer::new(&world.market, &signer, Arc::new(MemoryStore::default())).await,
    );
    drop(old);
    validators[0] = Peer::new(&world.market, &signer, rocks(folders[0].path())).await;
}

async fn ballot(peer: &Peer, vote: u64) -> ISketchVotes::Ballot {
    let validator = peer.client.sender().unwrap();
    let call = ISketchVotes::ballotOfCall { vote: U256::from(vote), validator };
    peer.client.call(peer.votes, &call).await.unwrap()
}

async fn reveal(world: &World, validators: &[Peer]) {
    world.market.anvil.pass(VOTE_PERIOD).await;
    for peer in validators {
        peer.sync().await;
        assert!(peer.judge(world).step().await.unwrap());
        assert!(!peer.judge(world).step().await.unwrap(), "it is revealed");
        assert_eq!(ballot(peer, 1).await.choice, Choice::Holds);
        assert_eq!(ballot(peer, 2).await.choice, Choice::False);
    }
}

/// An operator that does not answer is struck, whatever it recorded.
async fn silence(world: &World, node: &Operator, auditor: &Peer) {
    let time = begin_epoch(world, node).await;
    let body = world.body("function transfer");
    let voucher = world.voucher(&body, 7, time, 60_000_000);
    let honest = serve_honestly(&world.serving(node), &body, voucher).await;
    let batch = post(world, node).await;

    // Samples are drawn in two transactions, blocks apart.
    auditor.sync().await;
    let sampler = Sampler::new(auditor.registry.clone(), auditor.client.clone());
    assert!(sampler.step().await.unwrap());
    auditor.sync().await;
    assert!(!sampler.step().await.unwrap(), "its block is to come");
    for _ in 0..9 {
        world.market.anvil.pass(1).await;
    }
    auditor.sync().await;
    assert!(sampler.step().await.unwrap());
    assert!(!sampler.step().await.unwrap(), "it is drawn");

    challenge(auditor, batch, node, &honest).await;
    auditor.sync().await;
    assert!(!auditor.closer().step().await.unwrap(), "there is time to answer");
    world.market.anvil.pass(VOTE_PERIOD).await;
    auditor.sync().await;
    assert!(auditor.closer().step().await.unwrap());
    assert_eq!(world.stage(3).await, Stage::Struck);
    assert_eq!(world.market.batch(batch).await.status, Status::Struck);
    // Too late: the answer is not sent.
    let operator = Peer::of(&world.market, node).await;
    assert!(!operator.answerer().step().await.unwrap());
}

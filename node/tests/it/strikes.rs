//! Batches that are struck.

use std::sync::Arc;

use alloy::{
    primitives::{B256, U256},
    signers::local::PrivateKeySigner,
};
use attribution::settle::{Account, Carries, Info, Row};
use node::{
    batcher::{SealedBatch, batches_after, ledger_blob},
    chain::bindings::{ISettlement, Status},
    registry::BatchStatus,
    store::{MemoryStore, Table, decode, rows},
};

use crate::{
    anvil::signer,
    market::{GWEI, Market, Operator, WINDOW, serve_epoch},
};

async fn arbiter(market: &Market) -> PrivateKeySigner {
    let arbiter = signer(3);
    let call = ISettlement::setArbiterCall { arbiter: arbiter.address(), allowed: true };
    market.govern(&call).await;
    arbiter
}

async fn strike(market: &Market, arbiter: &PrivateKeySigner, batch: B256) {
    let to = market.contracts.deployment.settlement;
    let call = ISettlement::strikeCall { batch };
    market.client(arbiter).send(to, &call, U256::ZERO).await.unwrap();
}

fn sealed(node: &Operator) -> Vec<SealedBatch> {
    let all = rows(&*node.store, Table::Batches, &[]).unwrap();
    all.into_iter().map(|(_, row)| row).collect()
}

/// The rows that a ledger opens with: what it takes over from the batch before.
fn opened_with(node: &Operator, epoch: u64) -> Carries {
    let blob = ledger_blob(&*node.store, epoch).unwrap();
    let rows = prover::rows_from_blob(&blob).unwrap();
    let carry = |row: &Row| match (&row.info, row.account) {
        (Info::Carry, Account::Balance(balance)) => Some((balance, row.value)),
        _ => None,
    };
    rows.iter().filter_map(carry).collect()
}

/// The negative nets that a ledger leaves.
fn left(node: &Operator, epoch: u64) -> Carries {
    let blob = ledger_blob(&*node.store, epoch).unwrap();
    prover::ledger_from_blob(&blob).unwrap().carries
}

fn deposits(node: &Operator, market: &Market) -> Vec<U256> {
    let deposit = |&(_, id): &(_, B256)| node.registry.channel(id).unwrap().unwrap().deposit;
    market.channels.iter().map(deposit).collect()
}

#[tokio::test]
async fn batches_go_on_from_the_last_that_stands() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let mut fees = Vec::new();
    // The first becomes final, the second is struck, the third is on top of it, the fourth is
    // ready and not posted.
    fees.push(serve_epoch(&market, &node, 0).await);
    node.drain().await.unwrap();
    market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    for number in 1..3 {
        fees.push(serve_epoch(&market, &node, number).await);
        node.publish().await;
        assert!(node.settler.step().await.unwrap());
    }
    fees.push(serve_epoch(&market, &node, 3).await);
    node.publish().await;
    let before = sealed(&node);
    assert!(before.windows(2).all(|pair| pair[1].previous == pair[0].id));
    let stale = opened_with(&node, before[3].epoch);
    assert_eq!(stale, left(&node, before[2].epoch));
    let deposited = deposits(&node, &market);

    let arbiter = arbiter(&market).await;
    strike(&market, &arbiter, before[1].id).await;
    // Before the strike is indexed, the chain's head is in the way; nothing is sent.
    let sent = market.sent().await;
    assert!(!node.settler.step().await.unwrap());
    assert!(node.settler.waits().get().is_some());
    assert_eq!(market.sent().await, sent);
    node.drain().await.unwrap();

    // Both void batches went back to the payers, to the gwei; their intervals stay charged.
    for id in [before[1].id, before[2].id] {
        assert_eq!(market.batch(id).await.status, Status::Struck);
        let view = node.registry.batch(id).unwrap().unwrap();
        assert_eq!((view.status, view.refunded), (BatchStatus::Struck, true));
    }
    let refunded: U256 =
        deposits(&node, &market).into_iter().sum::<U256>() - deposited.into_iter().sum::<U256>();
    assert_eq!(refunded, U256::from(fees[1] + fees[2]) * U256::from(GWEI));
    assert_eq!(node.store.scan(Table::StruckSeen, &[], &[], 9).unwrap().len(), 2);

    // The fourth is built anew on the first, with what that left.
    let after = sealed(&node);
    assert_eq!(after[..3], before[..3]);
    assert_eq!((after[3].id, after[3].previous), (before[3].id, before[0].id));
    assert_eq!((after[3].total, &after[3].draws), (before[3].total, &before[3].draws));
    assert_eq!(opened_with(&node, after[3].epoch), left(&node, after[0].epoch));
    assert_ne!(opened_with(&node, after[3].epoch), stale);
    assert_eq!(market.batch(after[3].id).await.status, Status::Posted);

    market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    let paid = node.unclaimed().await.iter().map(|one| one.cumulative).sum::<u64>();
    assert_eq!(paid, fees[0] + fees[3]);
    assert_eq!(market.held().await, U256::from(paid) * U256::from(GWEI));

    // Serving goes on, on top of the fourth.
    serve_epoch(&market, &node, 4).await;
    node.drain().await.unwrap();
    let last: SealedBatch =
        decode(Table::Batches, &node.store.last(Table::Batches, &[]).unwrap().unwrap().1).unwrap();
    assert_eq!(last.previous, after[3].id);
    assert_eq!(market.batch(last.id).await.status, Status::Posted);
}

#[tokio::test]
async fn an_operator_that_lost_its_store_goes_on_from_the_chain() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.drain().await.unwrap();
    let first = batches_after(&*node.store, None).unwrap().unwrap();
    let carries = left(&node, first.epoch);
    assert!(!carries.is_empty());
    drop(node);

    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 1).await;
    node.drain().await.unwrap();
    let second = batches_after(&*node.store, None).unwrap().unwrap();
    assert_eq!(second.previous, first.id);
    assert_eq!(opened_with(&node, second.epoch), carries);
    assert_eq!(market.batch(second.id).await.status, Status::Posted);
}

#[tokio::test]
async fn a_held_batch_becomes_final_once_it_is_released() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.drain().await.unwrap();
    let batch = sealed(&node)[0].id;
    let arbiter = arbiter(&market).await;
    let (to, client) = (market.contracts.deployment.settlement, market.client(&arbiter));
    client.send(to, &ISettlement::holdCall { batch }, U256::ZERO).await.unwrap();
    market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    assert_eq!(node.registry.batch(batch).unwrap().unwrap().holds, 1);
    assert_eq!(market.batch(batch).await.status, Status::Posted);
    client.send(to, &ISettlement::releaseCall { batch }, U256::ZERO).await.unwrap();
    node.drain().await.unwrap();
    assert_eq!(market.batch(batch).await.status, Status::Final);
}

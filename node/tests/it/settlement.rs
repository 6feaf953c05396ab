//! From calls to claims on a chain.

use std::sync::Arc;

use alloy::{
    primitives::{U256, keccak256},
    signers::local::PrivateKeySigner,
};
use node::{
    Error,
    chain::bindings::ISettlement,
    finaliser::FinalBatch,
    proofs::ProvenBatch,
    settler::{PostedBatch, Settler, Waiting},
    store::{MemoryStore, SharedStore, Table, WriteBatch, decode},
};

use crate::{
    market::{GWEI, Market, Operator, WINDOW, serve_epoch},
    world::Killed,
};

#[tokio::test]
async fn calls_are_posted_finalised_and_claimed() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let fees = serve_epoch(&market, &node, 0).await;

    let posted = post(&market, &node).await;
    let finalised = finalise(&market, &node).await;
    let total = claim(&market, &node).await;
    assert_eq!(total.paid, fees, "everything that was charged is paid");

    // A second batch adds to the same page, and a store that starts afresh agrees with the chain
    // from data availability alone.
    let more = serve_epoch(&market, &node, 1).await;
    post(&market, &node).await;
    finalise(&market, &node).await;
    let fresh = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let open = node.unclaimed().await;
    assert_eq!(fresh.unclaimed().await, open);
    assert_eq!(fresh.claims(&open).await, node.claims(&open).await);
    assert_eq!(open.iter().map(|e| e.cumulative - e.claimed).sum::<u64>(), more);
    assert_eq!(open.iter().map(|e| e.cumulative).sum::<u64>(), fees + more);
    let claims = fresh.claims(&open).await;
    let call = ISettlement::claimManyCall { claims };
    fresh.client.send(market.contracts.deployment.settlement, &call, U256::ZERO).await.unwrap();
    assert!(node.unclaimed().await.is_empty());

    println!(
        "gas: post {}, finalise {}, claim one {}, claim ten {}",
        posted.gas, finalised.gas, total.gas_one, total.gas_ten
    );
}

/// Posts the batch; a kill after the transaction and before its row does not post it twice.
async fn post(market: &Market, node: &Operator) -> PostedBatch {
    node.publish().await;
    let killed: SharedStore = Killed::after(Arc::clone(&node.store), 0);
    let settler =
        Settler::new(killed, node.registry.clone(), node.client.clone(), node.publisher.clone());
    assert!(matches!(settler.step().await, Err(Error::Store(_))));
    let before = market.sent().await;
    assert!(node.settler.step().await.unwrap());
    assert!(!node.settler.step().await.unwrap());
    assert_eq!(market.sent().await, before, "it is found on chain");
    let posted: PostedBatch = node.row(Table::Postings);
    assert!(posted.gas > 0);
    posted
}

async fn finalise(market: &Market, node: &Operator) -> FinalBatch {
    node.indexer.sync().await.unwrap();
    assert!(!node.finaliser.step().await.unwrap(), "the window is open");
    market.anvil.pass(WINDOW).await;
    node.indexer.sync().await.unwrap();
    assert!(node.finaliser.step().await.unwrap());
    assert!(!node.finaliser.step().await.unwrap());
    node.row(Table::Finals)
}

struct Claimed {
    paid: u64,
    gas_one: u64,
    gas_ten: u64,
}

/// Claims one, then ten, then the rest; wrong and repeated claims are refused.
async fn claim(market: &Market, node: &Operator) -> Claimed {
    let settlement = market.contracts.deployment.settlement;
    let open = node.unclaimed().await;
    assert!(open.len() > 11, "{} earners", open.len());
    let stranger = market.client(&PrivateKeySigner::from_bytes(&keccak256("stranger")).unwrap());
    market.fund(stranger.sender().unwrap()).await;
    let claims = node.claims(&open).await;
    let one = ISettlement::claimCall { claim_: claims[0].clone() };

    let mut wrong = claims[1].clone();
    wrong.cumulativeEarnings += 1;
    let call = ISettlement::claimCall { claim_: wrong };
    let refused = stranger.send(settlement, &call, U256::ZERO).await;
    assert!(
        matches!(&refused, Err(Error::Reverted(e)) if e.contains("InvalidOpening")),
        "{refused:?}"
    );

    let before = node.client.balance(open[0].account).await.unwrap();
    let gas_one = stranger.send(settlement, &one, U256::ZERO).await.unwrap().gas;
    let paid = node.client.balance(open[0].account).await.unwrap() - before;
    assert_eq!(paid, U256::from(open[0].cumulative) * U256::from(GWEI));
    let again = stranger.send(settlement, &one, U256::ZERO).await;
    assert!(matches!(&again, Err(Error::Reverted(e)) if e.contains("NothingToClaim")), "{again:?}");

    let ten = ISettlement::claimManyCall { claims: claims[1..11].to_vec() };
    let gas_ten = stranger.send(settlement, &ten, U256::ZERO).await.unwrap().gas;
    let rest = ISettlement::claimManyCall { claims: claims[11..].to_vec() };
    stranger.send(settlement, &rest, U256::ZERO).await.unwrap();
    assert!(node.unclaimed().await.is_empty());
    let paid = open.iter().map(|earner| earner.cumulative).sum();
    assert_eq!(market.held().await, U256::ZERO);
    Claimed { paid, gas_one, gas_ten }
}

#[tokio::test]
async fn a_batch_that_the_contract_refuses_stays_and_is_tried_again() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.publish().await;
    // Half a day later the certificates are refused; the stages get others, and a proof of them.
    market.anvil.pass(13 * 3600).await;
    node.indexer.sync().await.unwrap();
    let old: ProvenBatch = node.row(Table::Proofs);
    let refused = node.settler.step().await;
    assert!(matches!(&refused, Err(Error::Reverted(e)) if e.contains("Expired")), "{refused:?}");
    assert!(node.store.last(Table::Postings, &[]).unwrap().is_none());
    assert!(!node.settler.step().await.unwrap(), "the old proof is of the old certificates");
    assert!(node.proofs.step().await.unwrap());
    let new: ProvenBatch = node.row(Table::Proofs);
    assert_ne!(new.certificate_hash, old.certificate_hash);
    assert!(node.settler.step().await.unwrap());
}

#[tokio::test]
async fn a_proof_of_other_payouts_is_refused() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.publish().await;
    let (key, row) = node.store.last(Table::Proofs, &[]).unwrap().unwrap();
    let mut proven: ProvenBatch = decode(Table::Proofs, &row).unwrap();
    let last = proven.proof.len() - 5;
    proven.proof[last][31] ^= 1;
    let mut batch = WriteBatch::default();
    batch.put_row(Table::Proofs, key, &proven);
    node.store.write(batch).unwrap();
    let refused = node.settler.step().await;
    assert!(
        matches!(&refused, Err(Error::Reverted(e)) if e.contains("InvalidProof")),
        "{refused:?}"
    );
    assert_eq!(market.held().await, U256::ZERO);
}

#[tokio::test]
async fn a_batch_above_the_exposure_cap_waits_for_earlier_ones() {
    let market = Market::with_stake(1).await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let first = serve_epoch(&market, &node, 0).await;
    node.publish().await;
    assert!(node.settler.step().await.unwrap());
    let second = serve_epoch(&market, &node, 1).await;
    node.publish().await;
    let cap = GWEI / 4;
    assert!(first <= cap && second <= cap && first + second > cap, "{first} {second}");

    assert!(!node.settler.step().await.unwrap());
    let waiting = node.settler.waits().get();
    let Some(Waiting::Exposure { total, unfinal, cap: told, .. }) = waiting else {
        panic!("{waiting:?}")
    };
    assert_eq!((total, unfinal, told), (second, U256::from(first), U256::from(cap)));

    market.anvil.pass(WINDOW).await;
    node.indexer.sync().await.unwrap();
    assert!(node.finaliser.step().await.unwrap());
    assert!(node.settler.step().await.unwrap());
    assert_eq!(node.settler.waits().get(), None);
}

#[tokio::test]
async fn a_chain_that_goes_away_changes_nothing() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.publish().await;
    drop(market);
    let head = node.registry.head();
    assert!(matches!(node.indexer.sync().await, Err(Error::Chain(_))));
    assert!(matches!(node.settler.step().await, Err(Error::Chain(_))));
    assert_eq!(node.registry.head(), head);
    assert!(node.store.last(Table::Postings, &[]).unwrap().is_none());
}

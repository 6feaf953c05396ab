//! Earnings that outlive the blobs of their batches.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy::{
    hex,
    primitives::{Address, U256},
};
use attribution::settle::EarnerIndex;
use node::{
    Error,
    chain::bindings::{G1Point, IEarningsArchive, IStaking},
    committer::Kzg,
    earnings::snapshot,
    registry::Registry,
    store::{MemoryStore, SharedStore},
};

use crate::{
    anvil::{self, PAGE_SIZE, signer},
    market::{ARCHIVE_SECONDS, Market, Operator, WINDOW, coins, serve_epoch},
};

async fn settle(market: &Market, node: &Operator, number: u64) -> u64 {
    let fees = serve_epoch(market, node, number).await;
    node.drain().await.unwrap();
    market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    fees
}

fn store() -> SharedStore {
    Arc::new(MemoryStore::default())
}

/// What data availability does after two weeks.
fn expire(blobs: &Path, commitment: &G1Point) {
    let name = [commitment.x.to_be_bytes::<32>(), commitment.y.to_be_bytes::<32>()].concat();
    std::fs::remove_file(blobs.join(hex::encode(name))).unwrap();
}

fn ledger(registry: &Registry, operator: Address, number: usize) -> G1Point {
    registry.batches_of(operator, 0).unwrap()[number].1.submission.ledger.clone()
}

#[tokio::test]
async fn a_fresh_node_needs_only_the_snapshot_and_the_batches_since() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, store(), blobs.path()).await;
    let mut fees = settle(&market, &node, 0).await;
    let archives = node.registry.archives(0).unwrap();
    assert_eq!(archives.len(), 1, "the first version is archived at once");
    assert_eq!((archives[0].0, archives[0].1), (1, market.operator.address()));
    fees += settle(&market, &node, 1).await;
    assert_eq!(node.registry.archives(0).unwrap().len(), 1, "the next one when it is due");

    expire(blobs.path(), &ledger(&node.registry, market.operator.address(), 0));
    let fresh = Operator::start(&market, store(), blobs.path()).await;
    let open = node.unclaimed().await;
    assert_eq!(open.iter().map(|one| one.cumulative).sum::<u64>(), fees);
    assert_eq!(fresh.unclaimed().await, open);
    assert_eq!(fresh.claims(&open).await, node.claims(&open).await);

    // Due again, whether or not anything was earned since.
    market.anvil.pass(ARCHIVE_SECONDS).await;
    node.indexer.sync().await.unwrap();
    assert!(node.archiver.step().await.unwrap());
    assert!(!node.archiver.step().await.unwrap(), "also before its event is indexed");
    node.indexer.sync().await.unwrap();
    assert!(!node.archiver.step().await.unwrap());
    expire(blobs.path(), &ledger(&node.registry, market.operator.address(), 1));
    let fresh = Operator::start(&market, store(), blobs.path()).await;
    assert_eq!(fresh.unclaimed().await, open);

    // Without any snapshot the history has a hole, which is said and not guessed over.
    for (_, _, archive) in node.registry.archives(0).unwrap() {
        expire(blobs.path(), &archive.blob);
    }
    let lost = Operator::start(&market, store(), blobs.path()).await;
    let answer = lost.earnings.all().await;
    assert!(matches!(&answer, Err(Error::Availability(_))), "{answer:?}");
}

#[tokio::test]
async fn a_false_snapshot_is_passed_over() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, store(), blobs.path()).await;
    settle(&market, &node, 0).await;
    settle(&market, &node, 1).await;
    expire(blobs.path(), &ledger(&node.registry, market.operator.address(), 0));

    // Another operator publishes a later version in which it has everything.
    let liar = signer(2);
    let client = market.client(&liar);
    let at = &market.contracts.deployment;
    client.send(at.staking, &IStaking::registerOperatorCall {}, coins(1)).await.unwrap();
    let earnings = BTreeMap::from([(EarnerIndex(20), u64::MAX)]);
    let blob = snapshot::encode(PAGE_SIZE, 0, &earnings).unwrap();
    let commitment = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap().commit_blob(blob.clone()).unwrap();
    let head = node.registry.head().timestamp;
    let certificate = market.layer(blobs.path()).put(commitment.clone(), blob, head).await.unwrap();
    let call = IEarningsArchive::archiveCall {
        page: 0,
        version: 2,
        blob: commitment,
        certificate: certificate.into(),
    };
    client.send(at.earnings_archive, &call, U256::ZERO).await.unwrap();

    let fresh = Operator::start(&market, store(), blobs.path()).await;
    assert_eq!(fresh.registry.archives(0).unwrap().len(), 2);
    assert_eq!(fresh.unclaimed().await, node.unclaimed().await);
}

//! A node that is killed between any two steps of its stages goes on as if nothing had happened.

use std::sync::Arc;

use alloy::primitives::U256;
use node::{
    Error,
    store::{MemoryStore, SharedStore, Store, Table, WriteBatch},
};

use crate::{
    market::{Market, Operator, WINDOW, serve_epoch},
    world::{Killed, dump},
};

/// Writes of one batch: sealed, committed, two certificates, published, proven, posted, final,
/// archived.
const WRITES: i64 = 9;
/// What must not depend on kills; other tables hold times and transactions.
const SAME: [Table; 5] =
    [Table::Batches, Table::Ledgers, Table::Witnesses, Table::Commitments, Table::Drawn];

fn copy(store: &SharedStore) -> SharedStore {
    let copy = MemoryStore::default();
    let mut batch = WriteBatch::default();
    for (table, entries) in dump(&**store, &Table::ALL) {
        for (key, value) in entries {
            batch.put(table, key, value);
        }
    }
    copy.write(batch).unwrap();
    Arc::new(copy)
}

/// All stages to the end, over a store that fails after some writes. True if it did.
async fn settle(market: &Market, store: &SharedStore, blobs: &std::path::Path, kill: i64) -> bool {
    // Not the indexer: it is synced when the node starts, and writes nothing while no block comes.
    let killed: SharedStore = Killed::after(Arc::clone(store), kill);
    let node = Operator::over(market, Arc::clone(store), killed, blobs).await;
    let mut ended = node.drain().await;
    if ended.is_ok() {
        market.anvil.pass(WINDOW).await;
        ended = node.drain().await;
    }
    assert!(matches!(&ended, Ok(()) | Err(Error::Store(_))), "{ended:?}");
    ended.is_err()
}

#[tokio::test]
async fn a_kill_between_any_two_stages_changes_nothing() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let served: SharedStore = Arc::new(MemoryStore::default());
    let node = Operator::start(&market, Arc::clone(&served), blobs.path()).await;
    let fees = serve_epoch(&market, &node, 0).await;
    let before = market.sent().await;
    drop(node);

    let mut reference = None;
    for kill in 0..=WRITES {
        let snapshot = market.anvil.request("evm_snapshot", serde_json::json!([])).await;
        let (store, blobs) = (copy(&served), tempfile::tempdir().unwrap());
        let killed = settle(&market, &store, blobs.path(), kill).await;
        assert_eq!(killed, kill < WRITES, "after {kill} writes");
        assert!(!settle(&market, &store, blobs.path(), i64::MAX).await);

        assert_eq!(market.sent().await - before, 3, "posted, final, archived: each once");
        let node = Operator::start(&market, Arc::clone(&store), blobs.path()).await;
        let open = node.unclaimed().await;
        assert_eq!(open.iter().map(|one| one.cumulative).sum::<u64>(), fees);
        assert_eq!(market.held().await, U256::from(fees) * U256::from(1_000_000_000_u64));
        let outcome = (dump(&*store, &SAME), open);
        assert_eq!(*reference.get_or_insert_with(|| outcome.clone()), outcome, "{kill}");
        market.anvil.request("evm_revert", serde_json::json!([snapshot])).await;
    }
}

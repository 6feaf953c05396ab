//! A store that fails: no call is charged that is not recorded, and nothing panics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use alloy::primitives::B256;
use serde_json::{Value, json};

use super::world::World;
use crate::{
    Error, Result,
    metrics::Outcome,
    recorder::Account,
    store::{Entry, SharedStore, Store, Table, WriteBatch},
    voucher::{SignedVoucher, digest},
};

/// What a caller is told when the store fails.
const FAILED: (u16, &str) = (503, "store_failed");
/// More reads than any test makes.
const NEVER: i64 = i64::MAX;

/// A store whose disk is full or gone when a test says so.
#[derive(Debug)]
struct Faulty {
    inner: SharedStore,
    writes_fail: AtomicBool,
    reads_fail: AtomicBool,
    /// Reads until one fails.
    reads_left: AtomicI64,
}

impl Faulty {
    fn read(&self) -> Result<()> {
        let is_due = self.reads_left.fetch_sub(1, Ordering::SeqCst) == 0;
        if is_due || self.reads_fail.load(Ordering::SeqCst) {
            return Err(Error::Store("input/output error".into()));
        }
        Ok(())
    }
}

impl Store for Faulty {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read()?;
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>> {
        self.read()?;
        self.inner.scan(table, prefix, from, limit)
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>> {
        self.read()?;
        self.inner.last(table, prefix)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        if self.writes_fail.load(Ordering::SeqCst) {
            return Err(Error::Store("no space left on device".into()));
        }
        self.inner.write(batch)
    }
}

async fn world() -> (World, Arc<Faulty>) {
    let mut store = None;
    let world = World::over(|inner| {
        let faulty = Arc::new(Faulty {
            inner,
            writes_fail: AtomicBool::new(false),
            reads_fail: AtomicBool::new(false),
            reads_left: AtomicI64::new(NEVER),
        });
        store = Some(Arc::clone(&faulty));
        faulty
    })
    .await;
    (world, store.unwrap())
}

/// Everything that a call could have left behind.
fn calls(store: &Faulty) -> usize {
    let tables = [Table::Calls, Table::Answers, Table::Channels];
    tables.map(|table| store.inner.scan(table, &[], &[], usize::MAX).unwrap().len()).iter().sum()
}

/// The same voucher, which failed before, is served, charged, and repeated without another charge.
async fn succeeds_now(world: &World, body: &[u8], voucher: &SignedVoucher) {
    let response = world.chat(body, Some(voucher)).await;
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    let fee = answer["openledger"]["receipt"]["fee"].as_str().unwrap().parse().unwrap();
    let account = Account { charged: fee, reserved: 0 };
    assert_eq!(world.account().await, account);
    let again: Value = world.chat(body, Some(voucher)).await.json().await.unwrap();
    assert_eq!(again["openledger"]["receipt"], answer["openledger"]["receipt"]);
    assert_eq!(world.account().await, account);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_record_cannot_be_written_is_not_charged_and_may_be_repeated() {
    let (world, store) = world().await;
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    store.writes_fail.store(true, Ordering::SeqCst);

    let response = world.chat(&body, Some(&voucher)).await;
    assert_eq!(response.status(), 503);
    let error: Value = response.json().await.unwrap();
    assert_eq!(
        error,
        json!({"error": {
            "message": "the node's store failed; nothing was changed",
            "type": "server_error",
            "param": null,
            "code": "store_failed",
        }})
    );
    // Whoever waits for the same call takes its turn, and fails like it.
    let both =
        tokio::join!(world.refusal(&body, Some(&voucher)), world.refusal(&body, Some(&voucher)));
    assert_eq!([both.0, both.1], [FAILED, FAILED].map(|(status, code)| (status, code.into())));
    assert_eq!(world.account().await, Account::default());
    assert_eq!(calls(&store), 0);
    let served = digest(&voucher.voucher, &super::world::contracts().voucher_domain());
    assert_eq!(world.get(&format!("/v1/records/{served}")).await.0, 404);
    assert_eq!(world.api.serving.parts().metrics.count(Outcome::Failed), 3);

    store.writes_fail.store(false, Ordering::SeqCst);
    succeeds_now(&world, &body, &voucher).await;
    assert_eq!(calls(&store), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_record_cannot_be_written_ends_with_the_error() {
    let (world, store) = world().await;
    let body = world.body(json!({"stream": true}));
    let voucher = world.voucher(&body, 1000, |_| {});
    store.writes_fail.store(true, Ordering::SeqCst);
    let text = world.chat(&body, Some(&voucher)).await.text().await.unwrap();
    let events: Vec<&str> =
        text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let [.., error, "[DONE]"] = events.as_slice() else { panic!("{text}") };
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["code"], FAILED.1);
    assert!(!text.contains("receipt"), "{text}");
    assert_eq!(world.account().await, Account::default());
    assert_eq!(calls(&store), 0);

    store.writes_fail.store(false, Ordering::SeqCst);
    let text = world.chat(&body, Some(&voucher)).await.text().await.unwrap();
    assert!(text.contains("receipt") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(world.account().await.charged > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_read_of_a_call_fails_it_is_not_charged() {
    let (world, store) = world().await;
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let mut failed = 0;
    loop {
        store.reads_left.store(failed, Ordering::SeqCst);
        let response = world.chat(&body, Some(&voucher)).await;
        store.reads_left.store(NEVER, Ordering::SeqCst);
        if response.status() == 200 {
            break;
        }
        assert_eq!(response.status(), FAILED.0, "read {failed}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["code"], FAILED.1, "read {failed}");
        assert_eq!(world.account().await, Account::default(), "read {failed}");
        assert_eq!(calls(&store), 0);
        failed += 1;
    }
    // The model for the request; channel, answer and terms for the admission; terms and payees for
    // the record.
    assert!((8..40).contains(&failed), "{failed} reads");
    succeeds_now(&world, &body, &voucher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_error_until_it_can() {
    let (world, store) = world().await;
    let nothing = B256::repeat_byte(1);
    let paths = [
        ("/v1/models".to_owned(), 200),
        ("/v1/batches".into(), 200),
        (format!("/v1/rows/{nothing}"), 404),
        (format!("/v1/records/{nothing}"), 404),
        ("/v1/earnings".into(), 200),
        ("/v1/earnings/6".into(), 200),
        ("/metrics".into(), 200),
    ];
    store.reads_fail.store(true, Ordering::SeqCst);
    for (path, _) in &paths {
        let (status, text) = world.get(path).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, error["error"]["code"].as_str()), (FAILED.0, Some(FAILED.1)), "{path}");
        assert!(!text.contains("input/output"), "the cause is the operator's: {text}");
    }
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    for voucher in [None, Some(&voucher)] {
        assert_eq!(world.refusal(&body, voucher).await, (FAILED.0, FAILED.1.into()));
    }
    store.reads_fail.store(false, Ordering::SeqCst);
    for (path, status) in &paths {
        assert_eq!(world.get(path).await.0, *status, "{path}");
    }
    succeeds_now(&world, &body, &voucher).await;
}

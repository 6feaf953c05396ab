//! The same calls give the same batches, whatever happens on the way.

use std::sync::Arc;

use alloy::primitives::B256;
use attribution::settle::{Carries, EarnerIndex, Info, SlotLayout, Witness, keccak};
use node::{
    Error,
    batcher::{Batcher, SealedBatch, batches_after, ledger_blob, witness_blobs},
    committer::{CommittedBatch, Committer, Kzg},
    da::{Attestor, LocalAvailability, Publisher, SharedAvailability},
    recorder::{Admission, RecorderHandle},
    registry::Registry,
    store::{SharedStore, Table, decode},
    voucher::SignedVoucher,
};
use prover::Srs;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::world::{
    CHANNELS, EPOCH_SECONDS, Killed, MAX_FEE, MAX_SKEW, START, call, contracts, dump, key, memory,
    rocks, seed, serve, set_time, sign, standing, start, weights,
};

/// Epochs with calls: the second follows the first, the third leaves a gap.
const EPOCHS: [u64; 3] = [0, 1, 4];
const CALLS: u64 = 6;
/// What must not depend on the way.
const OUTCOME: [Table; 6] = [
    Table::Calls,
    Table::Batches,
    Table::Drawn,
    Table::Commitments,
    Table::Ledgers,
    Table::Witnesses,
];

/// The calls of an epoch. Ceilings are all far above what is charged, so any order is admitted.
fn calls(epoch: u64) -> Vec<SignedVoucher> {
    let time = START + epoch * EPOCH_SECONDS;
    let call_of = |channel: u64, i: u64| {
        let ceiling = 10_000_000 + epoch * 100_000 + (i * 7919) % 97;
        let call =
            call(u8::try_from(i % 2).unwrap(), channel * 1_000 + i, time + i % EPOCH_SECONDS);
        sign(channel, ceiling, call)
    };
    (0..CHANNELS).flat_map(|channel| (0..CALLS).map(move |i| call_of(channel, i))).collect()
}

fn kzg() -> Kzg {
    static SRS: std::sync::OnceLock<Arc<Srs>> = std::sync::OnceLock::new();
    let srs = SRS.get_or_init(|| Arc::new(Srs::dev(31_337, b"test", 1 << 13).unwrap()));
    Kzg::new(Arc::clone(srs), contracts().page_size).unwrap()
}

/// The stages over one store.
struct Pipeline {
    registry: Registry,
    recorder: RecorderHandle,
    batcher: Batcher,
    committer: Committer,
    publisher: Publisher,
}

impl Pipeline {
    fn start(store: &SharedStore, blobs: &std::path::Path, time: u64) -> Self {
        let (registry, recorder) = start(store);
        set_time(&registry, time);
        let attestor = Attestor::new(key(9), contracts().certificate_domain());
        let layer: SharedAvailability = Arc::new(LocalAvailability::open(blobs, attestor).unwrap());
        Self {
            batcher: Batcher::new(
                Arc::clone(store),
                registry.clone(),
                recorder.clone(),
                standing(store, &registry),
                MAX_SKEW,
                weights(),
            ),
            committer: Committer::new(Arc::clone(store), kzg()),
            publisher: Publisher::new(Arc::clone(store), registry.clone(), layer),
            registry,
            recorder,
        }
    }

    async fn serve(&self, voucher: &SignedVoucher) -> Result<(), Error> {
        match self.recorder.admit(voucher.clone(), MAX_FEE).await? {
            Admission::New(reservation) => {
                self.recorder.record(reservation, serve(voucher)).await.map(|_| ())
            }
            Admission::Recorded(_) => Ok(()),
            Admission::InFlight(_) => panic!("calls are served one by one"),
        }
    }

    async fn drain(&self) -> Result<(), Error> {
        while self.batcher.step().await?
            || self.committer.step().await?
            || self.publisher.step().await?
        {}
        Ok(())
    }

    /// One epoch's calls and all that follows from them.
    async fn epoch(&self, epoch: u64, calls: &[SignedVoucher]) -> Result<(), Error> {
        set_time(&self.registry, START + epoch * EPOCH_SECONDS);
        for voucher in calls {
            self.serve(voucher).await?;
        }
        set_time(&self.registry, sealed_at(epoch));
        self.drain().await
    }
}

const fn sealed_at(epoch: u64) -> u64 {
    START + (epoch + 1) * EPOCH_SECONDS + MAX_SKEW
}

type Outcome = Vec<(Table, Vec<(Vec<u8>, Vec<u8>)>)>;

/// All epochs in one go, calls in the order in which they are listed.
async fn reference() -> Outcome {
    let (store, blobs) = (memory(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::start(&store, blobs.path(), START);
    for epoch in EPOCHS {
        pipeline.epoch(epoch, &calls(epoch)).await.unwrap();
    }
    dump(&*store, &OUTCOME)
}

fn sealed(outcome: &Outcome) -> Vec<SealedBatch> {
    let (table, rows) = &outcome[1];
    rows.iter().map(|(_, row)| decode(*table, row).unwrap()).collect()
}

#[tokio::test]
async fn the_witness_of_every_record_is_in_its_slot() {
    let (store, blobs) = (memory(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::start(&store, blobs.path(), START);
    pipeline.epoch(0, &calls(0)).await.unwrap();
    let batch = batches_after(&*store, None).unwrap().unwrap();
    let rows = prover::rows_from_blob(&ledger_blob(&*store, batch.epoch).unwrap()).unwrap();
    let witnesses = witness_blobs(&*store, batch.epoch).unwrap();
    let layout =
        SlotLayout::new(batch.witness_symbols as usize, batch.slot_cells as usize).unwrap();

    let mut records = 0;
    for row in rows {
        let Info::Record { ordinal, record, time, .. } = row.info else { continue };
        let bytes = layout.witness(&witnesses, ordinal.into(), |_| 32).unwrap();
        assert_eq!(keccak(&[&bytes])[..31], record);
        let witness = Witness::decode(&bytes).unwrap();
        let paid = calls(0).into_iter().find(|call| call.signature == witness.signature).unwrap();
        assert_eq!((witness.time, witness.ceiling), (time, paid.voucher.ceiling));
        assert_eq!(witness.seed, paid.voucher.call.seed);
        assert!(witness.sketch.iter().any(|&x| x != 0));
        records += 1;
    }
    assert_eq!(records, batch.calls);
}

#[tokio::test]
async fn batches_conserve_money_and_carry_negative_nets() {
    let outcome = reference().await;
    let batches = sealed(&outcome);
    assert_eq!(batches.len(), EPOCHS.len());
    let mut drawn = std::collections::BTreeMap::<B256, u64>::new();
    let (mut previous, mut carries) = (B256::ZERO, Carries::new());
    for (batch, (_, blob)) in batches.iter().zip(&outcome[4].1) {
        let fees: u64 = batch.payouts.iter().map(|&(_, gwei)| gwei).sum();
        assert_eq!(fees, batch.total);
        assert_eq!(batch.draws.iter().map(|draw| draw.to - draw.from).sum::<u64>(), batch.total);
        assert_eq!(blob.len(), 256 * batch.rows as usize);
        assert_eq!(u64::from(batch.calls), CHANNELS * CALLS);
        assert!(batch.payouts.iter().all(|&(earner, _)| earner != EarnerIndex::NOBODY));
        for draw in &batch.draws {
            let before = drawn.insert(draw.voucher.channelId, draw.to).unwrap_or_default();
            assert_eq!(draw.from, before, "intervals meet");
            assert!(draw.to <= draw.voucher.ceiling);
        }
        assert_eq!(std::mem::replace(&mut previous, batch.id), batch.previous);
        let rows = prover::rows_from_blob(blob).unwrap();
        let taken = rows.iter().filter(|row| matches!(row.info, Info::Carry));
        assert_eq!(taken.map(|row| row.value).sum::<i64>(), carries.values().sum::<i64>());
        carries = prover::ledger_from_blob(blob).unwrap().carries;
        assert!(!carries.is_empty(), "some contributor's net is negative in these calls");
    }
}

#[tokio::test]
async fn commitments_are_to_the_ledger_and_its_payouts() {
    let outcome = reference().await;
    let rows = outcome[3].1.iter().zip(&outcome[4].1);
    for (batch, ((_, row), (_, blob))) in sealed(&outcome).iter().zip(rows) {
        let committed: CommittedBatch = decode(Table::Commitments, row).unwrap();
        assert_eq!(committed.ledger, kzg().commit_ledger(blob.clone()).unwrap());
        assert_eq!(committed.pages, [0]);
        let read = prover::ledger_from_blob(blob).unwrap();
        assert_eq!(read.payouts.into_iter().collect::<Vec<_>>(), batch.payouts);
        assert_eq!(read.header.batch_id(), batch.id.0);
    }
}

#[tokio::test]
async fn the_order_of_calls_does_not_matter() {
    let expected = reference().await;
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (store, blobs) = (memory(), tempfile::tempdir().unwrap());
        let pipeline = Pipeline::start(&store, blobs.path(), START);
        for epoch in EPOCHS {
            let mut calls = calls(epoch);
            calls.shuffle(&mut rng);
            pipeline.epoch(epoch, &calls).await.unwrap();
        }
        assert_eq!(dump(&*store, &OUTCOME), expected, "seed {seed}");
    }
}

#[tokio::test]
async fn calls_side_by_side_give_the_same() {
    let expected = reference().await;
    let (store, blobs) = (memory(), tempfile::tempdir().unwrap());
    let pipeline = Arc::new(Pipeline::start(&store, blobs.path(), START));
    for epoch in EPOCHS {
        set_time(&pipeline.registry, START + epoch * EPOCH_SECONDS);
        let serve = |voucher: SignedVoucher| {
            let pipeline = Arc::clone(&pipeline);
            async move { pipeline.serve(&voucher).await }
        };
        futures::future::try_join_all(calls(epoch).into_iter().map(serve)).await.unwrap();
        set_time(&pipeline.registry, sealed_at(epoch));
        pipeline.drain().await.unwrap();
    }
    assert_eq!(dump(&*store, &OUTCOME), expected);
}

/// Stops at every write in turn, starts again from what is on disk, and lets the payer retry.
#[tokio::test]
async fn a_kill_before_any_write_changes_nothing() {
    let expected = reference().await;
    let mut kills = 0;
    for writes in 0.. {
        let (inner, blobs) = (memory(), tempfile::tempdir().unwrap());
        let killed: SharedStore = Killed::after(Arc::clone(&inner), writes);
        if run(&killed, blobs.path()).await.is_ok() {
            break;
        }
        kills += 1;
        run(&inner, blobs.path()).await.unwrap();
        assert_eq!(dump(&*inner, &OUTCOME), expected, "killed before write {writes}");
    }
    // A write a call, and for each batch its ledger, its commitments, the certificates of its two
    // blobs, and both together.
    assert_eq!(kills, EPOCHS.len() * (CHANNELS * CALLS) as usize + EPOCHS.len() * 5);
}

/// All epochs; those that are sealed are passed over, as payers have their answers.
async fn run(store: &SharedStore, blobs: &std::path::Path) -> Result<(), Error> {
    let pipeline = Pipeline::start(store, blobs, START);
    for epoch in EPOCHS {
        let sealed = node::batcher::sealed_through(&**store)?;
        if sealed.is_some_and(|sealed| sealed >= START / EPOCH_SECONDS + epoch) {
            set_time(&pipeline.registry, sealed_at(epoch));
            pipeline.drain().await?;
            continue;
        }
        pipeline.epoch(epoch, &calls(epoch)).await?;
    }
    Ok(())
}

/// Drops every part and opens the store on disk again, at random moments between writes.
#[tokio::test]
async fn restarts_from_disk_give_the_same() {
    let expected = reference().await;
    for seed_number in 0..3 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed_number);
        let folder = tempfile::tempdir().unwrap();
        let (path, blobs) = (folder.path().join("store"), folder.path().join("blobs"));
        let mut store = rocks(&path);
        seed(&*store);
        loop {
            let killed: SharedStore = Killed::after(Arc::clone(&store), rng.random_range(1..25));
            let done = run(&killed, &blobs).await.is_ok();
            drop(killed);
            if done {
                break;
            }
            drop(store);
            store = rocks(&path);
        }
        assert_eq!(dump(&*store, &OUTCOME), expected, "seed {seed_number}");
    }
}

#[tokio::test]
async fn an_epoch_is_not_sealed_before_its_time() {
    let (store, blobs) = (memory(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::start(&store, blobs.path(), START);
    pipeline.serve(&calls(0)[0]).await.unwrap();
    set_time(&pipeline.registry, sealed_at(0) - 1);
    assert!(!pipeline.batcher.step().await.unwrap());
    set_time(&pipeline.registry, sealed_at(0));
    assert!(pipeline.batcher.step().await.unwrap());
    assert!(!pipeline.batcher.step().await.unwrap());
    assert!(store.get(Table::Batches, &(START / EPOCH_SECONDS).to_be_bytes()).unwrap().is_some());
}

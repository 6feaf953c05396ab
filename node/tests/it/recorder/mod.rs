//! Admission, recording, idempotency.

mod refusals;
mod sequences;

use std::sync::Arc;

use attribution::settle::{Citation, EarnerIndex, Ground, Mix, SpanUse, Use, UseKind, Uses};
use node::{
    Error,
    recorder::{
        Admission, Recorded, RecorderConfig, RecorderHandle, Refusal, Reservation, ServedCall,
    },
    registry::Registry,
    store::{SharedStore, Table, WriteBatch},
    voucher::{self, SignedVoucher},
};

use crate::world::{
    DEPOSIT_GWEI, EPOCH_SECONDS, Killed, MAX_FEE, START, call, channel, contracts, dump, memory,
    model, operator, serve, set_time, sign, start,
};

const MONEY: [Table; 3] = [Table::Calls, Table::Answers, Table::Channels];

fn new(admission: Admission) -> Reservation {
    match admission {
        Admission::New(reservation) => reservation,
        other => panic!("expected a reservation, got {other:?}"),
    }
}

async fn record(recorder: &RecorderHandle, voucher: &SignedVoucher) -> Recorded {
    let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
    recorder.record(reservation, serve(voucher)).await.unwrap()
}

async fn refusal(recorder: &RecorderHandle, voucher: SignedVoucher) -> Refusal {
    match recorder.admit(voucher, MAX_FEE).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_recorded_call_is_charged_once_and_answered_again() {
    let store = memory();
    let (_, recorder) = start(&store);
    let voucher = sign(0, 50_000, call(0, 1, START));
    let first = record(&recorder, &voucher).await;
    assert_eq!(first.receipt.charged, first.call.record.fee());
    assert_eq!(first.answer, serve(&voucher).answer);

    let Admission::Recorded(again) = recorder.admit(voucher.clone(), MAX_FEE).await.unwrap() else {
        panic!("not recorded")
    };
    assert_eq!(*again, first);
    let account = recorder.charged(channel(0)).await.unwrap();
    assert_eq!((account.charged, account.reserved), (first.call.record.fee(), 0));
}

#[tokio::test]
async fn the_fee_is_that_of_the_formula_and_the_receipt_is_signed() {
    let (_, recorder) = start(&memory());
    let voucher = sign(0, 50_000, call(0, 1, START));
    let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
    let served = ServedCall { tokens_in: 100, tokens_out: 7, ..serve(&voucher) };
    let recorded = recorder.record(reservation, served).await.unwrap();
    // ceil(100 * 7001 / 1000) + ceil(7 * 33333 / 1000) + 17
    assert_eq!(recorded.receipt.fee, 701 + 234 + 17);
    let digest = voucher::digest(&recorded.receipt, &contracts().voucher_domain());
    let signature = alloy::primitives::Signature::from_raw(&recorded.signature).unwrap();
    let signer = signature.recover_address_from_prehash(&digest).unwrap();
    assert_eq!(signer, operator().address());
    // 50% of 952 is 476: the credits are its parts, largest scores first, at most 4 of them.
    let credits = recorded.call.record.credits();
    assert_eq!(recorded.call.record.pool(), 476);
    assert_eq!(credits.len(), 4);
    assert!(credits.iter().map(|credit| credit.credit.unsigned_abs()).sum::<u64>() <= 476);
}

/// Sets a model's mix for calls signed at `from` and later.
fn set_mix(store: &SharedStore, mix: Mix, from: u64) {
    let mut batch = WriteBatch::default();
    let key = [model(0).as_slice(), &from.to_be_bytes()].concat();
    batch.put_row(Table::ModelMixes, key, &mix);
    store.write(batch).unwrap();
}

/// A span that two clusters hold, and a row that is cited twice.
fn uses() -> Uses {
    let span = SpanUse { start: 2, length: 6, low: 40, count: 3, holders: 2, ..Default::default() };
    let score = span.score(1 << 20);
    let held = |holder, occurrence, earner| Use {
        earner: EarnerIndex(earner),
        score,
        ground: Ground::Span(SpanUse { holder, occurrence, ..span }),
    };
    let citation = Citation { datanet: 0, row: 7, relevance: 900, uses: 2 };
    let cited = Use { earner: EarnerIndex(6), score: 1_800, ground: Ground::Citation(citation) };
    Uses { spans: vec![held(0, 0, 5), held(1, 2, 9)], citations: vec![cited], ..Uses::default() }
}

#[tokio::test]
async fn a_record_goes_by_the_mix_of_when_its_payer_signed() {
    let store = memory();
    set_mix(&store, Mix::new(3_000, 2_000).unwrap(), START + 1);
    let (registry, recorder) = start(&store);
    set_time(&registry, START + 5);
    let serve = async |seed, time, uses: Uses| {
        let voucher = sign(0, 90_000, call(0, seed, time));
        let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
        let served = ServedCall { tokens_in: 100, tokens_out: 7, uses, ..serve(&voucher) };
        let recorded = recorder.record(reservation, served).await.unwrap();
        let Admission::Recorded(again) = recorder.admit(voucher, MAX_FEE).await.unwrap() else {
            panic!("not recorded")
        };
        assert_eq!(*again, recorded);
        recorded.call.record
    };
    // 50% of 952 is 476, of which 30% and 20% are 142 and 95.
    let before = serve(1, START, uses()).await;
    assert_eq!((before.pool(), before.sections().len()), (476, 0));
    let without = serve(2, START + 1, Uses::default()).await;
    assert_eq!(without.pool(), 239);
    let pools: Vec<_> =
        without.sections().iter().map(|s| (s.kind, s.pool, s.credits.len())).collect();
    assert_eq!(pools, [(UseKind::Span, 142, 0), (UseKind::Citation, 95, 0)]);
    let with = serve(3, START + 2, uses()).await;
    let credits: Vec<Vec<u64>> =
        with.sections().iter().map(|s| s.credits.iter().map(|c| c.credit).collect()).collect();
    assert_eq!(credits, [vec![71, 71], vec![95]]);
}

#[tokio::test]
async fn calls_with_sections_take_more_of_an_epoch() {
    let store = memory();
    set_mix(&store, Mix::new(5_000, 0).unwrap(), START);
    let open = || {
        let registry = Registry::new(Arc::clone(&store), contracts()).unwrap();
        let config = RecorderConfig { max_epoch_calls: 4, ..Default::default() };
        set_time(&registry, START);
        RecorderHandle::start(Arc::clone(&store), registry, operator(), config).unwrap()
    };
    let recorder = open();
    let voucher = |seed, model| sign(0, DEPOSIT_GWEI, call(model, seed, START));
    record(&recorder, &voucher(1, 0)).await;
    record(&recorder, &voucher(2, 1)).await;
    for recorder in [recorder, open()] {
        let full = refusal(&recorder, voucher(3, 0)).await;
        assert!(matches!(full, Refusal::EpochFull { max: 4, .. }), "{full:?}");
        new(recorder.admit(voucher(4, 1), MAX_FEE).await.unwrap());
    }
}

#[tokio::test]
async fn nothing_holds_the_store_once_the_last_handle_is_gone() {
    for _ in 0..50 {
        let store = memory();
        let held = Arc::downgrade(&store);
        let (registry, recorder) = start(&store);
        let other = recorder.clone();
        record(&recorder, &sign(0, 50_000, call(0, 1, START))).await;
        drop((store, registry, recorder));
        assert!(held.upgrade().is_some());
        drop(other);
        assert!(held.upgrade().is_none());
    }
}

#[tokio::test]
async fn a_second_caller_waits_for_the_first() {
    let (_, recorder) = start(&memory());
    let voucher = sign(0, 50_000, call(0, 1, START));
    let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
    let Admission::InFlight(waiting) = recorder.admit(voucher.clone(), MAX_FEE).await.unwrap()
    else {
        panic!("not in flight")
    };
    let waiting = tokio::spawn(waiting.wait());
    let recorded = recorder.record(reservation, serve(&voucher)).await.unwrap();
    assert_eq!(*waiting.await.unwrap().unwrap(), recorded);
}

#[tokio::test]
async fn a_dropped_reservation_is_released_and_tells_who_waits() {
    let (_, recorder) = start(&memory());
    let voucher = sign(0, MAX_FEE, call(0, 1, START));
    for _ in 0..3 {
        let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
        assert_eq!(recorder.charged(channel(0)).await.unwrap().reserved, MAX_FEE);
        let Admission::InFlight(waiting) = recorder.admit(voucher.clone(), MAX_FEE).await.unwrap()
        else {
            panic!("not in flight")
        };
        drop(reservation);
        assert_eq!(waiting.wait().await, None);
    }
    assert_eq!(recorder.charged(channel(0)).await.unwrap(), Default::default());
}

#[tokio::test]
async fn sealing_waits_for_calls_in_flight_and_refuses_later_ones() {
    let (registry, recorder) = start(&memory());
    let epoch = START / EPOCH_SECONDS;
    let voucher = sign(0, 50_000, call(0, 1, START));
    let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
    assert!(!recorder.seal(epoch).await.unwrap());
    let late = sign(1, 50_000, call(0, 2, START));
    assert_eq!(refusal(&recorder, late).await, Refusal::EpochSealed { epoch });
    recorder.record(reservation, serve(&voucher)).await.unwrap();
    assert!(recorder.seal(epoch).await.unwrap());
    set_time(&registry, START + EPOCH_SECONDS);
    record(&recorder, &sign(1, 50_000, call(0, 3, START + EPOCH_SECONDS))).await;
}

#[tokio::test]
async fn a_fee_above_what_was_reserved_is_not_charged() {
    let store = memory();
    let (_, recorder) = start(&store);
    let voucher = sign(0, 50_000, call(0, 1, START));
    let reservation = new(recorder.admit(voucher.clone(), 100).await.unwrap());
    let served = ServedCall { tokens_in: 1_000, ..serve(&voucher) };
    assert!(matches!(recorder.record(reservation, served).await, Err(Error::Money(_))));
    assert_eq!(recorder.charged(channel(0)).await.unwrap(), Default::default());
    assert!(dump(&*store, &MONEY).iter().all(|(_, entries)| entries.is_empty()));
}

#[tokio::test]
async fn a_call_that_cannot_be_written_is_not_charged() {
    let inner = memory();
    let killed: SharedStore = Killed::after(Arc::clone(&inner), 0);
    let (_, recorder) = start(&killed);
    let voucher = sign(0, 50_000, call(0, 1, START));
    let reservation = new(recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
    let result = recorder.record(reservation, serve(&voucher)).await;
    assert!(matches!(result, Err(Error::Store(_))));
    assert_eq!(recorder.charged(channel(0)).await.unwrap(), Default::default());
    // The same voucher serves once the store does.
    let (_, recorder) = start(&inner);
    record(&recorder, &voucher).await;
}

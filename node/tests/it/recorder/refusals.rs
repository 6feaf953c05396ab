//! Vouchers that break a rule.

use std::sync::Arc;

use alloy::primitives::{B256, U256};
use node::{
    Error,
    recorder::{RecorderConfig, RecorderHandle, Refusal},
    registry::Registry,
    store::{Table, WriteBatch},
    voucher::{self, SignedVoucher, Voucher},
};

use super::{MONEY, new, record, refusal};
use crate::world::{
    DEPOSIT_GWEI, EPOCH_SECONDS, MAX_FEE, MAX_SKEW, START, call, channel, channel_view, contracts,
    dump, key, memory, operator, serve, sign, sign_with, start,
};

/// A rule, a voucher that breaks it, and how the refusal looks.
type Case = (&'static str, SignedVoucher, fn(&Refusal) -> bool);

fn cases() -> Vec<Case> {
    let good = call(0, 9, START);
    let unsigned = SignedVoucher { signature: vec![1; 65], ..sign(0, 90_000, good.clone()) };
    let voucher = |ceiling| Voucher { channelId: channel(0), ceiling, call: good.clone() };
    let nowhere = Voucher { channelId: B256::repeat_byte(9), ..voucher(90_000) };
    let elsewhere = Voucher { channelId: channel(77), ..voucher(90_000) };
    let with = |change: fn(&mut voucher::Call)| {
        let mut call = good.clone();
        change(&mut call);
        sign(0, 90_000, call)
    };
    vec![
        ("signature", SignedVoucher { signature: vec![0; 3], ..unsigned }, |r| {
            matches!(r, Refusal::Signature { .. })
        }),
        ("channel", sign_with(&key(0), nowhere), |r| matches!(r, Refusal::UnknownChannel { .. })),
        ("operator", sign_with(&key(0), elsewhere), |r| matches!(r, Refusal::OtherOperator { .. })),
        ("payer", sign_with(&key(1), voucher(90_000)), |r| matches!(r, Refusal::OtherPayer { .. })),
        ("model", with(|call| call.modelId = B256::ZERO), |r| {
            matches!(r, Refusal::UnknownModel { .. })
        }),
        ("price", with(|call| call.priceVersion = 2), |r| {
            matches!(r, Refusal::PriceVersion { given: 2, current: 1 })
        }),
        ("late", with(|call| call.time = START - MAX_SKEW - 1), |r| {
            matches!(r, Refusal::Time { .. })
        }),
        ("early", with(|call| call.time = START + MAX_SKEW + 1), |r| {
            matches!(r, Refusal::Time { .. })
        }),
        ("epoch", with(|call| call.time = START - EPOCH_SECONDS), |r| {
            matches!(r, Refusal::EarlierEpoch { .. })
        }),
        (
            "ceiling",
            sign(0, 2 * MAX_FEE - 1, good.clone()),
            |r| matches!(r, Refusal::CeilingTooLow { given, .. } if *given == 2 * MAX_FEE - 1),
        ),
        ("deposit", sign(0, DEPOSIT_GWEI + 1, good), |r| matches!(r, Refusal::AboveDeposit { .. })),
    ]
}

#[tokio::test]
async fn a_refusal_changes_nothing() {
    let store = memory();
    let mut batch = WriteBatch::default();
    let foreign = node::registry::ChannelView { operator: key(5).address(), ..channel_view(0) };
    batch.put_row(Table::ChainChannels, channel(77).as_slice(), &foreign);
    store.write(batch).unwrap();
    let (_, recorder) = start(&store);
    // One call recorded and one in flight, so that both totals could change.
    record(&recorder, &sign(0, MAX_FEE, call(0, 1, START))).await;
    let in_flight = sign(0, 2 * MAX_FEE, call(0, 2, START));
    let reservation = new(recorder.admit(in_flight.clone(), MAX_FEE).await.unwrap());
    let account = recorder.charged(channel(0)).await.unwrap();
    let tables = dump(&*store, &MONEY);

    for (rule, voucher, expected) in cases() {
        let refusal = refusal(&recorder, voucher).await;
        assert!(expected(&refusal), "{rule}: {refusal:?}");
        assert_eq!(recorder.charged(channel(0)).await.unwrap(), account, "{rule}");
        assert_eq!(dump(&*store, &MONEY), tables, "{rule}");
    }
    // What was in flight still counts.
    recorder.record(reservation, serve(&in_flight)).await.unwrap();
}

#[tokio::test]
async fn a_pending_withdrawal_lowers_what_may_be_promised() {
    let store = memory();
    let mut batch = WriteBatch::default();
    let withdrawal = U256::from(DEPOSIT_GWEI - MAX_FEE) * U256::from(1_000_000_000_u64);
    let view = node::registry::ChannelView { withdrawal, ..channel_view(0) };
    batch.put_row(Table::ChainChannels, channel(0).as_slice(), &view);
    store.write(batch).unwrap();
    let (_, recorder) = start(&store);
    let above = sign(0, MAX_FEE + 1, call(0, 1, START));
    assert!(matches!(refusal(&recorder, above).await, Refusal::AboveDeposit { .. }));
    new(recorder.admit(sign(0, MAX_FEE, call(0, 1, START)), MAX_FEE).await.unwrap());
}

#[tokio::test]
async fn ceilings_near_the_end_of_the_range_do_not_wrap() {
    let (_, recorder) = start(&memory());
    let voucher = sign(0, u64::MAX, call(0, 1, START));
    for max_fee in [u64::MAX, u64::MAX - 1] {
        assert!(matches!(
            recorder.admit(voucher.clone(), max_fee).await,
            Err(Error::Refused(Refusal::AboveDeposit { .. }))
        ));
    }
    let one = new(recorder.admit(sign(0, MAX_FEE, call(0, 2, START)), MAX_FEE).await.unwrap());
    assert!(matches!(
        recorder.admit(voucher, u64::MAX).await,
        Err(Error::Refused(Refusal::CeilingTooLow { .. }))
    ));
    drop(one);
}

#[tokio::test]
async fn bounds_hold() {
    let store = memory();
    let registry = Registry::new(Arc::clone(&store), contracts()).unwrap();
    let config = RecorderConfig { max_in_flight: 2, max_epoch_calls: 3, ..Default::default() };
    let recorder = RecorderHandle::start(store, registry.clone(), operator(), config).unwrap();
    let voucher = |channel: u64, seed| sign(channel, DEPOSIT_GWEI, call(0, seed, START));
    let one = new(recorder.admit(voucher(0, 1), MAX_FEE).await.unwrap());
    let two = new(recorder.admit(voucher(0, 2), MAX_FEE).await.unwrap());
    assert!(matches!(refusal(&recorder, voucher(0, 3)).await, Refusal::TooManyInFlight { .. }));
    recorder.record(one, serve(&voucher(0, 1))).await.unwrap();
    let three = new(recorder.admit(voucher(1, 4), MAX_FEE).await.unwrap());
    assert!(matches!(refusal(&recorder, voucher(2, 5)).await, Refusal::EpochFull { max: 3, .. }));
    drop((two, three));
    new(recorder.admit(voucher(2, 5), MAX_FEE).await.unwrap());
}

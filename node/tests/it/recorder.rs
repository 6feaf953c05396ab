//! Admission, recording, idempotency.

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::{B256, U256};
use attribution::settle::{Citation, EarnerIndex, Ground, Mix, SpanUse, Use, UseKind, Uses};
use node::{
    Error,
    recorder::{
        Admission, Recorded, RecorderConfig, RecorderHandle, Refusal, Reservation, ServedCall,
    },
    registry::Registry,
    store::{SharedStore, Table, WriteBatch},
    voucher::{self, SignedVoucher, Voucher},
};
use proptest::prelude::*;

use crate::world::{
    CHANNELS, DEPOSIT_GWEI, EPOCH_SECONDS, Killed, MAX_FEE, MAX_SKEW, START, call, channel,
    channel_view, contracts, dump, key, memory, model, operator, rocks, seed, serve, set_time,
    sign, sign_with, start,
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

/// What a payer and the node's surroundings may do.
#[derive(Debug, Clone)]
enum Step {
    Admit { channel: u64, slack: u64, model: u8 },
    Record(prop::sample::Index),
    Drop(prop::sample::Index),
    Replay(prop::sample::Index),
    Restart,
    NextEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>();
    prop_oneof![
        5 => (0..CHANNELS, prop_oneof![Just(0), 0_u64..50_000], 0_u8..2)
            .prop_map(|(channel, slack, model)| Step::Admit { channel, slack, model }),
        4 => index.prop_map(Step::Record),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => any::<prop::sample::Index>().prop_map(Step::Replay),
        1 => Just(Step::Restart),
        1 => Just(Step::NextEpoch),
    ]
}

/// The node under test, and what it has to agree with.
struct Model {
    folder: tempfile::TempDir,
    store: SharedStore,
    registry: Registry,
    recorder: RecorderHandle,
    time: u64,
    seed: u64,
    in_flight: Vec<(SignedVoucher, Reservation)>,
    recorded: Vec<(SignedVoucher, Recorded)>,
    charged: BTreeMap<B256, u64>,
    highest: BTreeMap<B256, u64>,
}

impl Model {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = rocks(folder.path());
        seed(&*store);
        let (registry, recorder) = start(&store);
        Self {
            folder,
            store,
            registry,
            recorder,
            time: START,
            seed: 0,
            in_flight: Vec::new(),
            recorded: Vec::new(),
            charged: BTreeMap::new(),
            highest: BTreeMap::new(),
        }
    }

    fn reserved(&self, channel: B256) -> u64 {
        let of = self.in_flight.iter().filter(|(v, _)| v.voucher.channelId == channel).count();
        of as u64 * MAX_FEE
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Admit { channel: number, slack, model } => self.admit(number, slack, model).await,
            Step::Record(index) if !self.in_flight.is_empty() => {
                let (voucher, reservation) =
                    self.in_flight.swap_remove(index.index(self.in_flight.len()));
                let served = serve(&voucher);
                let recorded = self.recorder.record(reservation, served).await.unwrap();
                let total = self.charged.entry(voucher.voucher.channelId).or_default();
                *total += recorded.call.record.fee();
                assert_eq!(recorded.receipt.charged, *total);
                self.recorded.push((voucher, recorded));
            }
            Step::Drop(index) if !self.in_flight.is_empty() => {
                self.in_flight.swap_remove(index.index(self.in_flight.len()));
            }
            Step::Replay(index) if !self.recorded.is_empty() => {
                let (voucher, recorded) = &self.recorded[index.index(self.recorded.len())];
                match self.recorder.admit(voucher.clone(), MAX_FEE).await.unwrap() {
                    Admission::Recorded(again) => assert_eq!(*again, *recorded),
                    other => panic!("{other:?}"),
                }
            }
            Step::Restart => self.restart(),
            Step::NextEpoch => {
                self.time += EPOCH_SECONDS;
                set_time(&self.registry, self.time);
            }
            _ => {}
        }
    }

    /// Admits with a ceiling that just suffices, or suffices with some slack.
    async fn admit(&mut self, number: u64, slack: u64, model: u8) {
        self.seed += 1;
        let id = channel(number);
        let charged = self.charged.get(&id).copied().unwrap_or_default();
        let required = charged + self.reserved(id) + MAX_FEE;
        let call = call(model, self.seed, self.time);
        if required > 0 {
            let short = sign(number, required - 1, call.clone());
            let refusal = refusal(&self.recorder, short).await;
            assert_eq!(refusal, Refusal::CeilingTooLow { required, given: required - 1 });
        }
        let voucher = sign(number, required + slack, call);
        let reservation = new(self.recorder.admit(voucher.clone(), MAX_FEE).await.unwrap());
        let highest = self.highest.entry(id).or_default();
        *highest = (*highest).max(voucher.voucher.ceiling);
        self.in_flight.push((voucher, reservation));
    }

    /// Drops everything and opens the store again; calls in flight are lost.
    fn restart(&mut self) {
        self.in_flight.clear();
        let placeholder = memory();
        (self.registry, self.recorder) = start(&placeholder);
        self.store = placeholder;
        self.store = rocks(self.folder.path());
        (self.registry, self.recorder) = start(&self.store);
        set_time(&self.registry, self.time);
    }

    async fn check(&self) {
        for number in 0..CHANNELS {
            let id = channel(number);
            let account = self.recorder.charged(id).await.unwrap();
            let charged = self.charged.get(&id).copied().unwrap_or_default();
            assert_eq!(account.charged, charged);
            assert_eq!(account.reserved, self.reserved(id));
            let highest = self.highest.get(&id).copied().unwrap_or_default();
            assert!(charged <= highest, "charged {charged} above every ceiling, {highest}");
        }
        assert_eq!(
            dump(&*self.store, &[Table::Calls])[0].1.len(),
            self.recorded.len(),
            "one row a call"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn charges_are_the_sum_of_fees_and_below_the_ceilings(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.step(step).await;
                model.check().await;
            }
        });
    }
}

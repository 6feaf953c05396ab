//! Sequences of admissions, records, replays and restarts.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use node::{
    recorder::{Admission, Recorded, RecorderHandle, Refusal, Reservation},
    registry::Registry,
    store::{SharedStore, Table},
    voucher::SignedVoucher,
};
use proptest::prelude::*;

use super::{new, refusal};
use crate::world::{
    CHANNELS, EPOCH_SECONDS, MAX_FEE, START, call, channel, dump, memory, rocks, seed, serve,
    set_time, sign, start,
};

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

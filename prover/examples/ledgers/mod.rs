//! Ledgers of random calls, built as the node builds them.

use std::collections::BTreeMap;

use attribution::settle::{
    BatchHeader, BatchInputs, Call, Carries, ChannelId, EarnerIndex, Factors, Ledger, ModelId,
    ModelOwner, Payees, Price, Record, Split, Terms, build,
};
use sha3::{Digest, Keccak256};

/// What a random ledger is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Paid calls.
    pub(crate) calls: u32,
    /// Contributors, indices from 10.
    pub(crate) contributors: u32,
    /// Distance of their indices, to spread them over pages.
    pub(crate) stride: u32,
    /// Contributors scored by each call.
    pub(crate) credits: u8,
    /// Channels that pay.
    pub(crate) channels: u8,
}

/// A ledger that depends on nothing but its arguments.
pub(crate) fn ledger(seed: u64, size: Size) -> Ledger {
    let header = BatchHeader {
        chain_id: 161_201,
        settlement: [0x5e; 20],
        operator: [0x09; 20],
        epoch: seed,
    };
    let mut charged = BTreeMap::<u8, u64>::new();
    let records: Vec<_> = (0..size.calls)
        .map(|call| {
            let random = |what: &str| random(seed, call, what);
            let channel = (call % u32::from(size.channels)) as u8;
            let from = charged.entry(channel).or_default();
            let record = record(size, channel, *from, random);
            *from += record.fee();
            record
        })
        .collect();
    let weights = (0..size.contributors).map(|i| (contributor(size, i), 1 + i % 5)).collect();
    build(&BatchInputs {
        header,
        carries: &Carries::new(),
        records: &records,
        weights: &BTreeMap::from([(ModelId([7; 32]), weights)]),
        factors: &Factors {
            reputation: BTreeMap::from([(contributor(size, 0), 5_000)]),
            ..Factors::default()
        },
    })
    .expect("calls that follow the rules")
}

fn record(size: Size, channel: u8, from: u64, random: impl Fn(&str) -> u64) -> Record {
    let call = Call {
        channel: ChannelId([channel + 1; 32]),
        from,
        voucher: Keccak256::digest(random("voucher").to_be_bytes()).into(),
        model: ModelId([7; 32]),
        time: random("time") % 3600,
        tokens_in: (random("in") % 5_000) as u32,
        tokens_out: (random("out") % 5_000) as u32,
        ..Call::default()
    };
    let price =
        Price { input_rate: 1_000_003, output_rate: 3_000_017, platform_fee: 12_345_678_901 };
    let terms = Terms { price, split: Split::default(), max_credits: size.credits };
    let owners = vec![
        ModelOwner { earner: EarnerIndex(3), weight: 2 },
        ModelOwner { earner: EarnerIndex(4), weight: 1 },
    ];
    let scores: BTreeMap<_, _> = (0..size.credits)
        .map(|i| {
            let score = random(&format!("score {i}"));
            let earner = (score >> 32) % u64::from(size.contributors);
            (contributor(size, earner as u32), (score % 2_000_000) as i64 - 700_000)
        })
        .collect();
    let scores: Vec<_> = scores.into_iter().collect();
    Record::new(call, terms, Payees { owners, stakers: EarnerIndex(2) }, &scores)
        .expect("a call that follows the rules")
}

const fn contributor(size: Size, number: u32) -> EarnerIndex {
    EarnerIndex(10 + number * size.stride)
}

fn random(seed: u64, call: u32, what: &str) -> u64 {
    let hasher = Keccak256::new().chain_update(seed.to_be_bytes());
    let hash = hasher.chain_update(call.to_be_bytes()).chain_update(what).finalize();
    u64::from_be_bytes(*hash.first_chunk().expect("8 of 32 bytes"))
}

//! Nine calls of two payers, paid out by the rules.

use std::collections::BTreeMap;

use attribution::settle::{
    BatchInputs, Call, Carries, ChannelId, EarnerIndex, Factors, Ledger, ModelId, ModelOwner,
    Payees, Price, Record, Split, Terms, build,
};
use sha3::{Digest, Keccak256};

use super::{EPOCH, EPOCH_SECONDS, Failure, Vector};

/// The accounts of `makeAddr("payer")` and `makeAddr("second payer")` of forge-std.
pub(crate) const VECTOR: Vector = Vector {
    name: "a batch of two payers",
    file: "settlement_proof.json",
    operator: [0x09; 20],
    payers: &[
        "01ca95ba9a19e6f88a90082367c285d179275de4",
        "da0b547283c76b0afb2fbd9d73e9603b7b23e659",
    ],
    witness: 9,
    certificates: [
        "1199f544dd8f4db153544864f9d98e9a89898f97cd760c8641443f0c0e430c0a7166fe3c1eacbfec2e6c3da420bc9a178adaefcfec20648c4e6347cc56f286ec1c000000006b49e010",
        "7e74bd9d290db68420deebb756cb952b6e569ca12a63ff0236017d446a4b5db577bd62ae003dbdc2b317f7fe8b479602c15350af69012579b0f2a173857ea6881b000000006b49e010",
    ],
};

/// The calls are alternately of the two payers.
pub(crate) fn ledger() -> Result<Ledger, Failure> {
    let channels = VECTOR.channels();
    let mut charged = [0; 2];
    let mut records = Vec::new();
    for call in 0..9 {
        let payer = (call % 2) as usize;
        let record = record(call, channels[payer], charged[payer])?;
        charged[payer] += record.fee();
        records.push(record);
    }
    let weights = (4..=7).map(|earner| (EarnerIndex(earner), earner)).collect();
    Ok(build(&BatchInputs {
        header: VECTOR.header(),
        carries: &Carries::new(),
        records: &records,
        weights: &BTreeMap::from([(ModelId([7; 32]), weights)]),
        factors: &Factors::default(),
    })?)
}

/// Earners: 1 the treasury, 2 the operator's stakers, 3 the model's owner, 4 to 7 contributors, the
/// last of which is of more harm than use.
fn record(call: u32, channel: ChannelId, from: u64) -> Result<Record, Failure> {
    let terms = Terms {
        price: Price { input_rate: 1_000_003, output_rate: 3_000_017, platform_fee: 123_456_789 },
        split: Split::default(),
        max_credits: 32,
    };
    let payees = Payees {
        owners: vec![ModelOwner { earner: EarnerIndex(3), weight: 1 }],
        stakers: EarnerIndex(2),
    };
    let scores: Vec<_> = (4..=6)
        .map(|earner| (EarnerIndex(earner), i64::from(earner * 1_000 + call * 37)))
        .chain([(EarnerIndex(7), -900)])
        .collect();
    let call = Call {
        channel,
        from,
        voucher: Keccak256::digest(call.to_be_bytes()).into(),
        model: ModelId([7; 32]),
        price_version: 1,
        time: EPOCH * EPOCH_SECONDS + u64::from(call),
        tokens_in: 100 + call,
        tokens_out: 50 + 2 * call,
        ..Call::default()
    };
    Ok(Record::new(call, terms, payees, &scores)?)
}

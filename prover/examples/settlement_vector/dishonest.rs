//! Calls that were never made, at a price that nobody set, split by a rule that is not in force, for
//! earners of the operator's own. Only the sums are true, which is all that a proof shows: each row
//! could be disputed.

use std::collections::BTreeMap;

use attribution::settle::{
    BatchInputs, Call, Carries, ChannelId, EarnerIndex, Factors, Ledger, ModelId, ModelOwner,
    Payees, Price, Record, Split, Terms, build,
};
use sha3::{Digest, Keccak256};

use super::{EPOCH, EPOCH_SECONDS, Failure, Vector};

/// The account of `makeAddr("third payer")` of forge-std.
pub(crate) const VECTOR: Vector = Vector {
    name: "a batch of which only the sums are true",
    file: "settlement_dishonest.json",
    operator: [0x66; 20],
    payers: &["b965b938faeb02148a0168f5de9c81f88d4ef51a"],
    witness: 10,
    certificates: [
        "9b10fa2ae49416b823e92e88b45b16aa0d902343cde81eb4e847597eb99d1caf708a539846ca7ed732b03dbbf0b58ada272292723c4c116ed513200f1bb5eaf31b000000006b49e010",
        "cd64affe4455857c8d135e3abf0cf0a05b15606f5014a71755367ad6013bc96029714ae9b260d11110fa58044eff2026c314c4222c67ba71261f48fdfd4debda1b000000006b49e010",
    ],
};

const CALLS: u32 = 2;
/// Gwei of a call: as the third payer signed for 8 OPEN, both come to all of it.
const FEE: u64 = 4_000_000_000;

/// All of the payer's ceiling goes to the stakers (8), the owner (9) and the contributor (10) that
/// the operator is itself; contributors of another model (4 to 7) are said to have done harm.
pub(crate) fn ledger() -> Result<Ledger, Failure> {
    let channel = VECTOR.channels()[0];
    let records = (0..CALLS)
        .map(|call| record(call, channel, u64::from(call) * FEE))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(build(&BatchInputs {
        header: VECTOR.header(),
        carries: &Carries::new(),
        records: &records,
        weights: &BTreeMap::from([(
            ModelId([0x66; 32]),
            BTreeMap::from([(EarnerIndex(10), 1_000_000)]),
        )]),
        factors: &Factors::default(),
    })?)
}

fn record(call: u32, channel: ChannelId, from: u64) -> Result<Record, Failure> {
    let terms = Terms {
        price: Price { input_rate: FEE, output_rate: 0, platform_fee: 0 },
        split: Split::new(0, 5_000, 2_000, 3_000)?,
        max_credits: 32,
    };
    let payees = Payees {
        owners: vec![ModelOwner { earner: EarnerIndex(9), weight: 1 }],
        stakers: EarnerIndex(8),
    };
    let scores: Vec<_> = (4..=7)
        .map(|earner| (EarnerIndex(earner), -1_000))
        .chain([(EarnerIndex(10), 1_000_000)])
        .collect();
    let call = Call {
        channel,
        from,
        voucher: Keccak256::digest(call.to_be_bytes()).into(),
        model: ModelId([0x66; 32]),
        price_version: 1,
        time: EPOCH * EPOCH_SECONDS + u64::from(call),
        tokens_in: 1_000,
        ..Call::default()
    };
    Ok(Record::new(call, terms, payees, &scores)?)
}

//! Writes `test/vectors/settlement_proof.json`: one batch with its payout proof and the openings of
//! its earnings, for contracts at fixed addresses: `cargo run -p prover --example
//! settlement_vector`.
//!
//! What a proof does not read is made up: voucher digests, and the witness blob, of which there is
//! only a commitment.

#[path = "ledgers/vector.rs"]
mod vector;

use std::{collections::BTreeMap, fs, path::PathBuf};

use attribution::settle::{
    BatchHeader, BatchInputs, Call, Carries, ChannelId, EarnerIndex, Ledger, ModelId, ModelOwner,
    Payees, Price, Record, Split, Terms, build,
};
use prover::{
    EarningsPage, Srs,
    argument::{PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts, evm,
};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use vector::{g1, g2, statement_vector, with_proof};

type Failure = Box<dyn std::error::Error>;

const CHAIN: u64 = 161_201;
const PAGE_SIZE: u32 = 65_536;
const EPOCH: u64 = 500_000;
const EPOCH_SECONDS: u64 = 3_600;
const SETTLEMENT: [u8; 20] = [0x5e; 20];
const CHANNELS: [u8; 20] = [0xc4; 20];
const OPERATOR: [u8; 20] = [0x09; 20];
/// The accounts of `makeAddr("payer")` and `makeAddr("second payer")` of forge-std.
const PAYERS: [&str; 2] =
    ["01ca95ba9a19e6f88a90082367c285d179275de4", "da0b547283c76b0afb2fbd9d73e9603b7b23e659"];
/// Made by `ProvenBatchTest` for the blobs below, which checks that they are its attestor's.
const CERTIFICATES: [&str; 2] = [
    "1199f544dd8f4db153544864f9d98e9a89898f97cd760c8641443f0c0e430c0a7166fe3c1eacbfec2e6c3da420bc9a178adaefcfec20648c4e6347cc56f286ec1c000000006b49e010",
    "7e74bd9d290db68420deebb756cb952b6e569ca12a63ff0236017d446a4b5db577bd62ae003dbdc2b317f7fe8b479602c15350af69012579b0f2a173857ea6881b000000006b49e010",
];

fn main() -> Result<(), Failure> {
    let srs = Srs::dev(CHAIN, b"test vectors", 1 << 19)?;
    let key = VerifierKey::new(&srs, PAGE_SIZE)?;
    let ledger = ledger()?;
    let committed = commit_ledger(&srs, &ledger)?;
    let pages = commit_payouts(&srs, PAGE_SIZE, ledger.payouts())?;
    let certificates = CERTIFICATES.map(|hex| hex::decode(hex).expect("hex"));
    let hash = Keccak256::digest(abi_bytes_array(&certificates)).into();
    let mut statement = PayoutStatement::of_ledger(&ledger, &committed, pages, hash);
    statement.witnesses = vec![srs.g1()[9]];
    let proof = prove_payouts(&srs, &key, &statement, &committed, ledger.payouts(), |_| {})?;
    assert!(key.verify(&statement, &proof), "an honest proof holds");

    let name = "a batch of two payers";
    let mut vectors = with_proof(statement_vector(&key, &statement, name), &proof);
    vectors["tau_g2"] = g2(srs.tau_g2_evm());
    vectors["identity"] = g1(key.identity().into());
    vectors["payment_channels"] = json!(hex(&CHANNELS));
    vectors["epoch"] = json!(EPOCH);
    vectors["payers"] = json!(PAYERS.map(|payer| format!("0x{payer}")));
    vectors["certificates"] = json!(CERTIFICATES.map(|hex| format!("0x{hex}")));
    vectors["claims"] = claims(&srs, &ledger)?;
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/settlement_proof.json");
    Ok(fs::write(path, serde_json::to_string_pretty(&vectors)? + "\n")?)
}

/// Nine calls, alternately of the two payers.
fn ledger() -> Result<Ledger, Failure> {
    let channels = PAYERS.map(channel);
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
        header: BatchHeader {
            chain_id: CHAIN,
            settlement: SETTLEMENT,
            operator: OPERATOR,
            epoch: EPOCH,
        },
        carries: &Carries::new(),
        records: &records,
        weights: &BTreeMap::from([(ModelId([7; 32]), weights)]),
        reputation: &BTreeMap::new(),
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

/// The payer's channel to the operator with salt 0, as PaymentChannels names it.
fn channel(payer: &str) -> ChannelId {
    let payer = hex::decode(payer).expect("hex");
    let words = [&CHAIN.to_be_bytes()[..], &CHANNELS, &payer, &OPERATOR, &[]];
    ChannelId(
        words
            .iter()
            .fold(Keccak256::new(), |hash, word| hash.chain_update(padded(word)))
            .finalize()
            .into(),
    )
}

/// What each earner may claim once the batch is final, as the only one.
fn claims(srs: &Srs, ledger: &Ledger) -> Result<Value, Failure> {
    let page = EarningsPage::new(PAGE_SIZE, 0, ledger.payouts())?;
    let earners: Vec<_> = ledger.payouts().keys().copied().collect();
    let openings = page.open_many(srs, &earners)?;
    let claim = |(earner, opening): (&EarnerIndex, &prover::Opening)| {
        json!({
            "earner": earner.0,
            "gwei": ledger.payouts()[earner].to_string(),
            "witness": g1(evm::G1::from(opening.witness)),
        })
    };
    Ok(earners.iter().zip(&openings).map(claim).collect())
}

/// `abi.encode(bytes[])`.
fn abi_bytes_array(items: &[Vec<u8>]) -> Vec<u8> {
    let mut encoded = [number(32), number(items.len())].concat();
    let mut tails = Vec::new();
    for item in items {
        encoded.extend(number(32 * items.len() + tails.len()));
        tails.extend(number(item.len()));
        tails.extend(item);
        tails.resize(tails.len().next_multiple_of(32), 0);
    }
    encoded.extend(tails);
    encoded
}

fn number(n: usize) -> [u8; 32] {
    padded(&n.to_be_bytes())
}

/// A word with the bytes at its end.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

//! Writes `test/vectors/payout_argument.json`: batches with proofs that hold, and changed ones that
//! do not, for the verifiers in Rust and Solidity: `cargo run -p prover --example payout_vectors`.

mod ledgers;

use std::{fs, path::PathBuf};

use attribution::settle::Ledger;
use ledgers::Size;
use prover::{
    Srs,
    argument::{ChannelDraw, PayoutProof, PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts,
    evm::{G1, G2, Word},
};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const CHAIN: u64 = 161_201;

/// Pages of 1024 with more limbs but small tables, and one batch with the pages of real networks.
const SIZES: [(&str, u32, Size); 5] = [
    (
        "one page of 1024",
        1024,
        Size { calls: 3, contributors: 9, stride: 1, credits: 4, channels: 1 },
    ),
    ("three payers", 1024, Size { calls: 6, contributors: 9, stride: 1, credits: 4, channels: 3 }),
    ("two pages", 1024, Size { calls: 6, contributors: 9, stride: 200, credits: 4, channels: 1 }),
    (
        "one page of 65536",
        65_536,
        Size { calls: 8, contributors: 40, stride: 1, credits: 8, channels: 1 },
    ),
    (
        "two pages of 65536",
        65_536,
        Size { calls: 8, contributors: 40, stride: 2_000, credits: 8, channels: 1 },
    ),
];

fn main() -> Result<(), Failure> {
    let srs = Srs::dev(CHAIN, b"test vectors", 1 << 19)?;
    let mut keys = Vec::new();
    let mut valid = Vec::new();
    let mut invalid = Vec::new();
    for page_size in [1024, 65_536] {
        let key = VerifierKey::new(&srs, page_size)?;
        keys.push(json!({ "page_size": page_size, "identity": g1(key.identity().into()) }));
    }
    for (i, (name, page_size, size)) in SIZES.into_iter().enumerate() {
        let key = VerifierKey::new(&srs, page_size)?;
        let batch = Batch::prove(&srs, &key, &ledgers::ledger(100 + i as u64, size))?;
        assert!(key.verify(&batch.statement, &batch.proof), "{name}");
        valid.push(batch.vector(&key, name));
        if i == 1 || i == 2 {
            for (what, statement) in false_statements(&batch.statement) {
                assert!(!key.verify(&statement, &batch.proof), "{what}");
                let proof = batch.proof.clone();
                invalid.push(Batch { statement, proof }.vector(&key, &format!("{name}: {what}")));
            }
        }
    }
    let vectors =
        json!({ "tau_g2": g2(srs.tau_g2_evm()), "keys": keys, "valid": valid, "invalid": invalid });
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/payout_argument.json");
    Ok(fs::write(path, serde_json::to_string_pretty(&vectors)? + "\n")?)
}

struct Batch {
    statement: PayoutStatement,
    proof: PayoutProof,
}

impl Batch {
    fn prove(srs: &Srs, key: &VerifierKey, ledger: &Ledger) -> Result<Self, Failure> {
        let committed = commit_ledger(srs, ledger)?;
        let pages = commit_payouts(srs, key.page_size(), ledger.payouts())?;
        let mut statement = PayoutStatement::of_ledger(ledger, &committed, pages, [0xce; 32]);
        statement.witnesses = vec![srs.g1()[9]];
        let proof = prove_payouts(srs, key, &statement, &committed, ledger.payouts(), |_| {})?;
        Ok(Self { statement, proof })
    }

    fn vector(&self, key: &VerifierKey, name: &str) -> Value {
        let statement = &self.statement;
        json!({
            "name": name,
            "page_size": key.page_size(),
            "chain_id": statement.chain_id,
            "settlement": hex(&statement.settlement),
            "operator": hex(&statement.operator),
            "batch": hex(&statement.batch),
            "certificate_hash": hex(&statement.certificate_hash),
            "rows": statement.rows,
            "total": statement.total.to_string(),
            "channels": statement.draws.iter().map(|d| hex(&d.channel.0)).collect::<Vec<_>>(),
            "amounts": statement.draws.iter().map(|d| d.amount.to_string()).collect::<Vec<_>>(),
            "ledger": g1(statement.ledger.into()),
            "witnesses": words(statement.witnesses.iter().copied()),
            "pages": statement.pages.iter().map(|(page, _)| page).collect::<Vec<_>>(),
            "payouts": words(statement.pages.iter().map(|&(_, payouts)| payouts)),
            "proof": self.proof.to_words().iter().map(|word| hex(word)).collect::<Vec<_>>(),
        })
    }
}

/// Statements that the proof of another does not show, each false in its own way.
fn false_statements(of: &PayoutStatement) -> Vec<(&'static str, PayoutStatement)> {
    let changes: [(&str, fn(&mut PayoutStatement)); 19] = [
        ("another chain", |s| s.chain_id += 1),
        ("another settlement", |s| s.settlement[0] ^= 1),
        ("another operator", |s| s.operator[0] ^= 1),
        ("another batch", |s| s.batch[0] ^= 1),
        ("another certificate", |s| s.certificate_hash[0] ^= 1),
        ("twice the rows", |s| s.rows *= 2),
        ("half the rows", |s| s.rows /= 2),
        ("rows that are no power of two", |s| s.rows -= 1),
        ("a total above the draws", |s| s.total += 1),
        ("a gwei more", |s| {
            s.total += 1;
            s.draws[0].amount += 1;
        }),
        ("a gwei less", |s| {
            s.total -= 1;
            s.draws[0].amount -= 1;
        }),
        ("another channel", |s| s.draws[0].channel.0[0] ^= 1),
        ("a channel with the same key", |s| s.draws[0].channel.0[31] ^= 1),
        ("a draw in two", |s| {
            s.draws[0].amount -= 1;
            s.draws.push(ChannelDraw { amount: 1, ..s.draws[0] });
        }),
        ("another ledger", |s| s.ledger = s.pages[0].1),
        ("other payouts", |s| s.pages[0].1 = s.ledger),
        ("another page", |s| s.pages.last_mut().expect("there is one").0 += 1),
        ("no page", |s| s.pages.clear()),
        ("no witness blob", |s| s.witnesses.clear()),
    ];
    let changed = |(what, change): (_, fn(&mut PayoutStatement))| {
        let mut statement = of.clone();
        change(&mut statement);
        (what, statement)
    };
    changes.into_iter().map(changed).collect()
}

fn words(points: impl Iterator<Item = prover::G1Affine>) -> Vec<String> {
    let coordinates = |point: prover::G1Affine| {
        let G1 { x, y } = point.into();
        [hex(&x), hex(&y)]
    };
    points.flat_map(coordinates).collect()
}

fn g1(point: G1) -> Value {
    json!({ "x": hex(&point.x), "y": hex(&point.y) })
}

fn g2(point: G2) -> Value {
    let [x1, x0, y1, y0]: [String; 4] =
        [point.x1, point.x0, point.y1, point.y0].map(|word: Word| hex(&word));
    json!({ "x1": x1, "x0": x0, "y1": y1, "y0": y0 })
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

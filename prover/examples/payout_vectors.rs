//! Writes `test/vectors/payout_argument.json`: batches with proofs that hold, and changed ones that
//! do not, for the verifiers in Rust and Solidity: `cargo run -p prover --example payout_vectors`.

mod ledgers;
#[path = "ledgers/vector.rs"]
mod vector;

use std::{fs, path::PathBuf};

use attribution::settle::Ledger;
use ledgers::Size;
use prover::{
    BlobCommitment, Srs,
    argument::{ChannelDraw, PayoutProof, PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts,
};
use serde_json::json;
use vector::{g1, g2, statement_vector, with_proof};

type Failure = Box<dyn std::error::Error>;

const CHAIN: u64 = 161_201;

/// Bytes of a row in a blob.
const ROW: usize = 256;

/// Pages of 1024 with more limbs but small tables, and one batch with the pages of real networks.
const SIZES: [(&str, u32, Size); 6] = [
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
    (
        "16384 rows",
        65_536,
        Size { calls: 380, contributors: 1_024, stride: 1, credits: 32, channels: 1 },
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
        valid.push(with_proof(statement_vector(&key, &batch.statement, name), &batch.proof));
        if i == 1 || i == 2 {
            let statements = false_statements(&batch.statement);
            for (what, statement) in statements.into_iter().chain(false_ledgers(&srs, &batch)?) {
                assert!(!key.verify(&statement, &batch.proof), "{what}");
                let mut vector = statement_vector(&key, &statement, &format!("{name}: {what}"));
                vector["proof_of"] = json!(i);
                invalid.push(vector);
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
    blob: Vec<u8>,
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
        Ok(Self { blob: committed.blob().to_vec(), statement, proof })
    }
}

type Change = fn(&mut PayoutStatement);

/// Statements that the proof of another does not show, each false in its own way.
fn false_statements(of: &PayoutStatement) -> Vec<(String, PayoutStatement)> {
    let changes: [(&str, Change); 19] = [
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
    let changed = |(what, change): (&str, Change)| {
        let mut statement = of.clone();
        change(&mut statement);
        (what.to_string(), statement)
    };
    changes.into_iter().map(changed).collect()
}

/// Statements of ledgers with a cell changed, each of a row's eight in turn, or with other rows.
fn false_ledgers(srs: &Srs, of: &Batch) -> Result<Vec<(String, PayoutStatement)>, Failure> {
    let with = |what: &str, change: &dyn Fn(&mut [u8])| -> Result<_, Failure> {
        let mut blob = of.blob.clone();
        change(&mut blob);
        let mut statement = of.statement.clone();
        statement.ledger = BlobCommitment::new(srs, blob)?.commitment();
        Ok((what.to_string(), statement))
    };
    let mut statements = Vec::new();
    for cell in 0..8 {
        let what = format!("cell {cell} of a row one bit else");
        statements.push(with(&what, &|blob| blob[ROW * 3 + 32 * cell + 31] ^= 1)?);
    }
    statements.push(with("two rows exchanged", &|blob| {
        let (low, high) = blob.split_at_mut(ROW * 3);
        low[ROW * 2..].swap_with_slice(&mut high[..ROW]);
    })?);
    statements.push(with("a row twice", &|blob| blob.copy_within(ROW * 2..ROW * 3, ROW * 3))?);
    Ok(statements)
}

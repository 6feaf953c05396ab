//! Writes `test/vectors/kzg_openings.json` and `commitment.json` through EigenDA's
//! `rust-kzg-bn254`, so that Rust and Solidity are checked against an implementation that is not
//! ours. Only the setup is made here: `cargo run -p prover --example vectors`.

use std::{borrow::Cow, fs, path::PathBuf};

use ark_ff::{BigInteger, PrimeField};
use prover::{Fr, G1Affine, Srs, evm};
use rust_kzg_bn254_primitives::{blob::Blob, polynomial::PolynomialEvalForm};
use rust_kzg_bn254_prover::{kzg::KZG, srs::SRS};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

const SEED: &[u8] = b"test vectors";
const CHAIN: u64 = 161_201;
const PAGE_SIZE: usize = 1024;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let srs = Srs::dev(CHAIN, SEED, 1 << 16)?;
    let reference = SRS { g1: Cow::Borrowed(srs.g1()), order: 1 << 16 };
    let openings = openings(&srs, &reference)?;
    write("kzg_openings.json", &Value::Array(openings))?;
    write("commitment.json", &commitment(&srs, &reference)?)
}

/// Openings over small and large domains, of large and small values, at the ends and inside.
fn openings(srs: &Srs, reference: &SRS<'_>) -> Result<Vec<Value>, Failure> {
    let mut openings = Vec::new();
    let tau_g2 = g2(srs);
    for (size, indices) in [
        (8, vec![0, 1, 7]),
        (64, vec![0, 2, 63]),
        (PAGE_SIZE, vec![0, 1, 513, 1023]),
        (1 << 16, vec![40_000]),
    ] {
        let values: Vec<Fr> = (0..size as u64).map(value).collect();
        let polynomial = PolynomialEvalForm::new(values.clone())?;
        let mut kzg = KZG::new();
        kzg.calculate_and_store_roots_of_unity(32 * size as u64)?;
        let commitment = kzg.commit_coeff_form(&polynomial.to_coeff_form()?, reference)?;
        for index in indices {
            let index = index as u64;
            let proof = kzg.compute_proof_with_known_z_fr_index(&polynomial, index, reference)?;
            openings.push(json!({
                "tau_g2": tau_g2,
                "commitment": g1(commitment),
                "domain_size": word(Fr::from(size as u64)),
                "index": word(Fr::from(index)),
                "value": word(values[index as usize]),
                "witness": g1(proof),
            }));
        }
    }
    Ok(openings)
}

/// Mostly gwei, as in earnings; some zeros; some as large as cells.
fn value(i: u64) -> Fr {
    let hash = Keccak256::digest(i.to_be_bytes());
    match i % 4 {
        2 => Fr::from(0_u64),
        3 => Fr::from_be_bytes_mod_order(&hash[..31]),
        _ => Fr::from_be_bytes_mod_order(&hash[..8]),
    }
}

/// Commitments to the ledger and the payouts of `ledger.json`.
fn commitment(srs: &Srs, reference: &SRS<'_>) -> Result<Value, Failure> {
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path("ledger.json"))?)?;
    let ledger = &vectors["ledger"];
    let blob = blob(ledger)?;
    let commitment = KZG::new().commit_blob(&Blob::new(&blob)?, reference)?;
    let mut values = vec![Fr::from(0_u64); PAGE_SIZE];
    for payout in ledger["payouts"].as_array().ok_or("payouts")? {
        let number = |i: usize| payout[i].as_str().ok_or("a number").map(str::parse::<u64>);
        values[number(0)?? as usize] = Fr::from(number(1)??);
    }
    let page = KZG::new().commit_eval_form(&PolynomialEvalForm::new(values)?, reference)?;
    Ok(json!({
        "seed": String::from_utf8(SEED.to_vec())?,
        "tau_g2": g2(srs),
        "blob_keccak": format!("0x{}", hex::encode(Keccak256::digest(&blob))),
        "blob_bytes": blob.len().to_string(),
        "rows": (blob.len() / 256).to_string(),
        "commitment": g1(commitment),
        "page_size": PAGE_SIZE.to_string(),
        "payouts": [{ "page": "0", "commitment": g1(page) }],
    }))
}

/// The ledger's cells as EigenDA pads a payload, behind the payload's header.
fn blob(ledger: &Value) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    for row in ledger["rows"].as_array().ok_or("rows")? {
        for cell in row.as_array().ok_or("cells")? {
            payload.extend(hex::decode(&cell.as_str().ok_or("a cell")?[2..])?);
        }
    }
    let payload = &payload[31..];
    let mut header = [0; 32];
    header[2..6].copy_from_slice(&u32::try_from(payload.len())?.to_be_bytes());
    Ok([header.to_vec(), Blob::from_raw_data(payload).data().to_vec()].concat())
}

fn word(element: Fr) -> String {
    format!("0x{}", hex::encode(element.into_bigint().to_bytes_be()))
}

fn g1(point: G1Affine) -> Value {
    let evm::G1 { x, y } = point.into();
    json!({ "x": format!("0x{}", hex::encode(x)), "y": format!("0x{}", hex::encode(y)) })
}

fn g2(srs: &Srs) -> Value {
    let evm::G2 { x1, x0, y1, y0 } = srs.tau_g2_evm();
    let [x1, x0, y1, y0] = [x1, x0, y1, y0].map(|word| format!("0x{}", hex::encode(word)));
    json!({ "x1": x1, "x0": x0, "y1": y1, "y0": y0 })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors").join(name)
}

fn write(name: &str, vectors: &Value) -> Result<(), Failure> {
    Ok(fs::write(path(name), serde_json::to_string_pretty(vectors)? + "\n")?)
}

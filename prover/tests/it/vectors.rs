//! The vector files that Solidity and Rust share.

use std::{collections::BTreeMap, path::Path};

use attribution::settle::{Cells, EarnerIndex, Row, keccak};
use prover::{
    Fr, G1Affine, G2Affine, LedgerCommitment, Opening, Srs, blob_from_rows, commit_payouts,
    evm::{G1, G2},
    ledger_from_blob, verify,
};
use serde_json::Value;

pub(crate) fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(&value.as_str().unwrap()[2..]).unwrap().try_into().unwrap()
}

pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn small(value: &Value) -> usize {
    let word: [u8; 32] = bytes(value);
    usize::from_be_bytes(*word.last_chunk().unwrap())
}

pub(crate) fn g1(value: &Value) -> G1Affine {
    G1 { x: bytes(&value["x"]), y: bytes(&value["y"]) }.try_into().unwrap()
}

pub(crate) fn g2(value: &Value) -> G2Affine {
    let [x1, x0, y1, y0] = ["x1", "x0", "y1", "y0"].map(|part| bytes(&value[part]));
    G2 { x1, x0, y1, y0 }.try_into().unwrap()
}

/// Rows of `ledger.json`, made by an independent script.
pub(crate) fn ledger_rows() -> Vec<Row> {
    let row = |cells: &Value| {
        let cells: Vec<_> = cells.as_array().unwrap().iter().map(bytes).collect();
        Row::from_cells(&Cells::try_from(cells).unwrap()).unwrap()
    };
    load("ledger.json")["ledger"]["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn openings_of_the_reference_implementation_hold_and_changed_ones_do_not() {
    let vectors = load("kzg_openings.json");
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 11);
    for vector in vectors {
        let (tau_g2, commitment) = (g2(&vector["tau_g2"]), g1(&vector["commitment"]));
        let word: [u8; 32] = bytes(&vector["value"]);
        let opening = Opening {
            domain_size: small(&vector["domain_size"]),
            index: small(&vector["index"]),
            value: <Fr as ark_ff::PrimeField>::from_be_bytes_mod_order(&word),
            witness: g1(&vector["witness"]),
        };
        assert!(verify(tau_g2, commitment, &opening).unwrap(), "{vector}");
        let moved = Opening { index: opening.index ^ 1, ..opening };
        assert!(!verify(tau_g2, commitment, &moved).unwrap(), "{vector}");
        let paid_more = Opening { value: opening.value + Fr::from(1_u64), ..opening };
        assert!(!verify(tau_g2, commitment, &paid_more).unwrap(), "{vector}");
    }
}

#[test]
fn a_ledger_and_its_payouts_commit_as_by_the_reference_implementation() {
    let vectors = load("commitment.json");
    let srs = Srs::dev(161_201, vectors["seed"].as_str().unwrap().as_bytes(), 1024).unwrap();
    assert_eq!(srs.tau_g2(), g2(&vectors["tau_g2"]));

    let blob = blob_from_rows(&ledger_rows()).unwrap();
    assert_eq!(keccak(&[&blob]), bytes(&vectors["blob_keccak"]));
    let statement = ledger_from_blob(&blob).unwrap();
    let committed = LedgerCommitment::from_blob(&srs, blob).unwrap();
    assert_eq!(committed.commitment(), g1(&vectors["commitment"]));
    assert_eq!(committed.rows(), number::<usize>(&vectors["rows"]));

    let pages = commit_payouts(&srs, number(&vectors["page_size"]), &statement.payouts).unwrap();
    let expected: Vec<_> = vectors["payouts"].as_array().unwrap().iter().collect();
    assert_eq!(pages.len(), expected.len());
    for ((page, commitment), expected) in pages.into_iter().zip(expected) {
        assert_eq!(page, number::<u32>(&expected["page"]));
        assert_eq!(commitment, g1(&expected["commitment"]));
    }
    let listed: BTreeMap<_, u64> = load("ledger.json")["ledger"]["payouts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|payout| (EarnerIndex(number(&payout[0])), number(&payout[1])))
        .collect();
    assert_eq!(statement.payouts, listed);
}

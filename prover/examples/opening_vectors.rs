//! Writes `test/vectors/cell_openings.json`: openings of several cells of a ledger and of slots of
//! witness blobs, valid and changed ones, for Rust and Solidity: `cargo run -p prover --example
//! opening_vectors`.

use std::{fs, path::PathBuf};

use ark_ec::AffineRepr;
use attribution::settle::{Cells, Row};
use prover::{
    CellOpening, Fr, G1Affine, LedgerCommitment, SlotOpening, Srs, WitnessCommitment,
    blob_from_rows,
    evm::{self, word},
};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use witness_blob::witness_blob;

#[path = "../tests/it/witness_blob.rs"]
mod witness_blob;

type Failure = Box<dyn std::error::Error>;
type Change = (&'static str, fn(&mut Value));

const FORMAT: [&str; 8] = [
    "Words are hex with 32 bytes; points are x, y, the identity is 0, 0; small integers are decimal strings.",
    "cells: the opening (indices, values, quotient W, remainder W') of a blob of `symbols` symbols with this commitment.",
    "slots: the opening (values, quotient, remainder) of slot `slot` of `slot_cells` cells.",
    "chi of cells: keccak256(abi.encode(C.x, C.y, symbols, uint256[] indices, uint256[] values, W.x, W.y)) mod r.",
    "chi of a slot: keccak256(abi.encode(C.x, C.y, symbols, slot_cells, slot, uint256[] values, W.x, W.y)) mod r.",
    "Holds if e(C - r(chi) G1 - Z(chi) W + chi W', G2) = e(W', tau G2); `valid` says whether it must be accepted.",
    "together: entries of the lists above, by number, that are checked with one pairing.",
    "Both are for the tests of prover and of the contracts; `cargo run -p prover --example opening_vectors` writes them.",
];

fn main() -> Result<(), Failure> {
    let srs = Srs::dev(161_201, b"test vectors", 1 << 12)?;
    let ledger = ledger(&srs)?;
    let mut cells = Vec::new();
    let symbols = 8 * ledger.rows();
    for (name, indices) in [
        ("the first cell, which holds the payload's header", vec![0]),
        ("one cell", vec![35]),
        ("the last cell", vec![symbols as u32 - 1]),
        ("a whole row", (16..24).collect()),
        ("cells of three rows", vec![1, 2, 3, 12, 20, 21, 22, 23]),
        ("every eighth cell", (0..symbols as u32).step_by(8).collect()),
    ] {
        let opening = ledger.open_cells(&srs, &indices)?;
        cells.push(cells_vector(name, &ledger, &opening));
    }
    let base = cells[4].clone();
    cells.extend(CELL_CHANGES.iter().map(|change| changed(&base, change)));
    let mut slots = Vec::new();
    for (seed, log, cells, slot) in [
        (1, 4, 8, 1),
        (2, 7, 16, 5),
        (3, 10, 64, 1),
        (3, 10, 64, 15),
        (4, 12, 256, 7),
        (2, 7, 16, 0),
    ] {
        let blob = WitnessCommitment::from_blob(&srs, witness_blob(&symbols_of(seed, 1 << log)))?;
        let opening = blob.open_slot(&srs, cells, slot)?;
        let name = format!("slot {slot} of {cells} cells of {} symbols", 1 << log);
        slots.push(slot_vector(&name, &blob, cells, slot, &opening));
    }
    let base = slots[1].clone();
    slots.extend(SLOT_CHANGES.iter().map(|change| changed(&base, change)));
    let together = together(&mut cells, &mut slots)?;
    let vectors = json!({
        "format": FORMAT,
        "tau_g2": g2(&srs),
        "cells": cells,
        "slots": slots,
        "together": together,
    });
    let path = path("cell_openings.json");
    Ok(fs::write(path, serde_json::to_string_pretty(&vectors)? + "\n")?)
}

const CELL_CHANGES: [Change; 18] = [
    ("a value one higher", |v| v["values"][3] = hex(word(scalar(&v["values"][3]) + Fr::from(1)))),
    ("two values exchanged", |v| swap(&mut v["values"], 1, 2)),
    ("a value 2^248 higher", |v| {
        let high = (0..248).fold(Fr::from(1), |power, _| power + power);
        v["values"][0] = hex(word(scalar(&v["values"][0]) + high));
    }),
    ("an index one higher", |v| v["indices"][2] = json!("4")),
    ("two indices exchanged", |v| swap(&mut v["indices"], 4, 5)),
    ("two indices and their values exchanged", |v| {
        swap(&mut v["indices"], 4, 5);
        swap(&mut v["values"], 4, 5);
    }),
    ("an index twice", |v| v["indices"][1] = v["indices"][0].clone()),
    ("an index outside the blob", |v| {
        let outside = v["symbols"].clone();
        v["indices"][7] = outside;
    }),
    ("an index that wraps round the domain", |v| {
        let symbols: u32 = v["symbols"].as_str().expect("a string").parse().expect("an integer");
        v["indices"][7] = json!((symbols + 23).to_string());
    }),
    ("a value too few", |v| drop(v["values"].as_array_mut().expect("values").pop())),
    ("a value too many", |v| v["values"].as_array_mut().expect("values").push(hex([0; 32]))),
    ("a cell less", |v| {
        v["values"].as_array_mut().expect("values").pop();
        v["indices"].as_array_mut().expect("indices").pop();
    }),
    ("a domain twice as large", |v| v["symbols"] = json!("256")),
    ("a domain that is none", |v| v["symbols"] = json!("127")),
    ("another commitment", |v| v["commitment"] = v["quotient"].clone()),
    ("the identity for W", |v| v["quotient"] = identity()),
    ("the identity for W'", |v| v["remainder"] = identity()),
    ("W and W' exchanged", |v| {
        let quotient = v["quotient"].take();
        v["quotient"] = std::mem::replace(&mut v["remainder"], quotient);
    }),
];

const SLOT_CHANGES: [Change; 13] = [
    ("a value one higher", |v| v["values"][3] = hex(word(scalar(&v["values"][3]) + Fr::from(1)))),
    ("a value 2^248 higher", |v| {
        let high = (0..248).fold(Fr::from(1), |power, _| power + power);
        v["values"][0] = hex(word(scalar(&v["values"][0]) + high));
    }),
    ("values turned by one", |v| {
        v["values"].as_array_mut().expect("values").rotate_left(1);
    }),
    ("the next slot", |v| v["slot"] = json!("6")),
    ("a slot that wraps round the coset", |v| v["slot"] = json!("13")),
    ("a slot that wraps round the domain", |v| v["slot"] = json!("133")),
    ("a value too few", |v| drop(v["values"].as_array_mut().expect("values").pop())),
    ("slots of half the cells", |v| {
        v["slot_cells"] = json!("8");
        v["values"].as_array_mut().expect("values").truncate(8);
    }),
    ("a domain twice as large", |v| v["symbols"] = json!("256")),
    ("another commitment", |v| v["commitment"] = v["quotient"].clone()),
    ("the identity for W", |v| v["quotient"] = identity()),
    ("the identity for W'", |v| v["remainder"] = identity()),
    ("W and W' exchanged", |v| {
        let quotient = v["quotient"].take();
        v["quotient"] = std::mem::replace(&mut v["remainder"], quotient);
    }),
];

/// Sets of openings; two of them have errors that cancel where they are added without weights.
fn together(cells: &mut Vec<Value>, slots: &mut Vec<Value>) -> Result<Vec<Value>, Failure> {
    let moved = |vector: &Value, sign: i64| -> Result<Value, Failure> {
        let mut vector = vector.clone();
        let one =
            G1Affine::from(evm_g1(&vector["remainder"])? + G1Affine::generator() * Fr::from(sign));
        vector["remainder"] = g1(one);
        (vector["name"], vector["valid"]) = (json!("W' moved by the generator"), json!(false));
        Ok(vector)
    };
    let (cell, slot) = (cells.len(), slots.len());
    cells.push(moved(&cells[1], 1)?);
    slots.push(moved(&slots[0], -1)?);
    let entry = |name: &str, valid: bool, cells: &[usize], slots: &[usize]| {
        let numbers =
            |list: &[usize]| list.iter().map(|i| json!(i.to_string())).collect::<Vec<_>>();
        json!({ "name": name, "valid": valid, "cells": numbers(cells), "slots": numbers(slots) })
    };
    Ok(vec![
        entry("a row and a slot", true, &[3], &[1]),
        entry("three openings of cells", true, &[1, 3, 5], &[]),
        entry("the same opening twice", true, &[4, 4], &[]),
        entry("two slots of a blob and cells", true, &[4], &[2, 3]),
        entry("one of two wrong, the first", false, &[6], &[1]),
        entry("one of two wrong, the second", false, &[3], &[6]),
        entry("both wrong", false, &[6], &[6]),
        entry("errors that cancel without weights", false, &[cell], &[slot]),
    ])
}

fn ledger(srs: &Srs) -> Result<LedgerCommitment, Failure> {
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path("ledger.json"))?)?;
    let mut rows = Vec::new();
    for row in vectors["ledger"]["rows"].as_array().ok_or("rows")? {
        let mut cells: Cells = Cells::default();
        for (cell, given) in cells.iter_mut().zip(row.as_array().ok_or("cells")?) {
            let bytes = hex::decode(&given.as_str().ok_or("a cell")?[2..])?;
            cell.copy_from_slice(&bytes);
        }
        rows.push(Row::from_cells(&cells)?);
    }
    Ok(LedgerCommitment::from_blob(srs, blob_from_rows(&rows)?)?)
}

/// Cells that are hashes, small or zero.
fn symbols_of(seed: u8, symbols: usize) -> Vec<[u8; 31]> {
    let cell = |i: usize| {
        let mut cell = [0; 31];
        let hash = Keccak256::new().chain_update([seed]).chain_update(i.to_be_bytes()).finalize();
        match i % 4 {
            0 => {}
            1 => cell[30] = hash[0],
            _ => cell.copy_from_slice(&hash[..31]),
        }
        cell
    };
    (0..symbols).map(cell).collect()
}

fn cells_vector(name: &str, ledger: &LedgerCommitment, opening: &CellOpening) -> Value {
    json!({
        "name": name,
        "valid": true,
        "commitment": g1(ledger.commitment()),
        "symbols": (8 * ledger.rows()).to_string(),
        "indices": opening.indices.iter().map(u32::to_string).collect::<Vec<_>>(),
        "values": values(&opening.values),
        "quotient": g1(opening.quotient),
        "remainder": g1(opening.remainder),
    })
}

fn slot_vector(
    name: &str,
    blob: &WitnessCommitment,
    cells: u32,
    slot: u32,
    opening: &SlotOpening,
) -> Value {
    json!({
        "name": name,
        "valid": true,
        "commitment": g1(blob.commitment()),
        "symbols": blob.symbols().to_string(),
        "slot_cells": cells.to_string(),
        "slot": slot.to_string(),
        "values": values(&opening.values),
        "quotient": g1(opening.quotient),
        "remainder": g1(opening.remainder),
    })
}

fn changed(vector: &Value, (name, change): &Change) -> Value {
    let mut vector = vector.clone();
    change(&mut vector);
    (vector["name"], vector["valid"]) = (json!(name), json!(false));
    vector
}

fn swap(list: &mut Value, a: usize, b: usize) {
    list.as_array_mut().expect("a list").swap(a, b);
}

fn values(values: &[Fr]) -> Vec<Value> {
    values.iter().map(|&value| hex(word(value))).collect()
}

fn bytes(value: &Value) -> [u8; 32] {
    let bytes = hex::decode(&value.as_str().expect("a word")[2..]).expect("hex");
    bytes.try_into().expect("32 bytes")
}

fn scalar(value: &Value) -> Fr {
    <Fr as ark_ff::PrimeField>::from_be_bytes_mod_order(&bytes(value))
}

fn evm_g1(value: &Value) -> prover::Result<G1Affine> {
    evm::G1 { x: bytes(&value["x"]), y: bytes(&value["y"]) }.try_into()
}

fn identity() -> Value {
    g1(G1Affine::identity())
}

fn hex(word: [u8; 32]) -> Value {
    json!(format!("0x{}", hex::encode(word)))
}

fn g1(point: G1Affine) -> Value {
    let evm::G1 { x, y } = point.into();
    json!({ "x": hex(x), "y": hex(y) })
}

fn g2(srs: &Srs) -> Value {
    let evm::G2 { x1, x0, y1, y0 } = srs.tau_g2_evm();
    json!({ "x1": hex(x1), "x0": hex(x0), "y1": hex(y1), "y0": hex(y0) })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors").join(name)
}

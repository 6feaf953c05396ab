//! Openings of several cells of a ledger and of slots of witness blobs.

use ark_ff::{Field, One, Zero};
use proptest::prelude::*;
use prover::{
    BlobClaim, BlobCommitment, CellOpening, Error, Fr, G1Affine, LedgerCommitment, Opened,
    SlotOpening, WitnessCommitment, blob_from_rows, root_of_unity, verify_cells, verify_openings,
    verify_slot,
};

use crate::{
    SRS,
    vectors::{self, g1, g2, load, number},
    witness_blob::witness_blob,
};
use serde_json::Value;

const SLOT: u32 = 16;

fn ledger() -> LedgerCommitment {
    let blob = blob_from_rows(&vectors::ledger_rows()).unwrap();
    LedgerCommitment::from_blob(&SRS, blob).unwrap()
}

fn cells(seed: u8, symbols: usize) -> Vec<[u8; 31]> {
    let cell = |i: usize| {
        let mut cell = [0; 31];
        if !i.is_multiple_of(5) {
            cell.fill(seed.wrapping_mul(31).wrapping_add(i as u8));
            cell[30] = (i >> 8) as u8;
        }
        cell
    };
    (0..symbols).map(cell).collect()
}

fn witnesses(seed: u8, symbols: usize) -> WitnessCommitment {
    WitnessCommitment::from_blob(&SRS, witness_blob(&cells(seed, symbols))).unwrap()
}

fn symbol(blob: &[u8], i: usize) -> Fr {
    <Fr as ark_ff::PrimeField>::from_be_bytes_mod_order(&blob[32 * i..32 * i + 32])
}

/// By Horner's scheme: the blob's polynomial at the point with this index.
fn evaluation(blob: &[u8], index: u32) -> Fr {
    let symbols: Vec<_> = (0..blob.len() / 32).map(|i| symbol(blob, i)).collect();
    let x = root_of_unity(symbols.len()).unwrap().pow([u64::from(index)]);
    let polynomial = prover::Polynomial::interpolate(symbols).unwrap();
    polynomial.coefficients().iter().rev().fold(Fr::zero(), |y, c| y * x + c)
}

#[test]
fn cells_open_to_the_symbols_of_the_blob() {
    let ledger = ledger();
    let symbols = 8 * ledger.rows();
    for indices in [
        vec![0],
        vec![5],
        vec![symbols as u32 - 1],
        (8..16).collect(),
        vec![0, 1, 2, 3, 24, 25, 31, symbols as u32 - 8],
        (0..symbols as u32).step_by(3).collect(),
        (0..symbols as u32).collect(),
    ] {
        let opening = ledger.open_cells(&SRS, &indices).unwrap();
        assert_eq!(opening.indices, indices);
        for (&index, &value) in indices.iter().zip(&opening.values) {
            assert_eq!(value, symbol(ledger.blob(), index as usize), "{index}");
        }
        assert!(verify_cells(SRS.tau_g2(), ledger.commitment(), symbols, &opening));
    }
}

/// One symbol's quotient is the witness of the plain opening, which is checked against an
/// implementation that is not ours.
#[test]
fn the_quotient_at_one_cell_is_its_plain_witness() {
    let ledger = ledger();
    for (row, cell) in [(0, 0), (1, 3), (4, 7)] {
        let plain = ledger.open_cell(&SRS, row, cell).unwrap();
        let opening = ledger.open_cells(&SRS, &[8 * row as u32 + cell as u32]).unwrap();
        assert_eq!((plain.value, plain.witness), (opening.values[0], opening.quotient));
    }
}

#[test]
fn slots_open_to_their_cells_only() {
    let blob = witnesses(3, 256);
    let stride = 256 / SLOT;
    for slot in 0..stride {
        let opening = blob.open_slot(&SRS, SLOT, slot).unwrap();
        for (j, &value) in (0_u32..).zip(&opening.values) {
            assert_eq!(value, symbol(blob.blob(), (slot + j * stride) as usize));
        }
        assert!(verify_slot(SRS.tau_g2(), blob.commitment(), 256, slot, &opening));
        assert!(!verify_slot(SRS.tau_g2(), blob.commitment(), 256, (slot + 1) % stride, &opening));
        assert!(!verify_slot(SRS.tau_g2(), blob.commitment(), 512, slot, &opening));
    }
}

/// A slot's symbols opened by their indices: another opening of the same values.
#[test]
fn a_slot_and_its_cells_say_the_same() {
    let ledger = ledger();
    let symbols = 8 * ledger.rows();
    let stride = symbols as u32 / 8;
    let indices: Vec<_> = (0..8).map(|j| 3 + j * stride).collect();
    let by_index = ledger.open_cells(&SRS, &indices).unwrap();
    let blob = witnesses(1, symbols);
    let by_slot = blob.open_slot(&SRS, 8, 3).unwrap();
    for (j, index) in indices.iter().enumerate() {
        assert_eq!(by_slot.values[j], symbol(blob.blob(), *index as usize));
        assert_eq!(by_index.values[j], symbol(ledger.blob(), *index as usize));
    }
    // As polynomials of the same size, W differs with the values alone.
    let as_slot = SlotOpening {
        values: by_index.values.clone(),
        quotient: by_index.quotient,
        remainder: by_index.remainder,
    };
    // Its chi is of another hash, so the remainder is that of another point.
    assert!(!verify_slot(SRS.tau_g2(), ledger.commitment(), symbols, 3, &as_slot));
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let ledger = ledger();
    let end = 8 * ledger.rows() as u32;
    for indices in [vec![], vec![3, 3], vec![4, 3]] {
        assert!(matches!(ledger.open_cells(&SRS, &indices), Err(Error::CellIndices)));
    }
    let outside = ledger.open_cells(&SRS, &[1, end]);
    assert!(matches!(outside, Err(Error::OutsideDomain { .. })));
    let blob = witnesses(1, 64);
    for given in [0, 4, 24, 64, 128] {
        let refused = blob.open_slot(&SRS, given, 0);
        assert!(matches!(refused, Err(Error::SlotCells { cells, symbols: 64 }) if cells == given));
    }
    assert!(matches!(blob.open_slot(&SRS, 8, 8), Err(Error::OutsideDomain { .. })));
}

#[test]
fn witness_blobs_of_another_form_are_refused() {
    for symbols in [0, 8, 24, 1 << 20] {
        let refused = WitnessCommitment::from_blob(&SRS, vec![0; 32 * symbols]);
        assert!(matches!(refused, Err(Error::WitnessLength { given }) if given == 32 * symbols));
    }
    let blob = witness_blob(&cells(1, 16));
    assert_eq!(blob[..6], [0, 0, 0, 0, 1, 209], "the payload has 15 * 31 = 465 bytes");
    let refused = |at: usize, byte: u8| {
        let mut blob = blob.clone();
        blob[at] = byte;
        WitnessCommitment::from_blob(&SRS, blob).unwrap_err()
    };
    assert!(matches!(refused(5, 0), Error::PayloadHeader { length: 465 }));
    assert!(matches!(refused(31, 1), Error::PayloadHeader { .. }));
    assert!(matches!(refused(64, 1), Error::SymbolPrefix { symbol: 2, byte: 1 }));
    let short = WitnessCommitment::from_blob(&SRS, blob[..480].to_vec());
    assert!(matches!(short, Err(Error::WitnessLength { given: 480 })));
}

/// A blob of no rows and no payload, which somebody may have committed to all the same.
#[test]
fn any_symbols_can_be_shown() {
    let mut blob = vec![0x11; 32 * 64];
    blob[..32].fill(0);
    let any = BlobCommitment::new(&SRS, blob.clone()).unwrap();
    let cells = any.open_cells(&SRS, &[0, 5]).unwrap();
    assert_eq!(cells.values[1], symbol(&blob, 5));
    assert!(verify_cells(SRS.tau_g2(), any.commitment(), 64, &cells));
    let slot = any.open_slot(&SRS, 8, 3).unwrap();
    assert!(verify_slot(SRS.tau_g2(), any.commitment(), 64, 3, &slot));
    assert!(LedgerCommitment::from_blob(&SRS, blob.clone()).is_err());
    blob[32] = 0xff;
    assert!(matches!(BlobCommitment::new(&SRS, blob), Err(Error::SymbolRange { symbol: 1 })));
    for bytes in [0, 31, 33, 96] {
        let refused = BlobCommitment::new(&SRS, vec![0; bytes]);
        assert!(matches!(refused, Err(Error::DomainSize { .. })), "{bytes}");
    }
}

/// Everything of an opening and its claim changed in turn.
#[test]
fn changed_openings_do_not_hold() {
    let ledger = ledger();
    let symbols = 8 * ledger.rows();
    let holds =
        |commitment, symbols, opening: &_| verify_cells(SRS.tau_g2(), commitment, symbols, opening);
    let opening = ledger.open_cells(&SRS, &[9, 10, 17, 30]).unwrap();
    assert!(holds(ledger.commitment(), symbols, &opening));
    assert!(!holds(SRS.g1()[1], symbols, &opening));
    assert!(!holds(ledger.commitment(), 2 * symbols, &opening));
    assert!(!holds(ledger.commitment(), symbols / 2, &opening));
    assert!(!holds(ledger.commitment(), symbols - 1, &opening));
    assert!(!holds(ledger.commitment(), 0, &opening));
    let changes: Vec<fn(&mut CellOpening)> = vec![
        |o| o.indices[3] += 1,
        |o| o.indices[0] = 8,
        |o| o.indices.swap(1, 2),
        |o| o.indices[1] = o.indices[0],
        |o| o.indices[3] = u32::MAX,
        |o| {
            o.indices.swap(1, 2);
            o.values.swap(1, 2);
        },
        |o| o.values.swap(1, 2),
        |o| o.values[0] += Fr::one(),
        |o| o.values[0] += Fr::from(2).pow([248_u64]),
        |o| {
            o.values.pop();
        },
        |o| o.values.push(Fr::zero()),
        |o| {
            o.values.pop();
            o.indices.pop();
        },
        |o| {
            o.values.clear();
            o.indices.clear();
        },
        |o| o.quotient = G1Affine::identity(),
        |o| o.quotient = SRS.g1()[2],
        |o| o.remainder = G1Affine::identity(),
        |o| o.remainder = -o.remainder,
        |o| std::mem::swap(&mut o.quotient, &mut o.remainder),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut changed = opening.clone();
        change(&mut changed);
        assert!(!holds(ledger.commitment(), symbols, &changed), "change {i}");
    }
}

#[test]
fn openings_are_checked_together() {
    let (ledger, blob) = (ledger(), witnesses(5, 128));
    let cells = ledger.open_cells(&SRS, &[8, 9]).unwrap();
    let slot = blob.open_slot(&SRS, 16, 2).unwrap();
    let claims = |cells: &CellOpening, slot: &SlotOpening| {
        let symbols = 8 * ledger.rows();
        verify_openings(
            SRS.tau_g2(),
            &[
                BlobClaim {
                    commitment: ledger.commitment(),
                    symbols,
                    opened: Opened::Cells(cells),
                },
                BlobClaim {
                    commitment: blob.commitment(),
                    symbols: 128,
                    opened: Opened::Slot { slot: 2, opening: slot },
                },
            ],
        )
    };
    assert!(claims(&cells, &slot));
    let (mut other_cells, mut other_slot) = (cells.clone(), slot.clone());
    other_cells.values[0] += Fr::one();
    other_slot.values[0] += Fr::one();
    assert!(!claims(&other_cells, &slot));
    assert!(!claims(&cells, &other_slot));
    assert!(!claims(&other_cells, &other_slot));
    // Errors of the remainders that cancel where they are added without weights.
    let (mut cells, mut slot) = (cells, slot);
    cells.remainder = (cells.remainder + SRS.g1()[0]).into();
    slot.remainder = (slot.remainder - SRS.g1()[0]).into();
    assert!(!claims(&cells, &slot));
    assert!(verify_openings(SRS.tau_g2(), &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slots_open_to_evaluations(
        seed in any::<u8>(),
        log in 4_u32..9,
        cell_bits in 3_u32..6,
        slot in any::<u32>(),
    ) {
        let symbols = 1_usize << log;
        let blob = witnesses(seed, symbols);
        let cells = 1_u32 << cell_bits.min(log - 1);
        let stride = symbols as u32 / cells;
        let slot = slot % stride;
        let opening = blob.open_slot(&SRS, cells, slot).unwrap();
        for (j, &value) in (0_u32..).zip(&opening.values) {
            prop_assert_eq!(value, evaluation(blob.blob(), slot + j * stride));
        }
        prop_assert!(verify_slot(SRS.tau_g2(), blob.commitment(), symbols, slot, &opening));
        let mut changed = opening;
        changed.values[usize::from(seed) % cells as usize] -= Fr::one();
        prop_assert!(!verify_slot(SRS.tau_g2(), blob.commitment(), symbols, slot, &changed));
    }

    #[test]
    fn cells_open_to_evaluations(
        which in any::<prop::sample::Index>(),
        indices in prop::collection::btree_set(0_u32..128, 1..20),
    ) {
        let ledger = ledger();
        let symbols = 8 * ledger.rows();
        let indices: Vec<_> = indices.into_iter().map(|i| i % symbols as u32).collect();
        let indices: std::collections::BTreeSet<_> = indices.into_iter().collect();
        let indices: Vec<_> = indices.into_iter().collect();
        let opening = ledger.open_cells(&SRS, &indices).unwrap();
        for (&index, &value) in indices.iter().zip(&opening.values) {
            prop_assert_eq!(value, evaluation(ledger.blob(), index));
        }
        prop_assert!(verify_cells(SRS.tau_g2(), ledger.commitment(), symbols, &opening));
        let mut changed = opening;
        changed.values[which.index(indices.len())] += Fr::one();
        prop_assert!(!verify_cells(SRS.tau_g2(), ledger.commitment(), symbols, &changed));
    }
}

fn scalars(value: &Value) -> Vec<Fr> {
    let scalar = |word| {
        let word: [u8; 32] = vectors::bytes(word);
        <Fr as ark_ff::PrimeField>::from_be_bytes_mod_order(&word)
    };
    value.as_array().unwrap().iter().map(scalar).collect()
}

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn cell_opening(vector: &Value) -> CellOpening {
    CellOpening {
        indices: integers(&vector["indices"]),
        values: scalars(&vector["values"]),
        quotient: g1(&vector["quotient"]),
        remainder: g1(&vector["remainder"]),
    }
}

fn slot_opening(vector: &Value) -> SlotOpening {
    SlotOpening {
        values: scalars(&vector["values"]),
        quotient: g1(&vector["quotient"]),
        remainder: g1(&vector["remainder"]),
    }
}

/// The vectors that Solidity reads too; scalars there are reduced, which `Fr` always is.
#[test]
fn openings_of_the_vectors_hold_as_said() {
    let vectors = load("cell_openings.json");
    let tau_g2 = g2(&vectors["tau_g2"]);
    let list = |name: &str| vectors[name].as_array().unwrap().clone();
    let (cells, slots) = (list("cells"), list("slots"));
    let said = |vector: &Value| vector["valid"].as_bool().unwrap();
    let mut counts = [0, 0];
    for vector in &cells {
        let holds = verify_cells(
            tau_g2,
            g1(&vector["commitment"]),
            number(&vector["symbols"]),
            &cell_opening(vector),
        );
        assert_eq!(holds, said(vector), "{}", vector["name"]);
        counts[usize::from(holds)] += 1;
    }
    for vector in &slots {
        let opening = slot_opening(vector);
        let cells: usize = number(&vector["slot_cells"]);
        let holds = opening.values.len() == cells
            && verify_slot(
                tau_g2,
                g1(&vector["commitment"]),
                number(&vector["symbols"]),
                number(&vector["slot"]),
                &opening,
            );
        assert_eq!(holds, said(vector), "{}", vector["name"]);
        counts[usize::from(holds)] += 1;
    }
    for vector in &list("together") {
        let opened: Vec<_> =
            integers(&vector["cells"]).iter().map(|&i| cell_opening(&cells[i as usize])).collect();
        let slotted: Vec<_> =
            integers(&vector["slots"]).iter().map(|&i| slot_opening(&slots[i as usize])).collect();
        let of_cells = integers(&vector["cells"]).into_iter().zip(&opened).map(|(i, opening)| {
            let vector = &cells[i as usize];
            BlobClaim {
                commitment: g1(&vector["commitment"]),
                symbols: number(&vector["symbols"]),
                opened: Opened::Cells(opening),
            }
        });
        let of_slots = integers(&vector["slots"]).into_iter().zip(&slotted).map(|(i, opening)| {
            let vector = &slots[i as usize];
            BlobClaim {
                commitment: g1(&vector["commitment"]),
                symbols: number(&vector["symbols"]),
                opened: Opened::Slot { slot: number(&vector["slot"]), opening },
            }
        });
        let claims: Vec<_> = of_cells.chain(of_slots).collect();
        let holds = verify_openings(tau_g2, &claims);
        assert_eq!(holds, said(vector), "{}", vector["name"]);
        counts[usize::from(holds)] += 1;
    }
    let [invalid, valid] = counts;
    assert!(valid >= 12 && invalid >= 30, "{valid} valid, {invalid} invalid");
}

use ark_bn254::{Fr, G1Affine};
use attribution::settle::ChannelId;

use super::{Batch, PayoutProof, PayoutStatement, SMALL, SRS, Size};
use crate::{
    Error,
    evm::{Word, word},
};

/// A word one higher or, at the end of the range, one lower.
fn changed(mut given: Word, at: usize) -> Word {
    given[at] ^= 1;
    given
}

#[test]
fn every_word_of_a_proof_counts() {
    let batch = Batch::random(20, Size { stride: 30, calls: 2, ..SMALL }, 128);
    let proof = batch.prove().unwrap();
    let (pages, limbs) = (proof.pages.len(), batch.key.limbs());
    assert!(pages > 1);
    let words = proof.to_words();
    for i in 0..words.len() {
        for at in [31, 15] {
            let mut words = words.clone();
            words[i] = changed(words[i], at);
            // A point's coordinate changed is no point; that is a refusal too.
            let accepted = PayoutProof::from_words(&words, pages, limbs)
                .is_ok_and(|proof| batch.key.verify(&batch.statement, &proof));
            assert!(!accepted, "word {i}, byte {at}");
        }
    }
}

/// Every point moved to another point of the curve and every scalar by one.
#[test]
fn every_element_of_a_proof_counts() {
    let batch = Batch::random(21, Size { stride: 30, calls: 2, ..SMALL }, 128);
    let proof = batch.prove().unwrap();
    let points: Vec<fn(&mut PayoutProof) -> &mut G1Affine> = vec![
        |p| &mut p.pages[0].reversed,
        |p| &mut p.pages[1].reversed,
        |p| &mut p.limbs[0],
        |p| &mut p.limbs[3],
        |p| p.limbs.last_mut().unwrap(),
        |p| &mut p.multiplicities,
        |p| &mut p.pages[0].accumulator,
        |p| &mut p.pages[1].accumulator,
        |p| &mut p.accumulators[0],
        |p| &mut p.accumulators[1],
        |p| &mut p.accumulators[2],
        |p| &mut p.quotients[0],
        |p| &mut p.quotients[1],
        |p| &mut p.opening,
        |p| &mut p.combined_opening,
    ];
    let scalars: Vec<fn(&mut PayoutProof) -> &mut Fr> = vec![
        |p| &mut p.pages[0].sum,
        |p| &mut p.pages[1].sum,
        |p| &mut p.pages[0].payouts_at,
        |p| &mut p.pages[1].payouts_at,
        |p| &mut p.lookup_sum,
        |p| &mut p.limbs_at[0],
        |p| p.limbs_at.last_mut().unwrap(),
        |p| &mut p.multiplicities_at,
        |p| &mut p.pages[0].accumulator_at[0],
        |p| &mut p.pages[1].accumulator_at[1],
        |p| &mut p.pages[1].accumulator_at[0],
        |p| &mut p.pages[0].accumulator_at[1],
        |p| &mut p.cells_at[0],
        |p| &mut p.cells_at[1],
        |p| &mut p.cells_at[2],
        |p| &mut p.cells_at[3],
        |p| &mut p.accumulators_at[0][0],
        |p| &mut p.accumulators_at[0][1],
        |p| &mut p.accumulators_at[1][0],
        |p| &mut p.accumulators_at[1][1],
        |p| &mut p.accumulators_at[2][0],
        |p| &mut p.accumulators_at[2][1],
        |p| &mut p.identity_at,
    ];
    for (i, point) in points.into_iter().enumerate() {
        for other in [G1Affine::identity(), SRS.g1()[3]] {
            let mut proof = proof.clone();
            // The highest limbs of small payouts are the identity already.
            if std::mem::replace(point(&mut proof), other) == other {
                continue;
            }
            assert!(!batch.key.verify(&batch.statement, &proof), "point {i}");
        }
    }
    for (i, scalar) in scalars.into_iter().enumerate() {
        let mut proof = proof.clone();
        *scalar(&mut proof) += Fr::from(1);
        assert!(!batch.key.verify(&batch.statement, &proof), "scalar {i}");
    }
}

#[test]
fn every_public_input_counts() {
    let batch = Batch::random(22, Size { stride: 30, ..SMALL }, 128);
    let proof = batch.prove().unwrap();
    assert!(batch.statement.pages.len() > 1 && batch.statement.draws.len() == 2);
    let changes: Vec<fn(&mut PayoutStatement)> = vec![
        |s| s.chain_id += 1,
        |s| s.settlement[0] ^= 1,
        |s| s.operator[19] ^= 1,
        |s| s.batch[31] ^= 1,
        |s| s.certificate_hash[0] ^= 1,
        |s| s.rows *= 2,
        |s| s.rows /= 2,
        |s| s.rows = 0,
        |s| s.rows = 48,
        |s| s.total += 1,
        |s| s.total -= 1,
        |s| {
            s.total += 1;
            s.draws[0].amount += 1;
        },
        |s| {
            s.draws[0].amount += 1;
            s.draws[1].amount -= 1;
        },
        |s| s.draws.swap(0, 1),
        |s| {
            let draw = s.draws.remove(0);
            s.draws[0].amount += draw.amount;
        },
        |s| s.draws[0].channel = ChannelId([0x77; 32]),
        // The last two bytes of an id are not in the account's key, but in the transcript.
        |s| s.draws[0].channel.0[31] ^= 1,
        |s| s.draws.push(s.draws[0]),
        |s| s.draws.clear(),
        |s| s.ledger = G1Affine::identity(),
        |s| s.ledger = SRS.g1()[1],
        |s| s.witnesses.push(SRS.g1()[1]),
        |s| s.pages[0].1 = SRS.g1()[1],
        |s| s.pages[1].0 += 1,
        |s| s.pages[1].0 = u32::MAX,
        |s| s.pages.swap(0, 1),
        |s| {
            let (first, second) = (s.pages[0].1, s.pages[1].1);
            (s.pages[0].1, s.pages[1].1) = (second, first);
        },
        |s| s.pages.truncate(1),
        |s| s.pages.clear(),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut statement = batch.statement.clone();
        change(&mut statement);
        assert!(!batch.key.verify(&statement, &proof), "change {i}");
    }
    assert!(batch.key.verify(&batch.statement, &proof));
}

#[test]
fn every_cell_of_the_ledger_and_the_order_of_its_rows_count() {
    let smallest = Size { calls: 1, contributors: 1, stride: 1, credits: 1, channels: 1 };
    let batch = Batch::random(25, smallest, 64);
    let proof = batch.prove().unwrap();
    let symbols = crate::blob::elements(batch.ledger.blob());
    let refused = |symbols: Vec<Fr>| {
        let polynomial = crate::Polynomial::interpolate(symbols).unwrap();
        let mut statement = batch.statement.clone();
        statement.ledger = SRS.commit(polynomial.coefficients()).unwrap();
        !batch.key.verify(&statement, &proof)
    };
    assert!(!refused(symbols.clone()));
    for i in 0..symbols.len() {
        let mut symbols = symbols.clone();
        symbols[i] += Fr::from(1);
        assert!(refused(symbols), "symbol {i}");
    }
    for row in 1..symbols.len() / 8 - 1 {
        let mut symbols = symbols.clone();
        let (low, high) = symbols.split_at_mut(8 * (row + 1));
        if low[8 * row..] != high[..8] {
            low[8 * row..].swap_with_slice(&mut high[..8]);
            assert!(refused(symbols), "rows {row} and the next");
        }
    }
}

#[test]
fn a_proof_for_another_key_is_refused() {
    let batch = Batch::random(23, SMALL, 64);
    let proof = batch.prove().unwrap();
    let other = crate::Srs::dev(31_337, b"another", 512).unwrap();
    let other = super::VerifierKey::new(&other, 64).unwrap();
    assert!(!other.verify(&batch.statement, &proof));
    let larger = super::VerifierKey::new(&SRS, 512).unwrap();
    assert!(!larger.verify(&batch.statement, &proof));
}

#[test]
fn words_that_are_no_proof_are_refused() {
    let batch = Batch::random(24, SMALL, 64);
    let words = batch.prove().unwrap().to_words();
    let limbs = batch.key.limbs();
    let read = |words: &[Word]| PayoutProof::from_words(words, 1, limbs);
    assert!(matches!(read(&words[1..]), Err(Error::ProofLength { .. })));
    assert!(matches!(read(&[]), Err(Error::ProofLength { given: 0, .. })));
    let scalar = words.len() - 5;
    for (at, value) in [(scalar, [0xff; 32]), (scalar, modulus())] {
        let mut words = words.clone();
        words[at] = value;
        assert!(matches!(read(&words), Err(Error::InvalidScalar)));
    }
    let mut off = words;
    off[0] = [0xff; 32];
    assert!(matches!(read(&off), Err(Error::InvalidPoint)));
}

fn modulus() -> Word {
    let mut word = word(-Fr::from(1));
    word[31] += 1;
    word
}

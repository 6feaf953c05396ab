//! Provers that follow the rounds on columns of their choice, each caught by another statement.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{BigInteger, PrimeField, Zero};

use super::{Batch, PayoutProof, SMALL, SRS, Size};
use crate::{
    Polynomial,
    argument::{challenges::Sums, prove::Rounds, witness::Witness},
    root_of_unity,
};

/// A batch whose columns may be anything.
struct Cheat {
    batch: Batch,
    witness: Witness,
}

impl Cheat {
    fn new(seed: u64) -> Self {
        Self::of(Batch::random(seed, SMALL, 64))
    }

    fn of(batch: Batch) -> Self {
        let witness =
            Witness::new(&batch.key, &batch.statement, &batch.ledger, &batch.payouts).unwrap();
        Self { batch, witness }
    }

    /// Writes a cell of the ledger and commits to it.
    fn set_cell(&mut self, row: usize, column: usize, value: Fr) {
        let (rows, symbol) = (self.batch.statement.rows as usize, 8 * row + column);
        let change = value - self.witness.cells[column][row];
        self.witness.cells[column][row] = value;
        let mut values = vec![Fr::zero(); 8 * rows];
        values[symbol] = change;
        let change = Polynomial::interpolate(values).unwrap().into_coefficients();
        self.witness.ledger.iter_mut().zip(change).for_each(|(c, d)| *c += d);
        self.batch.statement.ledger = SRS.commit(&self.witness.ledger).unwrap();
    }

    /// Writes a payout, with the best limbs there are, and commits to it.
    fn set_payout(&mut self, page: usize, earner: usize, value: Fr) {
        let (size, limbs) = (self.batch.key.page_size(), self.batch.key.limbs());
        let columns = &mut self.witness.pages[page];
        columns.payouts[earner] = value;
        columns.polynomial =
            Polynomial::interpolate(columns.payouts.clone()).unwrap().into_coefficients();
        columns.reversed = columns.polynomial.iter().rev().copied().collect();
        let bits = value.into_bigint().to_bits_le();
        let width = size.ilog2() as usize;
        let digit = |i: usize| {
            let bits = &bits[(i * width).min(bits.len())..((i + 1) * width).min(bits.len())];
            bits.iter().rev().fold(0_u64, |digit, &bit| 2 * digit + u64::from(bit))
        };
        for i in 0..limbs {
            columns.limbs[i][earner] = Fr::from(digit(i));
        }
        // Whatever is too large goes to the lowest limb, so that the limbs compose the payout.
        let base = Fr::from(size);
        let composed =
            (0..limbs).rev().fold(Fr::zero(), |sum, i| sum * base + columns.limbs[i][earner]);
        columns.limbs[0][earner] += value - composed;
        columns.multiplicities = count(&columns.limbs, size);
        self.commit_page(page);
    }

    fn commit_page(&mut self, page: usize) {
        let commitment = SRS.commit(&self.witness.pages[page].polynomial).unwrap();
        self.batch.statement.pages[page].1 = commitment;
    }

    fn rounds(&self) -> Rounds<'_> {
        Rounds::new(&SRS, &self.batch.key, &self.batch.statement, &self.witness)
    }

    /// A proof with the sums that its pages have.
    fn prove(&self) -> PayoutProof {
        let mut rounds = self.rounds();
        let sums = rounds.commit_columns(&self.witness).unwrap();
        finish(rounds, &sums, &self.witness, None)
    }

    /// A proof with the sum of the first page that its rows call for.
    fn prove_for_rows(&self) -> PayoutProof {
        let mut rounds = self.rounds();
        let sums = rounds.commit_columns(&self.witness).unwrap();
        let terms = rounds.terms(&sums, &self.witness);
        let claimed = rounds.claim_sums(&sums, &terms).unwrap();
        let error = terms.rows[1].iter().sum::<Fr>() - claimed[1];
        finish(rounds, &sums, &self.witness, Some(error))
    }

    fn is_accepted(&self, proof: &PayoutProof) -> bool {
        self.batch.key.verify(&self.batch.statement, proof)
    }

    fn is_caught(&self) -> bool {
        !self.is_accepted(&self.prove()) && !self.is_accepted(&self.prove_for_rows())
    }

    /// A row that pays something, and whom.
    fn paying_row(&self, skip: usize) -> (usize, Fr, Fr) {
        let [earners, amounts, ..] = &self.witness.cells;
        let paying = (1..amounts.len()).filter(|&row| !amounts[row].is_zero());
        let row = paying.skip(skip).next().unwrap();
        (row, earners[row], amounts[row])
    }
}

fn count(limbs: &[Vec<Fr>], size: u32) -> Vec<Fr> {
    let values = limbs.iter().flatten();
    let mut counts = vec![Fr::zero(); size as usize];
    for value in values {
        if let Some(count) = (0..size).find(|&k| Fr::from(k) == *value) {
            counts[count as usize] += Fr::from(1);
        }
    }
    counts
}

fn finish(
    mut rounds: Rounds<'_>,
    sums: &Sums,
    witness: &Witness,
    error: Option<Fr>,
) -> PayoutProof {
    let terms = rounds.terms(sums, witness);
    let mut claimed = rounds.claim_sums(sums, &terms).unwrap();
    claimed[1] += error.unwrap_or_default();
    rounds.proof.pages[0].sum += error.unwrap_or_default();
    let accumulated = rounds.commit_accumulators(&terms, claimed);
    let quotients = rounds.commit_quotients(sums, witness, accumulated.unwrap()).unwrap();
    rounds.open(witness, &quotients).unwrap()
}

fn index(earner: Fr) -> usize {
    earner.into_bigint().as_ref()[0] as usize
}

#[test]
fn the_rounds_of_an_honest_prover_are_accepted() {
    let mut cheat = Cheat::new(30);
    assert!(cheat.is_accepted(&cheat.prove()));
    // Writing what is there already changes nothing.
    let (row, earner, amount) = cheat.paying_row(0);
    cheat.set_cell(row, 1, amount);
    cheat.set_payout(0, index(earner), cheat.witness.pages[0].payouts[index(earner)]);
    assert!(cheat.is_accepted(&cheat.prove()));
}

#[test]
fn a_gwei_moved_between_earners_is_caught() {
    let mut cheat = Cheat::new(31);
    let payouts = cheat.witness.pages[0].payouts.clone();
    let mut paid = (0..64).filter(|&k| !payouts[k].is_zero());
    let (from, to) = (paid.next().unwrap(), paid.next().unwrap());
    cheat.set_payout(0, from, payouts[from] - Fr::from(1));
    cheat.set_payout(0, to, payouts[to] + Fr::from(1));
    assert!(cheat.is_caught());
}

#[test]
fn a_gwei_moved_between_pages_is_caught() {
    let mut cheat = Cheat::of(Batch::random(32, Size { stride: 30, ..SMALL }, 64));
    for (page, change) in [(0, Fr::from(1)), (1, -Fr::from(1))] {
        let payouts = cheat.witness.pages[page].payouts.clone();
        let earner = (0..64).find(|&k| payouts[k] > Fr::from(1)).unwrap();
        cheat.set_payout(page, earner, payouts[earner] + change);
    }
    assert!(cheat.is_caught());
}

/// Rows and payouts agree, and so does the total: only the range is wrong.
#[test]
fn negative_amounts_that_cancel_are_caught() {
    let mut cheat = Cheat::new(33);
    let ((row, earner, amount), (other_row, other, other_amount)) =
        (cheat.paying_row(0), cheat.paying_row(1));
    assert_ne!(earner, other);
    let payouts = cheat.witness.pages[0].payouts.clone();
    let taken = payouts[index(earner)] + Fr::from(5);
    cheat.set_cell(row, 1, amount - taken);
    cheat.set_cell(other_row, 1, other_amount + taken);
    cheat.set_payout(0, index(earner), -Fr::from(5));
    cheat.set_payout(0, index(other), payouts[index(other)] + taken);
    let sums: Fr = cheat.witness.pages[0].payouts.iter().sum();
    assert_eq!(sums, Fr::from(cheat.batch.statement.total));
    assert!(cheat.is_caught());
}

/// The limbs compose the payout, but one is not in the table; its multiplicity is chosen for gamma.
#[test]
fn multiplicities_chosen_after_gamma_are_caught() {
    let mut cheat = Cheat::new(34);
    let ((row, earner, amount), (other_row, other, other_amount)) =
        (cheat.paying_row(0), cheat.paying_row(1));
    let payouts = cheat.witness.pages[0].payouts.clone();
    let taken = payouts[index(earner)] + Fr::from(5);
    cheat.set_cell(row, 1, amount - taken);
    cheat.set_cell(other_row, 1, other_amount + taken);
    cheat.set_payout(0, index(earner), -Fr::from(5));
    cheat.set_payout(0, index(other), payouts[index(other)] + taken);

    let mut rounds = Rounds::new(&SRS, &cheat.batch.key, &cheat.batch.statement, &cheat.witness);
    let sums = rounds.commit_columns(&cheat.witness).unwrap();
    let mut witness = cheat.witness.clone();
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms).unwrap();
    let error = claimed[1] - terms.rows[1].iter().sum::<Fr>();
    // One multiplicity more at 0 takes delta / gamma from the page's sum.
    witness.pages[0].multiplicities[0] += error * sums.gamma / sums.delta;
    rounds.set_columns(&witness).unwrap();
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms).unwrap();
    assert_eq!(claimed[1], terms.rows[1].iter().sum::<Fr>(), "the sums of this gamma agree");
    assert!(!cheat.is_accepted(&finish(rounds, &sums, &witness, None)));
}

#[test]
fn a_dropped_or_doubled_row_is_caught() {
    for doubled in [false, true] {
        for paid_to_match in [false, true] {
            let mut cheat = Cheat::new(35);
            let (row, earner, amount) = cheat.paying_row(1);
            let padding = cheat.witness.cells[0].len() - 1;
            assert!(cheat.witness.cells[2][padding].is_zero(), "the last row is padding");
            if doubled {
                for column in 0..4 {
                    let cell = cheat.witness.cells[column][row];
                    cheat.set_cell(padding, column, cell);
                }
            } else {
                for (column, cell) in [0, 0, 0, 1_u64 << 63].into_iter().enumerate() {
                    cheat.set_cell(row, column, Fr::from(cell));
                }
            }
            if paid_to_match {
                let payout = cheat.witness.pages[0].payouts[index(earner)];
                let payout = if doubled { payout + amount } else { payout - amount };
                cheat.set_payout(0, index(earner), payout);
            }
            assert!(cheat.is_caught(), "doubled: {doubled}, paid to match: {paid_to_match}");
        }
    }
}

/// All values of P stay, so every statement but the degree holds.
#[test]
fn a_secret_multiple_of_the_vanishing_polynomial_is_caught() {
    for secret in [Fr::from(1), Fr::from(0x5ec2e7_u64)] {
        let mut cheat = Cheat::new(36);
        let page = &mut cheat.witness.pages[0];
        page.polynomial.push(secret);
        page.polynomial[0] -= secret;
        // The reversed polynomial would need a power of -1; the best there is leaves it out.
        page.reversed = page.polynomial[..64].iter().rev().copied().collect();
        cheat.commit_page(0);
        assert!(cheat.is_caught());
        cheat.witness.pages[0].reversed =
            cheat.witness.pages[0].polynomial.iter().rev().copied().collect();
        assert!(cheat.is_caught());
    }
}

#[test]
fn a_total_off_by_one_is_caught() {
    for raised in [false, true] {
        let mut cheat = Cheat::new(37);
        let statement = &mut cheat.batch.statement;
        let change = |gwei: &mut u64| if raised { *gwei += 1 } else { *gwei -= 1 };
        change(&mut statement.total);
        change(&mut statement.draws[0].amount);
        assert!(cheat.is_caught());
    }
}

#[test]
fn draws_from_other_channels_than_the_rows_charge_are_caught() {
    let mut cheat = Cheat::new(38);
    cheat.batch.statement.draws[0].amount += 1;
    cheat.batch.statement.draws[1].amount -= 1;
    assert!(cheat.is_caught());
    let mut cheat = Cheat::new(38);
    cheat.batch.statement.draws[0].channel.0[0] ^= 1;
    assert!(cheat.is_caught());
}

#[test]
fn half_and_double_the_length_of_the_blob_are_caught() {
    for rows in [32_usize, 128] {
        let mut cheat = Cheat::new(39);
        assert_eq!(cheat.batch.statement.rows, 64);
        cheat.batch.statement.rows = rows as u32;
        // The cells that the other length reads from the same polynomial.
        let root = root_of_unity(8 * rows).unwrap();
        let f = cheat.witness.ledger.clone();
        let at = |i: usize| {
            let x = ark_ff::Field::pow(&root, [i as u64]);
            f.iter().rev().fold(Fr::zero(), |y, c| y * x + c)
        };
        cheat.witness.cells = [0, 1, 2, 3].map(|j| (0..rows).map(|i| at(8 * i + j)).collect());
        assert!(cheat.is_caught(), "{rows} rows");
    }
}

#[test]
fn a_row_that_pays_an_earner_of_no_page_is_caught() {
    let mut cheat = Cheat::new(40);
    let (row, earner, amount) = cheat.paying_row(0);
    let payout = cheat.witness.pages[0].payouts[index(earner)];
    cheat.set_cell(row, 0, Fr::from(1_000_000));
    assert!(cheat.is_caught(), "still paid to whom it was");
    cheat.set_payout(0, index(earner), payout - amount);
    assert!(cheat.is_caught(), "paid to nobody");
}

#[test]
fn the_proof_of_another_batch_is_refused() {
    let (one, other) = (Cheat::new(41), Cheat::new(42));
    assert!(!one.is_accepted(&other.prove()));
    let mut again = Cheat::new(41);
    again.batch.statement.batch = other.batch.statement.batch;
    assert!(!again.is_accepted(&one.prove()));
    // For its own statement the same columns prove.
    assert!(again.is_accepted(&again.prove()));
}

#[test]
fn identities_stand_for_no_polynomial() {
    let cheat = Cheat::new(43);
    let blank = PayoutProof::blank(1, cheat.batch.key.limbs());
    assert!(!cheat.is_accepted(&blank));
    assert_eq!(blank.opening, G1Affine::identity());
}

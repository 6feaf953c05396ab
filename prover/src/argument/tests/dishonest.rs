//! Provers that follow the rounds on columns of their choice, each caught by another statement.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{PrimeField, Zero};

use serde_json::json;

use super::{
    Batch, PayoutProof, PayoutStatement, SMALL, SRS, Size,
    vector::{g1, g2, statement_vector, with_proof},
};
use crate::{
    Polynomial,
    argument::{
        challenges::Sums,
        prove::Rounds,
        witness::{Witness, limbs},
    },
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
        self.set_limbs();
        let mut values = vec![Fr::zero(); 8 * rows];
        values[symbol] = change;
        let change = Polynomial::interpolate(values).unwrap().into_coefficients();
        self.witness.ledger.iter_mut().zip(change).for_each(|(c, d)| *c += d);
        self.batch.statement.ledger = SRS.commit(&self.witness.ledger).unwrap();
    }

    /// The best limbs that there are: those of a false amount compose it and one is not in the table.
    fn set_limbs(&mut self) {
        (self.witness.limbs, self.witness.multiplicities) =
            limbs(&self.batch.key, &self.witness.cells[1]);
    }

    /// Writes a payout and commits to it.
    fn set_payout(&mut self, page: usize, earner: usize, value: Fr) {
        let columns = &mut self.witness.pages[page];
        columns.payouts[earner] = value;
        columns.polynomial =
            Polynomial::interpolate(columns.payouts.clone()).unwrap().into_coefficients();
        columns.reversed = columns.polynomial.iter().rev().copied().collect();
        self.commit_page(page);
    }

    fn commit_page(&mut self, page: usize) {
        let commitment = SRS.commit(&self.witness.pages[page].polynomial).unwrap();
        self.batch.statement.pages[page].1 = commitment;
    }

    fn rounds(&self) -> Rounds<'_> {
        Rounds::new(&SRS, &self.batch.key, &self.batch.statement, &self.witness)
    }

    /// A proof with the sums that its columns have.
    fn prove(&self) -> PayoutProof {
        self.prove_claiming(|_, _, _| ())
    }

    /// A proof with the sum of the first page that its rows call for.
    fn prove_for_rows(&self) -> PayoutProof {
        self.prove_claiming(|proof, error, _| proof.pages[0].sum += error)
    }

    /// A proof with the sum of the lookup that its rows call for.
    fn prove_for_lookup(&self) -> PayoutProof {
        self.prove_claiming(|proof, error, sums| proof.lookup_sum += error / sums.delta)
    }

    /// `claim` is told what the rows' amounts sum to above what the other sums say.
    fn prove_claiming(&self, claim: impl Fn(&mut PayoutProof, Fr, &Sums)) -> PayoutProof {
        let mut rounds = self.rounds();
        let sums = rounds.commit_columns(&self.witness).unwrap();
        finish(rounds, &sums, &self.witness, claim)
    }

    /// Proofs of provers that claim one sum or the other, by name.
    fn proofs(&self) -> [(&'static str, PayoutProof); 3] {
        [
            ("true sums", self.prove()),
            ("the pages' sum of the rows", self.prove_for_rows()),
            ("the lookup's sum of the rows", self.prove_for_lookup()),
        ]
    }

    fn is_accepted(&self, proof: &PayoutProof) -> bool {
        self.batch.key.verify(&self.batch.statement, proof)
    }

    fn is_caught(&self) -> bool {
        self.proofs().iter().all(|(_, proof)| !self.is_accepted(proof))
    }

    /// A row that pays something, and whom.
    fn paying_row(&self, skip: usize) -> (usize, Fr, Fr) {
        let [earners, amounts, ..] = &self.witness.cells;
        let mut paying = (1..amounts.len()).filter(|&row| !amounts[row].is_zero());
        let row = paying.nth(skip).unwrap();
        (row, earners[row], amounts[row])
    }
}

fn finish(
    mut rounds: Rounds<'_>,
    sums: &Sums,
    witness: &Witness,
    claim: impl Fn(&mut PayoutProof, Fr, &Sums),
) -> PayoutProof {
    let terms = rounds.terms(sums, witness);
    let claimed = rounds.claim_sums(sums, &terms).unwrap();
    let error = terms.rows[1].iter().sum::<Fr>() - claimed[1];
    claim(&mut rounds.proof, error, sums);
    let claimed = rounds.claimed(sums).unwrap();
    let accumulated = rounds.commit_accumulators(sums, &terms, claimed);
    let report = &mut |_| ();
    let quotients = rounds.commit_quotients(sums, witness, accumulated.unwrap(), report).unwrap();
    rounds.open(witness, &quotients, report).unwrap()
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

/// Cheats by name; every one is caught, whichever sums it claims.
fn cheats() -> Vec<(&'static str, Cheat)> {
    vec![
        ("a gwei moved between earners", moved_between_earners()),
        ("a gwei moved between pages", moved_between_pages()),
        ("negative amounts that cancel", negative_amounts()),
        ("a dropped row", other_rows(false, false)),
        ("a dropped row that is not paid", other_rows(false, true)),
        ("a doubled row", other_rows(true, false)),
        ("a doubled row that is paid", other_rows(true, true)),
        ("a secret multiple of the vanishing polynomial", vanishing_multiple(64)),
        ("the same, reversed in full", vanishing_multiple(65)),
        ("a total one higher", other_total(|gwei| *gwei += 1)),
        ("a total one lower", other_total(|gwei| *gwei -= 1)),
        (
            "a gwei drawn from another channel",
            other_draws(|statement| {
                statement.draws[0].amount += 1;
                statement.draws[1].amount -= 1;
            }),
        ),
        ("an unknown channel", other_draws(|statement| statement.draws[0].channel.0[0] ^= 1)),
        ("half the rows of the blob", other_length(32)),
        ("twice the rows of the blob", other_length(128)),
        ("a row for an earner of no page", unpaid_earner(false)),
        ("a row for an earner of no page, paid to nobody", unpaid_earner(true)),
    ]
}

#[test]
fn every_cheat_is_caught() {
    for (name, cheat) in cheats() {
        assert!(cheat.is_caught(), "{name}");
    }
}

/// Writes the cheats' proofs for the verifier in Solidity: `cargo test -p prover --lib -- --ignored`.
#[test]
#[ignore = "writes test/vectors/payout_argument_dishonest.json"]
fn cheats_are_written_as_vectors() {
    let mut vectors = Vec::new();
    let mut key = None;
    let honest = Cheat::new(30);
    for (name, cheat) in cheats() {
        let Batch { key: used, statement, .. } = &cheat.batch;
        assert_eq!(*key.get_or_insert(*used), *used);
        for (sums, proof) in cheat.proofs() {
            let name = format!("{name}; {sums}");
            vectors.push(with_proof(statement_vector(used, statement, &name), &proof));
        }
    }
    let key = key.unwrap();
    let (early, other) = (negative_amounts(), Cheat::new(41));
    for (name, cheat, proof) in [
        ("multiplicities chosen after gamma", &early, multiplicities_after_gamma(&early)),
        ("the proof of another batch", &other, honest.prove()),
    ] {
        let vector = statement_vector(&cheat.batch.key, &cheat.batch.statement, name);
        vectors.push(with_proof(vector, &proof));
    }
    let valid = statement_vector(&key, &honest.batch.statement, "honest");
    let vectors = json!({
        "tau_g2": g2(SRS.tau_g2_evm()),
        "keys": [{ "page_size": key.page_size(), "identity": g1(key.identity().into()) }],
        "valid": [with_proof(valid, &honest.prove())],
        "invalid": vectors,
    });
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../test/vectors/payout_argument_dishonest.json");
    std::fs::write(path, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
}

fn moved_between_earners() -> Cheat {
    let mut cheat = Cheat::new(31);
    let payouts = cheat.witness.pages[0].payouts.clone();
    let mut paid = (0..64).filter(|&k| !payouts[k].is_zero());
    let (from, to) = (paid.next().unwrap(), paid.next().unwrap());
    cheat.set_payout(0, from, payouts[from] - Fr::from(1));
    cheat.set_payout(0, to, payouts[to] + Fr::from(1));
    cheat
}

fn moved_between_pages() -> Cheat {
    let mut cheat = Cheat::of(Batch::random(32, Size { stride: 30, ..SMALL }, 64));
    for (page, change) in [(0, Fr::from(1)), (1, -Fr::from(1))] {
        let payouts = cheat.witness.pages[page].payouts.clone();
        let earner = (0..64).find(|&k| payouts[k] > Fr::from(1)).unwrap();
        cheat.set_payout(page, earner, payouts[earner] + change);
    }
    cheat
}

/// Rows and payouts agree, and so does the total: only the range is wrong.
fn negative_amounts() -> Cheat {
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
    let sum: Fr = cheat.witness.pages[0].payouts.iter().sum();
    assert_eq!(sum, Fr::from(cheat.batch.statement.total));
    cheat
}

fn other_rows(doubled: bool, paid_to_match: bool) -> Cheat {
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
    cheat
}

/// All values of P stay, so every statement but the degree holds. The reversed polynomial would need
/// a power of -1; `reversed` of its coefficients are the best there are.
fn vanishing_multiple(reversed: usize) -> Cheat {
    let mut cheat = Cheat::new(36);
    let page = &mut cheat.witness.pages[0];
    let secret = Fr::from(0x5ec2e7_u64);
    page.polynomial.push(secret);
    page.polynomial[0] -= secret;
    page.reversed = page.polynomial[..reversed].iter().rev().copied().collect();
    cheat.commit_page(0);
    cheat
}

fn other_total(change: fn(&mut u64)) -> Cheat {
    let mut cheat = Cheat::new(37);
    change(&mut cheat.batch.statement.total);
    change(&mut cheat.batch.statement.draws[0].amount);
    cheat
}

fn other_draws(change: fn(&mut PayoutStatement)) -> Cheat {
    let mut cheat = Cheat::new(38);
    change(&mut cheat.batch.statement);
    cheat
}

/// Takes for cells what another length reads from the same polynomial.
fn other_length(rows: usize) -> Cheat {
    let mut cheat = Cheat::new(39);
    assert_eq!(cheat.batch.statement.rows, 64);
    cheat.batch.statement.rows = rows as u32;
    let root = root_of_unity(8 * rows).unwrap();
    let f = cheat.witness.ledger.clone();
    let at = |i: usize| {
        let x = ark_ff::Field::pow(&root, [i as u64]);
        f.iter().rev().fold(Fr::zero(), |y, c| y * x + c)
    };
    cheat.witness.cells = [0, 1, 2, 3].map(|j| (0..rows).map(|i| at(8 * i + j)).collect());
    cheat.set_limbs();
    cheat
}

fn unpaid_earner(left_out: bool) -> Cheat {
    let mut cheat = Cheat::new(40);
    let (row, earner, amount) = cheat.paying_row(0);
    let payout = cheat.witness.pages[0].payouts[index(earner)];
    cheat.set_cell(row, 0, Fr::from(1_000_000));
    if left_out {
        cheat.set_payout(0, index(earner), payout - amount);
    }
    cheat
}

#[test]
fn multiplicities_chosen_after_gamma_are_caught() {
    let cheat = negative_amounts();
    assert!(!cheat.is_accepted(&multiplicities_after_gamma(&cheat)));
}

/// The limbs compose the amounts, but some are not in the table; a multiplicity is chosen for gamma.
fn multiplicities_after_gamma(cheat: &Cheat) -> PayoutProof {
    let mut rounds = cheat.rounds();
    let sums = rounds.commit_columns(&cheat.witness).unwrap();
    let mut witness = cheat.witness.clone();
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms).unwrap();
    let error = claimed[1] - terms.rows[1].iter().sum::<Fr>();
    assert!(!error.is_zero());
    // One multiplicity more at 0 takes delta / gamma_0 from the first page's sum.
    witness.multiplicities[0] += error * sums.of_page(0, 64) / sums.delta;
    assert_eq!(cheat.batch.statement.pages[0].0, 0);
    rounds.set_columns(&witness).unwrap();
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms).unwrap();
    assert_eq!(claimed[1], terms.rows[1].iter().sum::<Fr>(), "the sums of this gamma agree");
    finish(rounds, &sums, &witness, |_, _, _| ())
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

/// The smallest ledger: whatever a prover changes in what its rows pay or post, it cannot prove.
#[test]
fn any_change_of_what_a_row_pays_or_posts_is_caught() {
    let smallest = Size { calls: 1, contributors: 1, stride: 1, credits: 1, channels: 1 };
    let honest = Cheat::of(Batch::random(44, smallest, 16));
    let rows = honest.witness.cells[0].len();
    assert_eq!(rows, 16);
    let (mut pays, mut posts) = (0, 0);
    for row in 0..rows {
        let [_, amount, _, value] = [0, 1, 2, 3].map(|column| honest.witness.cells[column][row]);
        let mut columns = vec![1, 3];
        // Whom a row pays counts if it pays, and where it posts if it posts anything.
        if !amount.is_zero() {
            pays += 1;
            columns.push(0);
        }
        if value != Fr::from(1_u64 << 63) {
            posts += 1;
            columns.push(2);
        }
        for column in columns {
            let mut cheat = Cheat::of(Batch::random(44, smallest, 16));
            cheat.set_cell(row, column, cheat.witness.cells[column][row] + Fr::from(1));
            assert!(cheat.is_caught(), "row {row}, column {column}");
        }
    }
    assert!(pays >= 4 && posts >= 10, "{pays} rows pay, {posts} post");
}

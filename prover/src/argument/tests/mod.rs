//! An honest prover convinces, a changed proof or statement does not, and neither does a prover
//! that may choose anything but the challenges.

mod dishonest;
#[path = "../../../examples/ledgers/mod.rs"]
mod ledgers;
mod mutations;
#[path = "../../../examples/ledgers/vector.rs"]
mod vector;

use std::{collections::BTreeMap, sync::LazyLock};

use attribution::settle::{EarnerIndex, Ledger};
use ledgers::Size;
use proptest::prelude::*;

use super::{PayoutProof, PayoutStatement, VerifierKey, limbs_per_payout, prove_payouts};
use crate::{Error, LedgerCommitment, Srs, commit_ledger, commit_payouts};

/// Powers for 512 rows and for pages of 512 earners.
static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(31_337, b"argument", 8192).unwrap());

const SMALL: Size = Size { calls: 3, contributors: 9, stride: 1, credits: 4, channels: 2 };

/// A ledger with its statement.
struct Batch {
    key: VerifierKey,
    ledger: LedgerCommitment,
    payouts: BTreeMap<EarnerIndex, u64>,
    statement: PayoutStatement,
}

impl Batch {
    fn of(ledger: &Ledger, page_size: u32) -> Self {
        let key = VerifierKey::new(&SRS, page_size).unwrap();
        let committed = commit_ledger(&SRS, ledger).unwrap();
        let pages = commit_payouts(&SRS, page_size, ledger.payouts()).unwrap();
        let statement = PayoutStatement::of_ledger(ledger, &committed, pages, [0xce; 32]);
        Self { key, ledger: committed, payouts: ledger.payouts().clone(), statement }
    }

    fn random(seed: u64, size: Size, page_size: u32) -> Self {
        Self::of(&ledgers::ledger(seed, size), page_size)
    }

    fn prove(&self) -> crate::Result<PayoutProof> {
        prove_payouts(&SRS, &self.key, &self.statement, &self.ledger, &self.payouts, |_| {})
    }
}

#[test]
fn an_honest_prover_convinces_whatever_the_sizes() {
    for (seed, page_size, stride, calls) in [
        (1, 16, 1, 1),
        (2, 32, 3, 5),
        (3, 64, 1, 8),
        (4, 256, 1, 12),
        (5, 512, 40, 6),
        (6, 32, 9, 2),
    ] {
        let size = Size { calls, stride, ..SMALL };
        let batch = Batch::random(seed, size, page_size);
        let proof = batch.prove().unwrap();
        assert!(batch.key.verify(&batch.statement, &proof), "ledger {seed}");
        let limbs = limbs_per_payout(page_size).unwrap();
        let words = proof.to_words();
        let pages = batch.statement.pages.len();
        assert_eq!(PayoutProof::from_words(&words, pages, limbs).unwrap(), proof);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_honest_prover_convinces_of_any_ledger(
        seed in any::<u64>(),
        calls in 1_u32..12,
        contributors in 1_u32..20,
        stride in 1_u32..30,
        credits in 0_u8..6,
        channels in 1_u8..4,
        page_bits in 4_u32..=9,
    ) {
        let size = Size { calls, contributors, stride, credits, channels };
        let batch = Batch::random(seed, size, 1 << page_bits);
        prop_assert!(batch.key.verify(&batch.statement, &batch.prove().unwrap()));
    }
}

#[test]
fn several_pages_with_gaps_and_a_page_that_pays_nobody_are_proven_together() {
    let mut batch = Batch::random(7, Size { stride: 37, calls: 6, ..SMALL }, 64);
    let paid = batch.statement.pages.clone();
    assert!(paid.len() > 3, "{} pages", paid.len());
    batch.statement.pages.push((900, ark_bn254::G1Affine::identity()));
    let proof = batch.prove().unwrap();
    assert!(batch.key.verify(&batch.statement, &proof));
}

#[test]
fn page_and_ledger_of_one_size_share_opening_points() {
    let batch = Batch::random(8, SMALL, 64);
    assert_eq!(batch.statement.rows, 64);
    assert!(batch.key.verify(&batch.statement, &batch.prove().unwrap()));
}

#[test]
fn witness_blobs_are_bound() {
    let mut batch = Batch::random(9, SMALL, 64);
    batch.statement.witnesses = vec![SRS.g1()[5], SRS.g1()[6]];
    let proof = batch.prove().unwrap();
    assert!(batch.key.verify(&batch.statement, &proof));
    batch.statement.witnesses.swap(0, 1);
    assert!(!batch.key.verify(&batch.statement, &proof));
    batch.statement.witnesses.pop();
    assert!(!batch.key.verify(&batch.statement, &proof));
}

#[test]
fn progress_is_told_stage_by_stage() {
    let batch = Batch::random(10, SMALL, 64);
    let mut seen = Vec::new();
    let Batch { key, ledger, payouts, statement } = &batch;
    prove_payouts(&SRS, key, statement, ledger, payouts, |progress| seen.push(progress)).unwrap();
    assert_eq!(seen.iter().map(|progress| progress.done).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(seen.iter().all(|progress| progress.of == 6));
    let names: std::collections::BTreeSet<_> = seen.iter().map(|p| p.ended.name()).collect();
    assert_eq!(names.len(), 6);
}

#[test]
fn pages_that_the_argument_cannot_do_are_refused() {
    for given in [0, 8, 24, 1 << 17] {
        let refused = VerifierKey::new(&SRS, given);
        assert!(matches!(refused, Err(Error::ArgumentPageSize { given: g }) if g == given));
    }
    assert_eq!(
        [16, 1 << 10, 1 << 15, 1 << 16].map(|m| limbs_per_payout(m).unwrap()),
        [16, 7, 5, 4]
    );
}

#[test]
fn a_false_statement_is_not_proven() {
    let batch = Batch::random(11, SMALL, 64);
    let refuses = |change: fn(&mut Batch)| {
        let Batch { key, ledger, payouts, statement } = &batch;
        let (ledger, payouts) = (ledger.clone(), payouts.clone());
        let mut changed = Batch { key: *key, ledger, payouts, statement: statement.clone() };
        change(&mut changed);
        changed.prove().unwrap_err()
    };
    let error = refuses(|batch| batch.statement.total += 1);
    assert!(matches!(error, Error::PayoutStatement { .. }), "{error}");
    let error = refuses(|batch| {
        batch.statement.total += 1;
        batch.statement.draws[0].amount += 1;
    });
    assert!(matches!(error, Error::FalsePayouts { .. }), "{error}");
    let error = refuses(|batch| *batch.payouts.values_mut().next().unwrap() += 1);
    assert!(matches!(error, Error::PayoutStatement { .. }), "{error}");
    let error = refuses(|batch| {
        *batch.payouts.values_mut().next().unwrap() += 1;
        batch.statement.pages = commit_payouts(&SRS, 64, &batch.payouts).unwrap();
    });
    assert!(matches!(error, Error::FalsePayouts { .. }), "{error}");
}

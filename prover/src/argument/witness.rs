use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use attribution::settle::EarnerIndex;

use super::{key::VerifierKey, statement::PayoutStatement};
use crate::{EarningsPage, LedgerCommitment, Polynomial, Result, earnings::gwei_of_page};

/// Columns that the prover commits to before any challenge.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    /// Coefficients of `f`.
    pub(super) ledger: Vec<Fr>,
    /// The first four cells of each row, column by column.
    pub(super) cells: [Vec<Fr>; 4],
    /// Limbs of the rows' amounts on `H`, lowest limb first.
    pub(super) limbs: Vec<Vec<Fr>>,
    /// How often each value below `M` is a limb, on `E`.
    pub(super) multiplicities: Vec<Fr>,
    pub(super) pages: Vec<PageWitness>,
}

/// Columns of a page.
#[derive(Clone, Debug)]
pub(super) struct PageWitness {
    /// Values on `E`.
    pub(super) payouts: Vec<Fr>,
    /// Coefficients of `P`.
    pub(super) polynomial: Vec<Fr>,
    /// Coefficients of `X^(M-1) P(1/X)`.
    pub(super) reversed: Vec<Fr>,
}

impl Witness {
    pub(super) fn new(
        key: &VerifierKey,
        statement: &PayoutStatement,
        ledger: &LedgerCommitment,
        payouts: &BTreeMap<EarnerIndex, u64>,
    ) -> Result<Self> {
        let page = |&(page, _): &(u32, _)| {
            let gwei = gwei_of_page(key.page_size(), page, payouts);
            let page = EarningsPage::new(key.page_size(), page, payouts)?;
            let polynomial = page.coefficients().to_vec();
            let reversed = polynomial.iter().rev().copied().collect();
            Ok(PageWitness {
                payouts: gwei.into_iter().map(Fr::from).collect(),
                polynomial,
                reversed,
            })
        };
        let pages = statement.pages.iter().map(page).collect::<Result<_>>()?;
        let cells = ledger.columns();
        let (limbs, multiplicities) = limbs(key, &cells[1]);
        Ok(Self { ledger: ledger.coefficients().to_vec(), cells, limbs, multiplicities, pages })
    }
}

/// Limbs of amounts below 2^64 and how often each value is one. Whatever an amount has above goes
/// into its lowest limb, where it is not in the table.
pub(super) fn limbs(key: &VerifierKey, amounts: &[Fr]) -> (Vec<Vec<Fr>>, Vec<Fr>) {
    let (bits, mask) = (key.page_size().ilog2(), u64::from(key.page_size()) - 1);
    let mut counts = vec![0_u64; key.page_size() as usize];
    let mut limbs = vec![Vec::with_capacity(amounts.len()); key.limbs()];
    for amount in amounts {
        let [low, high @ ..] = amount.into_bigint().0;
        for (i, limb) in (0_u32..).zip(&mut limbs) {
            let digit = (low >> (bits * i)) & mask;
            limb.push(Fr::from(digit));
            counts[digit as usize] += 1;
        }
        if high != [0; 3] {
            let composed = limbs.iter().rev().fold(Fr::zero(), |sum, limb| {
                sum * Fr::from(key.page_size()) + limb.last().expect("it was pushed")
            });
            let last = limbs[0].last_mut().expect("it was pushed");
            counts[(low & mask) as usize] -= 1;
            *last += *amount - composed;
        }
    }
    (limbs, counts.into_iter().map(Fr::from).collect())
}

/// Coefficients of the polynomial with these values.
pub(super) fn interpolate(values: &[Fr]) -> Result<Vec<Fr>> {
    Ok(Polynomial::interpolate(values.to_vec())?.into_coefficients())
}

/// Where values are not zero.
pub(super) fn places(values: &[Fr]) -> Vec<(usize, Fr)> {
    values.iter().copied().enumerate().filter(|(_, value)| !value.is_zero()).collect()
}

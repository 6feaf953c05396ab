use std::collections::BTreeMap;

use ark_bn254::Fr;
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
    /// Values of the limbs on `E`, lowest limb first.
    pub(super) limbs: Vec<Vec<Fr>>,
    /// How often each value is a limb.
    pub(super) multiplicities: Vec<Fr>,
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
            PageWitness::new(key, gwei, page.coefficients())
        };
        let pages = statement.pages.iter().map(page).collect::<Result<_>>()?;
        Ok(Self { ledger: ledger.coefficients().to_vec(), cells: ledger.columns(), pages })
    }
}

impl PageWitness {
    fn new(key: &VerifierKey, gwei: Vec<u64>, polynomial: &[Fr]) -> Result<Self> {
        let bits = key.page_size().ilog2();
        let mask = u64::from(key.page_size()) - 1;
        let digit = |gwei: u64, i: usize| (gwei >> (bits * i as u32)) & mask;
        let mut counts = vec![0_u64; gwei.len()];
        let limbs: Vec<Vec<u64>> =
            (0..key.limbs()).map(|i| gwei.iter().map(|&gwei| digit(gwei, i)).collect()).collect();
        for &limb in limbs.iter().flatten() {
            counts[limb as usize] += 1;
        }
        let column = |values: Vec<u64>| values.into_iter().map(Fr::from).collect::<Vec<_>>();
        Ok(Self {
            payouts: column(gwei),
            polynomial: polynomial.to_vec(),
            reversed: polynomial.iter().rev().copied().collect(),
            limbs: limbs.into_iter().map(column).collect(),
            multiplicities: column(counts),
        })
    }
}

/// Coefficients of the polynomial with these values.
pub(super) fn interpolate(values: &[Fr]) -> Result<Vec<Fr>> {
    Ok(Polynomial::interpolate(values.to_vec())?.into_coefficients())
}

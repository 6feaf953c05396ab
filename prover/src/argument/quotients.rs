use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use super::equations::{PageSteps, PageValues, RowSteps, RowValues};
use crate::{Error, Result};

/// A coset on which `X^order - 1` has no zero, with as many points as a quotient has coefficients:
/// a quotient's values are those of its numerator, whose degree may be higher, divided.
#[derive(Debug)]
pub(super) struct Coset {
    domain: Radix2EvaluationDomain<Fr>,
    /// Points for each of the domain that is divided by.
    blowup: usize,
    /// `1 / (x^order - 1)`, which repeats after `blowup` points.
    vanishing_inverses: Vec<Fr>,
}

impl Coset {
    pub(super) fn new(order: usize, size: usize) -> Result<Self> {
        let missing = Error::DomainSize { given: size };
        let Some(domain) = Radix2EvaluationDomain::<Fr>::new(size)
            .and_then(|domain| domain.get_coset(Fr::GENERATOR))
        else {
            return Err(missing);
        };
        let blowup = domain.size() / order;
        let shift = Fr::GENERATOR.pow([order as u64]);
        let root = domain.group_gen().pow([order as u64]);
        let powers = std::iter::successors(Some(shift), |power| Some(*power * root));
        let inverse = |power: Fr| {
            (power - Fr::from(1)).inverse().expect("the generator of the field is in no subgroup")
        };
        let vanishing_inverses = powers.take(blowup).map(inverse).collect();
        Ok(Self { domain, blowup, vanishing_inverses })
    }

    fn evaluate(&self, coefficients: &[Fr]) -> Vec<Fr> {
        debug_assert!(coefficients.len() <= self.domain.size(), "the coset was made for it");
        let mut values = coefficients.to_vec();
        self.domain.fft_in_place(&mut values);
        values
    }

    fn divide(&self, mut numerators: Vec<Fr>) -> Vec<Fr> {
        let period = self.blowup;
        numerators
            .par_iter_mut()
            .enumerate()
            .for_each(|(i, value)| *value *= self.vanishing_inverses[i % period]);
        self.domain.ifft_in_place(&mut numerators);
        numerators
    }
}

/// `t_H`, of `max(8, L) n` coefficients.
pub(super) fn row_quotient(
    alpha: Fr,
    steps: &RowSteps,
    ledger: &[Fr],
    accumulators: &[Vec<Fr>; 3],
    limbs: &[Vec<Fr>],
) -> Result<Vec<Fr>> {
    let rows = accumulators[0].len();
    // A dishonest prover's ledger may be longer than its rows say.
    let size = ledger.len().max(rows * limbs.len().max(8)).next_power_of_two();
    let coset = Coset::new(rows, size)?;
    let f = coset.evaluate(ledger);
    let accumulators = accumulators.each_ref().map(|z| coset.evaluate(z));
    let limbs: Vec<_> = limbs.iter().map(|limb| coset.evaluate(limb)).collect();
    let cell = coset.blowup / 8;
    let numerator = |at: &mut Vec<Fr>, i: usize| {
        at.clear();
        at.extend(limbs.iter().map(|limb| limb[i]));
        let values = RowValues {
            cells: [0, 1, 2, 3].map(|j| f[(i + j * cell) % size]),
            accumulators: accumulators.each_ref().map(|z| [z[i], z[(i + coset.blowup) % size]]),
            limbs: at,
        };
        steps.at(alpha, &values)
    };
    let numerators = (0..size).into_par_iter().map_init(Vec::new, numerator).collect();
    Ok(trimmed(coset.divide(numerators)))
}

/// Coefficients of a page's columns.
#[derive(Debug)]
pub(super) struct PageColumns<'a> {
    pub(super) payouts: &'a [Fr],
    pub(super) accumulator: &'a [Fr],
}

/// `t_E`, of `M - 1` coefficients; `multiplicities` are the first page's.
pub(super) fn page_quotient(
    alpha: Fr,
    identity: &[Fr],
    multiplicities: &[Fr],
    pages: &[(PageSteps, PageColumns<'_>)],
) -> Result<Vec<Fr>> {
    let order = identity.len();
    let longest = pages.iter().map(|(_, columns)| columns.payouts.len()).max().unwrap_or(0);
    let size = longest.max(order).next_power_of_two();
    let coset = Coset::new(order, size)?;
    let identity = coset.evaluate(identity);
    let mut multiplicities = coset.evaluate(multiplicities);
    let mut numerators = vec![Fr::from(0); size];
    let mut weight = Fr::from(1);
    for (steps, columns) in pages {
        let payouts = coset.evaluate(columns.payouts);
        let accumulator = coset.evaluate(columns.accumulator);
        numerators.par_iter_mut().enumerate().for_each(|(i, numerator)| {
            let values = PageValues {
                identity: identity[i],
                payout: payouts[i],
                multiplicity: multiplicities[i],
                accumulator: [accumulator[i], accumulator[(i + coset.blowup) % size]],
            };
            *numerator += weight * steps.at(&values);
        });
        weight *= alpha;
        multiplicities.fill(Fr::from(0));
    }
    Ok(trimmed(coset.divide(numerators)))
}

/// Without the zeros at the end, but not empty.
fn trimmed(mut coefficients: Vec<Fr>) -> Vec<Fr> {
    let zero = Fr::from(0);
    let length = coefficients.iter().rposition(|c| *c != zero).map_or(1, |last| last + 1);
    coefficients.truncate(length);
    coefficients
}

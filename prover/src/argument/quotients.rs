use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use super::{
    challenges::Sums,
    equations::{PageSteps, PageValues, RowSteps, RowValues},
};
use crate::{Error, Result};

/// A coset on which `X^order - 1` has no zero, large enough for a product of columns.
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
        // A dishonest prover's polynomial may be longer than the coset; evaluating it modulo the
        // coset's own vanishing polynomial is still evaluating it there.
        let size = self.domain.size();
        let wrap = Fr::GENERATOR.pow([size as u64]);
        let mut values = vec![Fr::from(0); size];
        let mut factor = Fr::from(1);
        for chunk in coefficients.chunks(size) {
            values.iter_mut().zip(chunk).for_each(|(value, c)| *value += factor * c);
            factor *= wrap;
        }
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

/// `t_H`, of `8n` coefficients.
pub(super) fn row_quotient(
    sums: &Sums,
    alpha: Fr,
    steps: &RowSteps,
    ledger: &[Fr],
    accumulators: [&[Fr]; 2],
) -> Result<Vec<Fr>> {
    let rows = accumulators[0].len();
    let coset = Coset::new(rows, 16 * rows)?;
    let size = coset.domain.size();
    let f = coset.evaluate(ledger);
    let [z1, z2] = accumulators.map(|z| coset.evaluate(z));
    // `w` is two points of the coset further, `g` sixteen.
    let at = |i: usize| RowValues {
        cells: [0, 2, 4, 6].map(|shift| f[(i + shift) % size]),
        accumulators: [&z1, &z2].map(|z| [z[i], z[(i + coset.blowup) % size]]),
    };
    let numerators =
        (0..size).into_par_iter().map(|i| steps.at(sums, alpha, &at(i))).collect::<Vec<_>>();
    let mut quotient = coset.divide(numerators);
    quotient.truncate(8 * rows);
    Ok(quotient)
}

/// Coefficients of a page's columns.
#[derive(Debug)]
pub(super) struct PageColumns<'a> {
    pub(super) payouts: &'a [Fr],
    pub(super) limbs: &'a [Vec<Fr>],
    pub(super) multiplicities: &'a [Fr],
    pub(super) accumulator: &'a [Fr],
}

/// `t_E`, of `(L + 1) M` coefficients.
pub(super) fn page_quotient(
    alpha: Fr,
    identity: &[Fr],
    pages: &[(PageSteps, PageColumns<'_>)],
) -> Result<Vec<Fr>> {
    let limbs = pages[0].1.limbs.len();
    let order = identity.len();
    let coset = Coset::new(order, ((limbs + 2) * order).next_power_of_two())?;
    let size = coset.domain.size();
    let identity = coset.evaluate(identity);
    let mut numerators = vec![Fr::from(0); size];
    let mut weight = Fr::from(1);
    for (steps, columns) in pages {
        let payouts = coset.evaluate(columns.payouts);
        let limbs: Vec<_> = columns.limbs.iter().map(|limb| coset.evaluate(limb)).collect();
        let multiplicities = coset.evaluate(columns.multiplicities);
        let accumulator = coset.evaluate(columns.accumulator);
        numerators.par_iter_mut().enumerate().for_each_init(
            || vec![Fr::from(0); limbs.len()],
            |at, (i, numerator)| {
                at.iter_mut().zip(&limbs).for_each(|(at, limb)| *at = limb[i]);
                let values = PageValues {
                    identity: identity[i],
                    payout: payouts[i],
                    limbs: at,
                    multiplicity: multiplicities[i],
                    accumulator: [accumulator[i], accumulator[(i + coset.blowup) % size]],
                };
                *numerator += weight * steps.at(alpha, &values);
            },
        );
        weight *= alpha.square();
    }
    let mut quotient = coset.divide(numerators);
    quotient.truncate((limbs + 1) * order);
    Ok(quotient)
}

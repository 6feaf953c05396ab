use ark_bn254::Fr;
use ark_ff::{One, Zero, batch_inversion};

use super::{
    challenges::Sums,
    equations::PageSteps,
    witness::{PageWitness, Witness},
};

/// `z1` and `z2` of the rows: their terms on `H`.
pub(super) fn row_terms(sums: &Sums, cells: &[Vec<Fr>; 4]) -> [Vec<Fr>; 2] {
    let [earners, amounts, keys, biased] = cells;
    let bias = Fr::from(1_u64 << 63);
    let values = biased.iter().map(|value| *value - bias);
    [quotients(sums.gamma, values, keys), quotients(sums.gamma, amounts.iter().copied(), earners)]
}

/// Terms of a page's accumulator on `E`: payouts, total and lookup.
pub(super) fn page_terms(steps: &PageSteps, page: &PageWitness) -> Vec<Fr> {
    let indices: Vec<_> = (0..page.payouts.len() as u64).map(Fr::from).collect();
    let numerators = page.payouts.iter().zip(&page.multiplicities);
    let numerators = numerators.map(|(payout, count)| *payout - steps.weight * count);
    let mut terms = quotients(steps.gamma, numerators, &indices);
    for (term, payout) in terms.iter_mut().zip(&page.payouts) {
        *term += steps.beta * payout;
    }
    for limb in &page.limbs {
        let ones = std::iter::repeat_n(Fr::one(), limb.len());
        for (term, found) in terms.iter_mut().zip(quotients(steps.gamma, ones, limb)) {
            *term += steps.weight * found;
        }
    }
    terms
}

/// `a / (gamma - c)` by element; a zero denominator gives zero, and then nothing is proven.
fn quotients(gamma: Fr, numerators: impl Iterator<Item = Fr>, poles: &[Fr]) -> Vec<Fr> {
    let mut terms: Vec<_> = poles.iter().map(|pole| gamma - pole).collect();
    batch_inversion(&mut terms);
    for (term, numerator) in terms.iter_mut().zip(numerators) {
        *term *= numerator;
    }
    terms
}

/// Values of the accumulator of `terms` that claims to sum to `sum`.
pub(super) fn accumulate(terms: &[Fr], sum: Fr) -> Vec<Fr> {
    let step = sum / Fr::from(terms.len() as u64);
    let next = |state: &mut Fr, term: &Fr| {
        let value = *state;
        *state += *term - step;
        Some(value)
    };
    terms.iter().scan(Fr::zero(), next).collect()
}

/// Values of all accumulators, with what those of the pages sum to.
#[derive(Clone, Debug)]
pub(super) struct Accumulators {
    pub(super) rows: [Vec<Fr>; 2],
    pub(super) pages: Vec<Vec<Fr>>,
}

/// True sums of a witness: of `z1`, of `z2`, and of each page.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) rows: [Vec<Fr>; 2],
    pub(super) pages: Vec<Vec<Fr>>,
}

impl Terms {
    pub(super) fn new(sums: &Sums, pages: &[PageSteps], witness: &Witness) -> Self {
        let terms = pages.iter().zip(&witness.pages).map(|(steps, page)| page_terms(steps, page));
        Self { rows: row_terms(sums, &witness.cells), pages: terms.collect() }
    }

    /// Accumulators that claim these sums of rows and pages.
    pub(super) fn accumulate(&self, rows: [Fr; 2], pages: &[Fr]) -> Accumulators {
        let [z1, z2] = &self.rows;
        Accumulators {
            rows: [accumulate(z1, rows[0]), accumulate(z2, rows[1])],
            pages: self.pages.iter().zip(pages).map(|(t, &sum)| accumulate(t, sum)).collect(),
        }
    }
}

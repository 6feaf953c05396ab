use ark_bn254::Fr;
use ark_ff::{One, Zero, batch_inversion};

use super::{challenges::Sums, equations::PageSteps, witness::Witness};

/// A term of a page's accumulator where it is not zero.
pub(super) type SparseTerm = (usize, Fr);

/// What the accumulators sum: of `z1`, `z2` and `z3` on `H`, and of each page on `E`.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) rows: [Vec<Fr>; 3],
    pub(super) pages: Vec<Vec<SparseTerm>>,
}

impl Terms {
    /// `first` is `gamma_0`.
    pub(super) fn new(sums: &Sums, first: Fr, pages: &[PageSteps], witness: &Witness) -> Self {
        let [earners, amounts, keys, biased] = &witness.cells;
        let bias = Fr::from(1_u64 << 63);
        let values = biased.iter().map(|value| *value - bias);
        let rows = [
            quotients(sums.gamma, values, keys),
            quotients(sums.gamma, amounts.iter().copied(), earners),
            lookups(first, &witness.limbs),
        ];
        let nothing = Vec::new();
        let page = |(j, (steps, page)): (usize, (&PageSteps, &super::witness::PageWitness))| {
            let counts = if j == 0 { &witness.multiplicities } else { &nothing };
            page_terms(steps, &page.payouts, counts)
        };
        Self { rows, pages: pages.iter().zip(&witness.pages).enumerate().map(page).collect() }
    }
}

/// `sum_i 1 / (gamma_0 - l_i)` of each row.
fn lookups(first: Fr, limbs: &[Vec<Fr>]) -> Vec<Fr> {
    let mut terms = vec![Fr::zero(); limbs[0].len()];
    for limb in limbs {
        let ones = std::iter::repeat_n(Fr::one(), limb.len());
        terms.iter_mut().zip(quotients(first, ones, limb)).for_each(|(term, t)| *term += t);
    }
    terms
}

/// `(P (1 + beta (gamma_j - k)) - delta m) / (gamma_j - k)` where an earner is paid or a value looked up.
fn page_terms(steps: &PageSteps, payouts: &[Fr], counts: &[Fr]) -> Vec<SparseTerm> {
    let count = |k: usize| counts.get(k).copied().unwrap_or_default();
    let places: Vec<_> =
        (0..payouts.len()).filter(|&k| !payouts[k].is_zero() || !count(k).is_zero()).collect();
    let poles: Vec<_> = places.iter().map(|&k| Fr::from(k as u64)).collect();
    let numerators = places.iter().map(|&k| payouts[k] - steps.delta * count(k));
    let terms = quotients(steps.gamma, numerators, &poles);
    places.into_iter().zip(terms).map(|(k, term)| (k, term + steps.beta * payouts[k])).collect()
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

/// All terms of a domain of `size` points.
pub(super) fn dense(terms: &[SparseTerm], size: usize) -> Vec<Fr> {
    let mut values = vec![Fr::zero(); size];
    terms.iter().for_each(|&(k, term)| values[k] = term);
    values
}

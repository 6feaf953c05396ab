//! The identities of `SPEC.md`, section 4, on values: at points of a coset for the prover, at zeta
//! for the verifier.

use ark_bn254::Fr;
use ark_ff::{One, Zero};

use super::challenges::Sums;

/// What the rows' identities hold of one point `x`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowValues<'a> {
    /// Columns 0 to 3: `f(w^j x)`.
    pub(super) cells: [Fr; 4],
    /// `z1`, `z2` and `z3`, each at `x` and `g x`.
    pub(super) accumulators: [[Fr; 2]; 3],
    pub(super) limbs: &'a [Fr],
}

/// Constants of the rows' identities.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowSteps {
    gamma: Fr,
    /// `gamma_0`.
    first: Fr,
    /// `M`.
    base: Fr,
    /// `D/n`, `T/n` and `S/n`.
    steps: [Fr; 3],
}

impl RowSteps {
    /// `sums` are those that `z1`, `z2` and `z3` claim.
    pub(super) fn new(
        challenges: &Sums,
        first_page: u32,
        page_size: u32,
        rows: u32,
        sums: [Fr; 3],
    ) -> Self {
        let inverse = ark_ff::Field::inverse(&Fr::from(rows)).expect("there are rows");
        Self {
            gamma: challenges.gamma,
            first: challenges.of_page(first_page, page_size),
            base: Fr::from(page_size),
            steps: sums.map(|sum| sum * inverse),
        }
    }

    /// `B1 + alpha B2 + alpha^2 B3 + alpha^3 B4`.
    pub(super) fn at(&self, alpha: Fr, values: &RowValues<'_>) -> Fr {
        let [earner, amount, key, biased] = values.cells;
        let value = biased - Fr::from(1_u64 << 63);
        let step = |i: usize| values.accumulators[i][1] - values.accumulators[i][0] + self.steps[i];
        let balance = step(0) * (self.gamma - key) - value;
        let payouts = step(1) * (self.gamma - earner) - amount;
        let (product, others) = self.limb_products(values.limbs);
        let lookup = step(2) * product - others;
        let composed = values.limbs.iter().rev().fold(Fr::zero(), |acc, l| acc * self.base + l);
        balance + alpha * (payouts + alpha * (lookup + alpha * (amount - composed)))
    }

    /// `Q` and the sum of `Q / (gamma_0 - l)` over the limbs `l`, without a division.
    fn limb_products(&self, limbs: &[Fr]) -> (Fr, Fr) {
        let mut product = Fr::one();
        let mut others = Fr::zero();
        for limb in limbs {
            let factor = self.first - limb;
            others = others * factor + product;
            product *= factor;
        }
        (product, others)
    }
}

/// What a page's identity holds of one point `x`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageValues {
    pub(super) identity: Fr,
    pub(super) payout: Fr,
    /// Of the first page; zero for the others.
    pub(super) multiplicity: Fr,
    /// At `x` and `v x`.
    pub(super) accumulator: [Fr; 2],
}

/// Constants of a page's identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSteps {
    /// `gamma_j`.
    pub(super) gamma: Fr,
    pub(super) beta: Fr,
    pub(super) delta: Fr,
    /// `S_j / M`.
    step: Fr,
}

impl PageSteps {
    pub(super) fn new(challenges: &Sums, page: u32, page_size: u32, sum: Fr) -> Self {
        Self {
            gamma: challenges.of_page(page, page_size),
            beta: challenges.beta,
            delta: challenges.delta,
            step: sum / Fr::from(page_size),
        }
    }

    /// `C_j`
    pub(super) fn at(&self, values: &PageValues) -> Fr {
        let from_identity = self.gamma - values.identity;
        let step = values.accumulator[1] - values.accumulator[0] + self.step;
        let paid = values.payout * (Fr::one() + self.beta * from_identity);
        step * from_identity - paid + self.delta * values.multiplicity
    }
}

//! The identities of `SPEC.md`, section 4, on values: at points of a coset for the prover, at zeta
//! for the verifier.

use ark_bn254::Fr;
use ark_ff::{One, Zero};

use super::challenges::Sums;

/// What the rows' identities hold of one point `x`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowValues {
    /// Columns 0 to 3: `f(w^j x)`.
    pub(super) cells: [Fr; 4],
    /// `z1` and `z2`, each at `x` and `g x`.
    pub(super) accumulators: [[Fr; 2]; 2],
}

/// `D/n` and `T/n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowSteps(pub(super) [Fr; 2]);

impl RowSteps {
    /// `B1 + alpha B2`.
    pub(super) fn at(&self, sums: &Sums, alpha: Fr, values: &RowValues) -> Fr {
        let [earner, amount, key, biased] = values.cells;
        let value = biased - Fr::from(1_u64 << 63);
        let step = |i: usize| values.accumulators[i][1] - values.accumulators[i][0] + self.0[i];
        let balance = step(0) * (sums.gamma - key) - value;
        let payouts = step(1) * (sums.gamma - earner) - amount;
        balance + alpha * payouts
    }
}

/// What a page's identities hold of one point `x`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageValues<'a> {
    pub(super) identity: Fr,
    pub(super) payout: Fr,
    pub(super) limbs: &'a [Fr],
    pub(super) multiplicity: Fr,
    /// At `x` and `v x`.
    pub(super) accumulator: [Fr; 2],
}

/// Constants of a page's identities.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSteps {
    /// `gamma_j`.
    pub(super) gamma: Fr,
    pub(super) beta: Fr,
    /// `c_j = delta^(j+1)`.
    pub(super) weight: Fr,
    /// `S_j / M`.
    pub(super) step: Fr,
    /// `M`.
    pub(super) base: Fr,
}

impl PageSteps {
    pub(super) fn new(sums: &Sums, number: usize, page: u32, page_size: u32, sum: Fr) -> Self {
        let base = Fr::from(page_size);
        Self {
            gamma: sums.gamma - Fr::from(page) * base,
            beta: sums.beta,
            weight: ark_ff::Field::pow(&sums.delta, [number as u64 + 1]),
            step: sum / base,
            base,
        }
    }

    /// `B3_j + alpha B4_j`.
    pub(super) fn at(&self, alpha: Fr, values: &PageValues<'_>) -> Fr {
        let (product, others) = self.limb_products(values.limbs);
        let from_identity = self.gamma - values.identity;
        let step = values.accumulator[1] - values.accumulator[0] + self.step;
        let paid = values.payout * (Fr::one() + self.beta * from_identity);
        let sum = (step * from_identity - paid + self.weight * values.multiplicity) * product
            - self.weight * from_identity * others;
        let composed = values.limbs.iter().rev().fold(Fr::zero(), |acc, l| acc * self.base + l);
        sum + alpha * (values.payout - composed)
    }

    /// `Q_j` and the sum of `Q_j / (gamma_j - l)` over the limbs `l`, without a division.
    fn limb_products(&self, limbs: &[Fr]) -> (Fr, Fr) {
        let mut product = Fr::one();
        let mut others = Fr::zero();
        for limb in limbs {
            let factor = self.gamma - limb;
            others = others * factor + product;
            product *= factor;
        }
        (product, others)
    }
}

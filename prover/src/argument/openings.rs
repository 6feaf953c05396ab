//! Openings of many polynomials at few points (Boneh, Drake, Fisch and Gabizon 2020, section 4).

use ark_bn254::Fr;
use ark_ff::{Field, Zero};

use super::proof::PayoutProof;
use crate::{Result, root_of_unity};

/// Set of points at which a polynomial is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Points {
    /// `zeta, w zeta, w^2 zeta, w^3 zeta`
    Cells,
    /// `zeta, g zeta`
    Rows,
    /// `zeta`
    Zeta,
    /// `zeta, v zeta`
    Page,
    /// `1/zeta`
    Inverse,
}

impl Points {
    pub(super) const ALL: [Self; 5] =
        [Self::Cells, Self::Rows, Self::Zeta, Self::Page, Self::Inverse];
}

/// The points of each set.
#[derive(Clone, Debug)]
pub(super) struct PointSets {
    sets: [Vec<Fr>; 5],
}

impl PointSets {
    /// Nothing for a zeta of zero or in a domain.
    pub(super) fn new(zeta: Fr, rows: usize, page_size: usize) -> Result<Option<Self>> {
        let in_domain = |order: usize| zeta.pow([order as u64]) == Fr::from(1);
        let (w, v) = (root_of_unity(8 * rows)?, root_of_unity(page_size)?);
        let Some(inverse) = zeta.inverse() else { return Ok(None) };
        if in_domain(rows) || in_domain(page_size) {
            return Ok(None);
        }
        let cells = (0..4_u64).map(|j| zeta * w.pow([j])).collect();
        let rows = vec![zeta, zeta * w.pow([8])];
        Ok(Some(Self { sets: [cells, rows, vec![zeta], vec![zeta, zeta * v], vec![inverse]] }))
    }

    pub(super) fn of(&self, points: Points) -> &[Fr] {
        &self.sets[points as usize]
    }
}

/// Which set each polynomial has, in the order of weights.
pub(super) fn sets(pages: usize, limbs: usize) -> Vec<Points> {
    let mut sets = vec![Points::Cells];
    sets.extend([Points::Rows; 3]);
    // Quotients, identity, limbs, multiplicities.
    sets.extend(std::iter::repeat_n(Points::Zeta, 3 + limbs + 1));
    for _ in 0..pages {
        sets.extend([Points::Zeta, Points::Page, Points::Inverse]);
    }
    sets
}

/// Values of each polynomial on its set, in the order of weights; `quotients` and `reversed` are
/// those that the identities call for.
pub(super) fn values(proof: &PayoutProof, quotients: [Fr; 2], reversed: &[Fr]) -> Vec<Vec<Fr>> {
    let mut values = vec![proof.cells_at.to_vec()];
    values.extend(proof.accumulators_at.map(|at| at.to_vec()));
    values.extend([quotients[0], quotients[1], proof.identity_at].map(|at| vec![at]));
    values.extend(proof.limbs_at.iter().map(|&at| vec![at]));
    values.push(vec![proof.multiplicities_at]);
    for (page, &reversed) in proof.pages.iter().zip(reversed) {
        values.push(vec![page.payouts_at]);
        values.push(page.accumulator_at.to_vec());
        values.push(vec![reversed]);
    }
    values
}

/// Weights of an interpolation: `r(chi) / Z(chi)` is the sum of value times weight.
///
/// Nothing if chi is one of the points.
pub(super) fn lagrange(points: &[Fr], chi: Fr) -> Option<Vec<Fr>> {
    let weight = |(i, x): (usize, &Fr)| {
        let others = points.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, y)| *x - y);
        (others.product::<Fr>() * (chi - x)).inverse()
    };
    points.iter().enumerate().map(weight).collect()
}

/// `1 / Z(chi)`.
pub(super) fn vanishing_inverse(points: &[Fr], chi: Fr) -> Option<Fr> {
    points.iter().map(|x| chi - x).product::<Fr>().inverse()
}

/// Divides by `X - z`, dropping the remainder.
pub(super) fn divide(polynomial: &mut Vec<Fr>, z: Fr) {
    let mut carry = Fr::zero();
    for coefficient in polynomial.iter_mut().rev() {
        let next = *coefficient + carry * z;
        *coefficient = std::mem::replace(&mut carry, next);
    }
    polynomial.pop();
}

/// Adds `factor` times a polynomial.
pub(super) fn add_scaled(sum: &mut Vec<Fr>, polynomial: &[Fr], factor: Fr) {
    if sum.len() < polynomial.len() {
        sum.resize(polynomial.len(), Fr::zero());
    }
    sum.iter_mut().zip(polynomial).for_each(|(sum, c)| *sum += factor * c);
}

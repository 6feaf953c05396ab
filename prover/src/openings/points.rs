use ark_bn254::{Fr, G1Affine};
use ark_ff::{Field, One, PrimeField, Zero, batch_inversion};
use sha3::{Digest, Keccak256};

use super::MIN_SLOT_CELLS;
use crate::{
    Error, Result,
    evm::{self, Word, word},
    root_of_unity,
};

/// Where a blob's polynomial is opened.
#[derive(Clone, Debug)]
pub(super) struct Points {
    /// Symbols of the blob, `N`.
    symbols: u64,
    set: Set,
}

#[derive(Clone, Debug)]
enum Set {
    Cells {
        indices: Vec<u32>,
        points: Vec<Fr>,
    },
    /// A coset of the roots of unity of order `cells`.
    Slot {
        cells: u32,
        slot: u32,
        points: Vec<Fr>,
    },
}

impl Points {
    /// # Errors
    /// [`Error::CellIndices`] unless the indices are strictly increasing and there is one,
    /// [`Error::OutsideDomain`] unless they are below `symbols`.
    pub(super) fn cells(symbols: usize, indices: &[u32]) -> Result<Self> {
        let root = root_of_unity(symbols)?;
        let Some(&last) = indices.last() else { return Err(Error::CellIndices) };
        if !indices.is_sorted_by(|a, b| a < b) {
            return Err(Error::CellIndices);
        }
        if last as usize >= symbols {
            return Err(Error::OutsideDomain { index: last as usize, size: symbols });
        }
        let points = indices.iter().map(|&index| root.pow([u64::from(index)])).collect();
        Ok(Self { symbols: symbols as u64, set: Set::Cells { indices: indices.to_vec(), points } })
    }

    /// # Errors
    /// [`Error::SlotCells`] unless a slot has a power of two of at least 8 cells and there are two
    /// of them, [`Error::OutsideDomain`] if there is no such slot.
    pub(super) fn slot(symbols: usize, cells: u32, slot: u32) -> Result<Self> {
        let root = root_of_unity(symbols)?;
        let whole = cells.is_power_of_two() && cells >= MIN_SLOT_CELLS;
        if !whole || cells as usize > symbols / 2 {
            return Err(Error::SlotCells { cells, symbols });
        }
        let stride = symbols / cells as usize;
        if slot as usize >= stride {
            return Err(Error::OutsideDomain { index: slot as usize, size: stride });
        }
        let step = root.pow([stride as u64]);
        let first = root.pow([u64::from(slot)]);
        let points = std::iter::successors(Some(first), |point| Some(*point * step));
        let points = points.take(cells as usize).collect();
        Ok(Self { symbols: symbols as u64, set: Set::Slot { cells, slot, points } })
    }

    pub(super) const fn len(&self) -> usize {
        match &self.set {
            Set::Cells { points, .. } | Set::Slot { points, .. } => points.len(),
        }
    }

    pub(super) fn in_domain(&self, chi: Fr) -> bool {
        chi.pow([self.symbols]).is_one()
    }

    /// chi: keccak256 of commitment, `N`, points, values and `W`, as Solidity's `abi.encode` has
    /// them.
    pub(super) fn challenge(&self, commitment: G1Affine, values: &[Fr], quotient: G1Affine) -> Fr {
        let integer = |value: u64| word(Fr::from(value));
        let array = |words: &mut Vec<Word>, items: &mut dyn Iterator<Item = Word>| {
            let at = words.len();
            words.push(Word::default());
            words.extend(items);
            words[at] = integer((words.len() - at - 1) as u64);
        };
        let [cx, cy] = coordinates(commitment);
        let [wx, wy] = coordinates(quotient);
        // Arrays stand in the head by the offset of their length, in bytes.
        let offset = |words: usize| integer(32 * words as u64);
        let mut words = vec![cx, cy, integer(self.symbols)];
        match &self.set {
            Set::Cells { indices, .. } => {
                words.extend([offset(7), offset(8 + indices.len()), wx, wy]);
                array(&mut words, &mut indices.iter().map(|&index| integer(index.into())));
            }
            Set::Slot { cells, slot, .. } => {
                let place = [integer((*cells).into()), integer((*slot).into())];
                words.extend(place.into_iter().chain([offset(8), wx, wy]));
            }
        }
        array(&mut words, &mut values.iter().map(|&value| word(value)));
        Fr::from_be_bytes_mod_order(&Keccak256::digest(words.as_flattened()))
    }

    /// `Z_S(x)`
    pub(super) fn vanishing_at(&self, x: Fr) -> Fr {
        match &self.set {
            Set::Cells { points, .. } => points.iter().map(|point| x - point).product(),
            // Each point of the coset to the power of its size is the same.
            Set::Slot { cells, points, .. } => {
                let order = [u64::from(*cells)];
                x.pow(order) - points[0].pow(order)
            }
        }
    }

    /// `r_S(x)` for an x outside the domain.
    pub(super) fn interpolated_at(&self, values: &[Fr], x: Fr) -> Fr {
        match &self.set {
            // Z(x) sum of y_i / ((x - x_i) prod (x_i - x_j))
            Set::Cells { points, .. } => {
                let denominator = |(i, point): (usize, &Fr)| {
                    let others = points.iter().enumerate().filter(|&(j, _)| j != i);
                    others.map(|(_, other)| *point - other).product::<Fr>() * (x - point)
                };
                let mut weights: Vec<_> = points.iter().enumerate().map(denominator).collect();
                batch_inversion(&mut weights);
                let sum: Fr = weights.iter().zip(values).map(|(weight, y)| *weight * y).sum();
                self.vanishing_at(x) * sum
            }
            // Z(x) / (c a) times the sum of y_j x_j / (x - x_j), with a = x_j^c
            Set::Slot { cells, points, .. } => {
                let mut weights: Vec<_> = points.iter().map(|point| x - point).collect();
                weights.push(Fr::from(*cells) * points[0].pow([u64::from(*cells)]));
                batch_inversion(&mut weights);
                let scale = weights.pop().expect("it was pushed");
                let terms = weights.iter().zip(points).zip(values);
                let sum: Fr = terms.map(|((weight, point), y)| *weight * point * y).sum();
                self.vanishing_at(x) * scale * sum
            }
        }
    }

    /// Replaces a polynomial by its quotient by `Z_S`.
    pub(super) fn divide(&self, polynomial: &mut Vec<Fr>) {
        match &self.set {
            Set::Cells { points, .. } => {
                points.iter().for_each(|&point| divide_by_power(polynomial, 1, point));
            }
            Set::Slot { cells, points, .. } => {
                let constant = points[0].pow([u64::from(*cells)]);
                divide_by_power(polynomial, *cells as usize, constant);
            }
        }
    }
}

/// Quotient by `X^power - constant`; the remainder is dropped.
pub(super) fn divide_by_power(polynomial: &mut Vec<Fr>, power: usize, constant: Fr) {
    for i in (power..polynomial.len()).rev() {
        let carry = polynomial[i] * constant;
        polynomial[i - power] += carry;
    }
    polynomial.drain(..power.min(polynomial.len()));
    if polynomial.is_empty() {
        polynomial.push(Fr::zero());
    }
}

/// Coordinates of a point.
pub(super) fn coordinates(point: G1Affine) -> [Word; 2] {
    let evm::G1 { x, y } = point.into();
    [x, y]
}

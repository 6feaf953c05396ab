//! Openings of several symbols of a blob at once, two group elements whatever their number: cells
//! of a ledger by their indices, or a slot of a witness blob (`SPEC.md`, "Openings of rows").
//!
//! For symbols `y` at the points of `S`, with `r_S` their interpolation and `Z_S` the polynomial
//! that vanishes on `S`: `W` commits to `(f - r_S) / Z_S`, and `W'` opens
//! `f - r_S(chi) - Z_S(chi) W` to zero at `chi`, which is a hash of all but `W'`.
//!
//! Symbols may be any scalars: were those refused that no cell can be, nobody could show them.

mod points;
mod verify;

use ark_bn254::{Fr, G1Affine};
use points::Points;
pub use verify::{BlobClaim, Opened, verify_cells, verify_openings, verify_slot};

use crate::{Error, Polynomial, Result, Srs, blob::symbol};

/// Fewest cells of a slot.
pub const MIN_SLOT_CELLS: u32 = 8;

/// Symbols of a blob by their indices; cell `j` of row `i` of a ledger is symbol `8 i + j`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellOpening {
    /// Strictly increasing.
    pub indices: Vec<u32>,
    /// Symbol of each index.
    pub values: Vec<Fr>,
    /// Commitment to the quotient, `W`.
    pub quotient: G1Affine,
    /// Commitment that opens the rest at chi, `W'`.
    pub remainder: G1Affine,
}

/// The symbols of a slot: of `N` symbols, `c` to a slot, those at `slot + j N / c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOpening {
    /// The slot's `c` symbols.
    pub values: Vec<Fr>,
    /// Commitment to the quotient, `W`.
    pub quotient: G1Affine,
    /// Commitment that opens the rest at chi, `W'`.
    pub remainder: G1Affine,
}

/// Opens a committed blob at the symbols with these indices.
pub(crate) fn open_cells(
    srs: &Srs,
    polynomial: &Polynomial,
    commitment: G1Affine,
    indices: &[u32],
    symbols: &[u8],
) -> Result<CellOpening> {
    let points = Points::cells(polynomial.size(), indices)?;
    let values: Vec<_> = indices.iter().map(|&index| symbol(symbols, index as usize)).collect();
    let [quotient, remainder] = open(srs, polynomial, commitment, &points, &values)?;
    Ok(CellOpening { indices: indices.to_vec(), values, quotient, remainder })
}

/// Opens a slot of a committed blob.
pub(crate) fn open_slot(
    srs: &Srs,
    polynomial: &Polynomial,
    commitment: G1Affine,
    cells: u32,
    slot: u32,
    symbols: &[u8],
) -> Result<SlotOpening> {
    let size = polynomial.size();
    let points = Points::slot(size, cells, slot)?;
    let stride = size / cells as usize;
    let indices = (0..cells as usize).map(|j| slot as usize + j * stride);
    let values: Vec<_> = indices.map(|index| symbol(symbols, index)).collect();
    let [quotient, remainder] = open(srs, polynomial, commitment, &points, &values)?;
    Ok(SlotOpening { values, quotient, remainder })
}

/// `W` and `W'`.
fn open(
    srs: &Srs,
    polynomial: &Polynomial,
    commitment: G1Affine,
    points: &Points,
    values: &[Fr],
) -> Result<[G1Affine; 2]> {
    let mut quotient = polynomial.coefficients().to_vec();
    points.divide(&mut quotient);
    let committed = srs.commit(&quotient)?;
    let chi = points.challenge(commitment, values, committed);
    if points.in_domain(chi) {
        return Err(Error::Challenge);
    }
    let vanishing = points.vanishing_at(chi);
    let mut rest = polynomial.coefficients().to_vec();
    rest.iter_mut().zip(&quotient).for_each(|(rest, q)| *rest -= vanishing * q);
    // What is left of the division is r_S(chi), which is subtracted by dropping it.
    points::divide_by_power(&mut rest, 1, chi);
    Ok([committed, srs.commit(&rest)?])
}

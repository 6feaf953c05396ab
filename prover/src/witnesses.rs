use ark_bn254::G1Affine;

use crate::{
    Polynomial, Result, SlotOpening, Srs,
    blob::{check_witness_blob, elements, symbol},
    openings,
};

/// A witness blob as a committed polynomial: symbol `i` at `w^i`, `w` of as many symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessCommitment {
    blob: Vec<u8>,
    polynomial: Polynomial,
    commitment: G1Affine,
}

impl WitnessCommitment {
    /// Commits to a blob of [`witness_blob`](crate::witness_blob), or as it came from data
    /// availability.
    ///
    /// # Errors
    /// [`Error::WitnessLength`](crate::Error::WitnessLength),
    /// [`Error::PayloadHeader`](crate::Error::PayloadHeader) or
    /// [`Error::SymbolPrefix`](crate::Error::SymbolPrefix) unless it is such a blob,
    /// [`Error::TooManyCoefficients`](crate::Error::TooManyCoefficients) if the setup is too small.
    pub fn from_blob(srs: &Srs, blob: Vec<u8>) -> Result<Self> {
        check_witness_blob(&blob)?;
        let polynomial = Polynomial::interpolate(elements(&blob))?;
        let commitment = srs.commit(polynomial.coefficients())?;
        Ok(Self { blob, polynomial, commitment })
    }

    /// What data availability stores: symbols of 32 bytes.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Symbols of the blob, `N`.
    #[must_use]
    pub const fn symbols(&self) -> usize {
        self.polynomial.size()
    }

    /// Commitment to the polynomial; EigenDA's certificate holds the same.
    pub const fn commitment(&self) -> G1Affine {
        self.commitment
    }

    /// Opens a slot of `cells` cells: the symbols at `slot + j N / cells`.
    ///
    /// # Errors
    /// [`Error::SlotCells`](crate::Error::SlotCells) if a slot cannot have so many cells,
    /// [`Error::OutsideDomain`](crate::Error::OutsideDomain) if there is no such slot.
    pub fn open_slot(&self, srs: &Srs, cells: u32, slot: u32) -> Result<SlotOpening> {
        let symbol = |i| symbol(&self.blob, i);
        openings::open_slot(srs, &self.polynomial, self.commitment, cells, slot, symbol)
    }
}

use ark_bn254::G1Affine;

use crate::{
    CellOpening, Polynomial, Result, SlotOpening, Srs,
    blob::{any_elements, check_witness_blob},
    openings,
};

/// Any blob as a committed polynomial, symbol `i` at `w^i`: also one that holds neither rows nor
/// witnesses, so that this can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobCommitment {
    blob: Vec<u8>,
    polynomial: Polynomial,
    commitment: G1Affine,
}

impl BlobCommitment {
    /// Commits to symbols of 32 bytes.
    ///
    /// # Errors
    /// [`Error::DomainSize`](crate::Error::DomainSize) unless they are a power of two,
    /// [`Error::SymbolRange`](crate::Error::SymbolRange) unless each is below the order of the
    /// field, [`Error::TooManyCoefficients`](crate::Error::TooManyCoefficients) if the setup is too
    /// small.
    pub fn new(srs: &Srs, blob: Vec<u8>) -> Result<Self> {
        let polynomial = Polynomial::interpolate(any_elements(&blob)?)?;
        let commitment = srs.commit(polynomial.coefficients())?;
        Ok(Self { blob, polynomial, commitment })
    }

    /// The symbols.
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

    /// Opens symbols by their indices, strictly increasing: cell `j` of row `i` is `8 i + j`.
    ///
    /// # Errors
    /// [`Error::CellIndices`](crate::Error::CellIndices) unless there is an index and they
    /// increase, [`Error::OutsideDomain`](crate::Error::OutsideDomain) if there is no such symbol.
    pub fn open_cells(&self, srs: &Srs, indices: &[u32]) -> Result<CellOpening> {
        openings::open_cells(srs, &self.polynomial, self.commitment, indices, &self.blob)
    }

    /// Opens a slot of `cells` cells: the symbols at `slot + j N / cells`.
    ///
    /// # Errors
    /// [`Error::SlotCells`](crate::Error::SlotCells) if a slot cannot have so many cells,
    /// [`Error::OutsideDomain`](crate::Error::OutsideDomain) if there is no such slot.
    pub fn open_slot(&self, srs: &Srs, cells: u32, slot: u32) -> Result<SlotOpening> {
        openings::open_slot(srs, &self.polynomial, self.commitment, cells, slot, &self.blob)
    }
}

/// A witness blob as a committed polynomial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessCommitment(BlobCommitment);

impl WitnessCommitment {
    /// Commits to a blob of [`SlotLayout::write`](attribution::settle::SlotLayout::write), or as it
    /// came from data availability.
    ///
    /// # Errors
    /// [`Error::WitnessLength`](crate::Error::WitnessLength),
    /// [`Error::PayloadHeader`](crate::Error::PayloadHeader) or
    /// [`Error::SymbolPrefix`](crate::Error::SymbolPrefix) unless it is such a blob,
    /// [`Error::TooManyCoefficients`](crate::Error::TooManyCoefficients) if the setup is too small.
    pub fn from_blob(srs: &Srs, blob: Vec<u8>) -> Result<Self> {
        check_witness_blob(&blob)?;
        Ok(Self(BlobCommitment::new(srs, blob)?))
    }

    /// What data availability stores: symbols of 32 bytes.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        self.0.blob()
    }

    /// Symbols of the blob, `N`.
    #[must_use]
    pub const fn symbols(&self) -> usize {
        self.0.symbols()
    }

    /// Commitment to the polynomial; EigenDA's certificate holds the same.
    pub const fn commitment(&self) -> G1Affine {
        self.0.commitment()
    }

    /// Opens a slot of `cells` cells: the symbols at `slot + j N / cells`.
    ///
    /// # Errors
    /// [`Error::SlotCells`](crate::Error::SlotCells) if a slot cannot have so many cells,
    /// [`Error::OutsideDomain`](crate::Error::OutsideDomain) if there is no such slot.
    pub fn open_slot(&self, srs: &Srs, cells: u32, slot: u32) -> Result<SlotOpening> {
        self.0.open_slot(srs, cells, slot)
    }
}

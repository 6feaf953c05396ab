use ark_bn254::{Fr, G1Affine};
use attribution::settle::{CELLS_PER_ROW, Ledger, Statement};

use crate::{
    CellOpening, Error, Opening, Result, Srs,
    blob::{blob_from_rows, elements, rows_from_blob},
    kzg, openings,
    polynomial::Polynomial,
};

/// A ledger as a committed polynomial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerCommitment {
    rows: usize,
    blob: Vec<u8>,
    polynomial: Polynomial,
    commitment: G1Affine,
}

/// Commits to a ledger: takes its symbols as values on the roots of unity of order `8n`.
///
/// # Errors
/// [`Error::TooManyCoefficients`] if the setup has fewer than `8n` powers.
pub fn commit_ledger(srs: &Srs, ledger: &Ledger) -> Result<LedgerCommitment> {
    LedgerCommitment::from_blob(srs, blob_from_rows(ledger.rows())?)
}

/// Reads anybody's ledger from its blob, with every check that needs nothing else.
///
/// # Errors
/// Those of [`rows_from_blob`], and [`Error::Ledger`] if the rows are no ledger.
pub fn ledger_from_blob(blob: &[u8]) -> Result<Statement> {
    Ok(Statement::read(&rows_from_blob(blob)?)?)
}

impl LedgerCommitment {
    /// Commits to a blob as it came from data availability.
    ///
    /// # Errors
    /// Those of [`rows_from_blob`], and [`Error::TooManyCoefficients`] if the setup is too small.
    pub fn from_blob(srs: &Srs, blob: Vec<u8>) -> Result<Self> {
        let rows = rows_from_blob(&blob)?.len();
        let polynomial = Polynomial::interpolate(elements(&blob))?;
        let commitment = srs.commit(polynomial.coefficients())?;
        Ok(Self { rows, blob, polynomial, commitment })
    }

    /// Rows of the ledger.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// What data availability stores: `8n` symbols of 32 bytes.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Commitment to the polynomial; EigenDA's certificate holds the same.
    pub const fn commitment(&self) -> G1Affine {
        self.commitment
    }

    /// Coefficients of the polynomial.
    pub(crate) fn coefficients(&self) -> &[Fr] {
        self.polynomial.coefficients()
    }

    /// The first four cells of each row, column by column; of row 0 the payload's header first.
    pub(crate) fn columns(&self) -> [Vec<Fr>; 4] {
        let symbols = elements(&self.blob);
        let column = |j| symbols.iter().skip(j).step_by(CELLS_PER_ROW).copied().collect();
        [0, 1, 2, 3].map(column)
    }

    /// Opens cells by their indices, strictly increasing: cell `j` of row `i` is `8 i + j`.
    ///
    /// # Errors
    /// [`Error::CellIndices`] unless there is an index and they increase, [`Error::OutsideDomain`]
    /// if there is no such cell.
    pub fn open_cells(&self, srs: &Srs, indices: &[u32]) -> Result<CellOpening> {
        openings::open_cells(srs, &self.polynomial, self.commitment, indices, &self.blob)
    }

    /// Opens one cell of a row.
    ///
    /// # Errors
    /// [`Error::OutsideDomain`] if there is no such cell.
    pub fn open_cell(&self, srs: &Srs, row: usize, cell: usize) -> Result<Opening> {
        if row >= self.rows {
            return Err(Error::OutsideDomain { index: row, size: self.rows });
        }
        if cell >= CELLS_PER_ROW {
            return Err(Error::OutsideDomain { index: cell, size: CELLS_PER_ROW });
        }
        kzg::open(srs, &self.polynomial, row * CELLS_PER_ROW + cell)
    }
}

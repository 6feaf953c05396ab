//! Where the witnesses of a batch's records are in the blobs beside its ledger.
//!
//! A blob of `N` symbols has `N / c` slots of `c` cells. Slot `s` holds the symbols `s + j N / c`,
//! `j < c`: a coset of the domain, which one opening shows cheaply. Slot 0 is unused, because
//! symbol 0 is the payload header. A slot's cells are a witness in pieces of 31 bytes, then zeros.

use alloc::{vec, vec::Vec};

use super::{CELL_BYTES, Cell, MAX_SYMBOLS, ModelId, SYMBOL_BYTES, Witness, payload_header};
use crate::{Error, Result};

/// Fewest cells of a slot.
pub const MIN_SLOT_CELLS: usize = 8;

/// Symbols of a witness blob and cells of its slots; all blobs of a batch have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    symbols: usize,
    cells: usize,
}

/// Where a record's witness is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which of the batch's witness blobs.
    pub blob: usize,
    /// Which slot of it, above 0.
    pub slot: usize,
}

impl SlotLayout {
    /// A layout as anybody may claim it.
    ///
    /// # Errors
    /// [`Error::SlotLayout`] unless both are powers of two, a slot has [`MIN_SLOT_CELLS`] at least,
    /// and a blob two slots at least and [`MAX_SYMBOLS`] at most.
    pub const fn new(symbols: usize, cells: usize) -> Result<Self> {
        let powers = symbols.is_power_of_two() && cells.is_power_of_two();
        let fits = cells >= MIN_SLOT_CELLS && cells <= symbols / 2 && symbols <= MAX_SYMBOLS;
        if powers && fits {
            Ok(Self { symbols, cells })
        } else {
            Err(Error::SlotLayout { symbols, cells })
        }
    }

    /// The smallest layout for so many records, the longest of whose witnesses has `longest` bytes:
    /// one blob if they fit, else blobs of the largest size.
    ///
    /// # Errors
    /// [`Error::SlotLayout`] if the longest does not fit half a blob of the largest size.
    pub fn fitting(records: usize, longest: usize) -> Result<Self> {
        let cells = longest.div_ceil(CELL_BYTES).next_power_of_two().max(MIN_SLOT_CELLS);
        let wanted = records.saturating_add(1).checked_next_power_of_two();
        let symbols =
            wanted.and_then(|slots| slots.max(2).checked_mul(cells)).unwrap_or(MAX_SYMBOLS);
        Self::new(symbols.min(MAX_SYMBOLS), cells)
    }

    /// Symbols of a blob, `N`.
    #[must_use]
    pub const fn symbols(&self) -> usize {
        self.symbols
    }

    /// Cells of a slot, `c`.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// Records that a blob has room for.
    #[must_use]
    pub const fn per_blob(&self) -> usize {
        self.symbols / self.cells - 1
    }

    /// Blobs that so many records fill.
    #[must_use]
    pub const fn blobs(&self, records: usize) -> usize {
        records.div_ceil(self.per_blob())
    }

    /// Where the witness of the record with this ordinal is.
    #[must_use]
    pub const fn place(&self, ordinal: usize) -> Slot {
        Slot { blob: ordinal / self.per_blob(), slot: 1 + ordinal % self.per_blob() }
    }

    /// Indices of a slot's symbols, in the order of its cells.
    pub fn indices(&self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        let stride = self.symbols / self.cells;
        (0..self.cells).map(move |j| slot + j * stride)
    }

    /// The blobs of the records' witnesses, given in the records' order.
    ///
    /// # Errors
    /// [`Error::WitnessLength`] if one does not fit a slot.
    pub fn write(&self, witnesses: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>> {
        let mut blobs = vec![vec![0; self.symbols * SYMBOL_BYTES]; self.blobs(witnesses.len())];
        for blob in &mut blobs {
            blob[..SYMBOL_BYTES].copy_from_slice(&payload_header(self.symbols));
        }
        let max = self.cells * CELL_BYTES;
        for (ordinal, witness) in witnesses.iter().map(AsRef::as_ref).enumerate() {
            if witness.len() > max {
                return Err(Error::WitnessLength { min: 0, max, given: witness.len() });
            }
            let place = self.place(ordinal);
            let pieces = witness.chunks(CELL_BYTES);
            for (index, piece) in self.indices(place.slot).zip(pieces) {
                let at = index * SYMBOL_BYTES + 1;
                blobs[place.blob][at..at + piece.len()].copy_from_slice(piece);
            }
        }
        Ok(blobs)
    }

    /// The bytes of a record's witness in anybody's blobs, by the record's ordinal: as many as the
    /// model that they name gives it, which zeros follow. `None` if there is no such blob, the slot
    /// holds something else, or one of its symbols does not begin with zero.
    ///
    /// Reads as the contracts do: of no symbol outside the slot, so it does not matter whether the blob
    /// has its payload header. What is missing of a blob is zeros.
    ///
    /// - `dim`: of a model's sketches
    pub fn witness(
        &self,
        blobs: &[impl AsRef<[u8]>],
        ordinal: usize,
        dim: impl FnOnce(ModelId) -> usize,
    ) -> Option<Vec<u8>> {
        let place = self.place(ordinal);
        let blob = blobs.get(place.blob)?.as_ref();
        let cells: Option<Vec<Cell>> =
            self.indices(place.slot).map(|index| cell_of(blob, index)).collect();
        let mut bytes = cells?.into_flattened();
        let length = Witness::length(dim(Witness::model_in(&bytes)?));
        let rest = bytes.get(length..)?;
        if rest.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.truncate(length);
        Some(bytes)
    }
}

/// A symbol as a cell, `None` if it does not begin with zero.
fn cell_of(blob: &[u8], index: usize) -> Option<Cell> {
    let mut cell = [0; CELL_BYTES];
    let from = index.saturating_mul(SYMBOL_BYTES).min(blob.len());
    match &blob[from..blob.len().min(from + SYMBOL_BYTES)] {
        [] => Some(cell),
        [0, rest @ ..] => {
            cell[..rest.len()].copy_from_slice(rest);
            Some(cell)
        }
        _ => None,
    }
}

//! Where the witnesses of a batch's records are in the blobs beside its ledger.
//!
//! A blob of `N` symbols has `N / c` slots of `c` cells. Slot `s` holds the symbols `s + j N / c`,
//! `j < c`: a coset of the domain, which one opening shows cheaply. Slot 0 is unused, because
//! symbol 0 is the payload header. A slot's cells are a witness in pieces of 31 bytes, then zeros.

use alloc::{vec, vec::Vec};

use super::{CELL_BYTES, Cell};
use crate::{Error, Result};

/// Bytes of a blob's symbol: a zero and a cell.
pub const SYMBOL_BYTES: usize = CELL_BYTES + 1;

/// Most symbols of a blob: 16 MiB.
pub const MAX_SYMBOLS: usize = 1 << 19;

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

    /// Symbol 0 of each blob, EigenDA's payload header: a zero byte, version 0, the payload's bytes
    /// as u32, zeros.
    #[must_use]
    pub fn header(&self) -> [u8; SYMBOL_BYTES] {
        let length = (self.symbols - 1) * CELL_BYTES;
        let length = u32::try_from(length).expect("31 * 2^19 at most");
        let mut header = [0; SYMBOL_BYTES];
        header[2..6].copy_from_slice(&length.to_be_bytes());
        header
    }

    /// The blobs of the records' witnesses, given in the records' order.
    ///
    /// # Errors
    /// [`Error::WitnessLength`] if one does not fit a slot.
    pub fn write(&self, witnesses: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>> {
        let mut blobs = vec![vec![0; self.symbols * SYMBOL_BYTES]; self.blobs(witnesses.len())];
        for blob in &mut blobs {
            blob[..SYMBOL_BYTES].copy_from_slice(&self.header());
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

    /// The cells of a slot of anybody's blob.
    ///
    /// # Errors
    /// [`Error::WitnessBlob`] if the blob has another length or header, or a symbol of the slot
    /// begins with anything but zero; [`Error::NoSuchSlot`].
    pub fn read(&self, blob: &[u8], slot: usize) -> Result<Vec<Cell>> {
        let slots = self.symbols / self.cells;
        if slot == 0 || slot >= slots {
            return Err(Error::NoSuchSlot { slot, slots });
        }
        if blob.len() != self.symbols * SYMBOL_BYTES || blob[..SYMBOL_BYTES] != self.header() {
            return Err(Error::WitnessBlob { rule: "have its layout's length and header" });
        }
        let cell = |index: usize| match &blob[index * SYMBOL_BYTES..][..SYMBOL_BYTES] {
            [0, cell @ ..] => Ok(*cell.first_chunk().expect("31 of 32 bytes")),
            _ => Err(Error::WitnessBlob { rule: "have symbols that begin with zero" }),
        };
        self.indices(slot).map(cell).collect()
    }
}

/// The first `length` bytes of a slot's cells, if zeros fill the rest.
#[must_use]
pub fn witness_of_cells(cells: &[Cell], length: usize) -> Option<Vec<u8>> {
    let bytes = cells.as_flattened();
    let (witness, rest) = bytes.split_at_checked(length)?;
    rest.iter().all(|&byte| byte == 0).then(|| witness.to_vec())
}

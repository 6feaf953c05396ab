//! EigenDA's payload codec, version 0, filled exactly.
//!
//! A ledger of `n` rows is `8n` symbols of 32 bytes: a zero byte and a 31-byte cell, except that
//! symbol 0, in the place of the first cell of row 0, is the payload's header: `00`, version `00`,
//! the payload's length (u32, big-endian), zeros. The payload is the other cells, `31 (8n - 1)`
//! bytes. The blob is the symbols one after the other.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use attribution::settle::{
    CELL_BYTES, CELLS_PER_ROW, Cell, Cells, MAX_ROWS, MIN_ROWS, Row, SYMBOL_BYTES, payload_header,
};

use crate::{Error, Result, evm::word, srs::MAX_POWERS};

/// Bytes of a row in a blob.
const ROW: usize = SYMBOL_BYTES * CELLS_PER_ROW;

/// Fewest symbols of a witness blob: two slots of eight.
const MIN_WITNESS_SYMBOLS: usize = 16;

const fn payload_length(symbols: usize) -> usize {
    (symbols - 1) * CELL_BYTES
}

/// The blob of a ledger's rows.
///
/// # Errors
/// [`Error::BlobLength`] unless they are a power of two from 8 to 65 536.
pub fn blob_from_rows(rows: &[Row]) -> Result<Vec<u8>> {
    check_length(rows.len() * ROW)?;
    let mut blob = Vec::with_capacity(rows.len() * ROW);
    for cell in rows.iter().flat_map(Row::to_cells) {
        blob.push(0);
        blob.extend(cell);
    }
    blob[..SYMBOL_BYTES].copy_from_slice(&payload_header(CELLS_PER_ROW * rows.len()));
    Ok(blob)
}

/// The payload of a blob: what EigenDA's clients take and give.
///
/// # Errors
/// [`Error::BlobLength`], [`Error::PayloadHeader`] or [`Error::SymbolPrefix`] unless the bytes are
/// a blob that [`blob_from_rows`] could have made of some cells.
pub fn blob_payload(blob: &[u8]) -> Result<Vec<u8>> {
    check_symbols(blob)?;
    Ok(blob.chunks_exact(SYMBOL_BYTES).skip(1).flat_map(|symbol| &symbol[1..]).copied().collect())
}

/// Reads the rows of a blob.
///
/// # Errors
/// Like [`blob_payload`], and [`Error::Row`] if a row's cells are not what a row is written as.
pub fn rows_from_blob(blob: &[u8]) -> Result<Vec<Row>> {
    check_symbols(blob)?;
    let row = |(row, bytes): (usize, &[u8])| {
        let mut cells: Cells = [[0; CELL_BYTES]; CELLS_PER_ROW];
        for (j, (cell, symbol)) in
            cells.iter_mut().zip(bytes.chunks_exact(SYMBOL_BYTES)).enumerate()
        {
            if (row, j) != (0, 0) {
                *cell = Cell::try_from(&symbol[1..]).expect("31 of 32 bytes");
            }
        }
        Row::from_cells(&cells).map_err(|source| Error::Row { row, source })
    };
    blob.chunks_exact(ROW).enumerate().map(row).collect()
}

/// Whether this is a blob of so many symbols as witnesses have, behind the payload header.
pub(crate) fn check_witness_blob(blob: &[u8]) -> Result<()> {
    let symbols = check_witness_length(blob.len())?;
    check_header_and_prefixes(blob, symbols)
}

/// Number of symbols.
fn check_witness_length(given: usize) -> Result<usize> {
    let symbols = given / SYMBOL_BYTES;
    let whole = given.is_multiple_of(SYMBOL_BYTES) && symbols.is_power_of_two();
    if whole && (MIN_WITNESS_SYMBOLS..=MAX_POWERS).contains(&symbols) {
        Ok(symbols)
    } else {
        Err(Error::WitnessLength { given })
    }
}

/// A symbol of a checked blob.
pub(crate) fn symbol(blob: &[u8], i: usize) -> Fr {
    Fr::from_be_bytes_mod_order(&blob[i * SYMBOL_BYTES..(i + 1) * SYMBOL_BYTES])
}

/// Field elements of a checked blob.
pub(crate) fn elements(blob: &[u8]) -> Vec<Fr> {
    blob.chunks_exact(SYMBOL_BYTES).map(Fr::from_be_bytes_mod_order).collect()
}

/// Field elements of any blob.
///
/// # Errors
/// [`Error::SymbolRange`] unless each symbol is below the order of the field.
pub(crate) fn any_elements(blob: &[u8]) -> Result<Vec<Fr>> {
    if !blob.len().is_multiple_of(SYMBOL_BYTES) {
        return Err(Error::DomainSize { given: blob.len() / SYMBOL_BYTES });
    }
    let elements = elements(blob);
    let mut symbols = elements.iter().zip(blob.chunks_exact(SYMBOL_BYTES));
    match symbols.position(|(&element, symbol)| word(element) != *symbol) {
        Some(symbol) => Err(Error::SymbolRange { symbol }),
        None => Ok(elements),
    }
}

fn check_symbols(blob: &[u8]) -> Result<()> {
    let rows = check_length(blob.len())?;
    check_header_and_prefixes(blob, rows * CELLS_PER_ROW)
}

fn check_header_and_prefixes(blob: &[u8], symbols: usize) -> Result<()> {
    if blob[..SYMBOL_BYTES] != payload_header(symbols) {
        return Err(Error::PayloadHeader { length: payload_length(symbols) });
    }
    let prefixes = blob.iter().step_by(SYMBOL_BYTES).copied().enumerate();
    match prefixes.into_iter().find(|&(_, byte)| byte != 0) {
        Some((symbol, byte)) => Err(Error::SymbolPrefix { symbol, byte }),
        None => Ok(()),
    }
}

/// Number of rows.
pub(crate) fn check_length(given: usize) -> Result<usize> {
    let rows = given / ROW;
    let whole = given.is_multiple_of(ROW) && rows.is_power_of_two();
    if whole && (MIN_ROWS..=MAX_ROWS).contains(&rows) {
        Ok(rows)
    } else {
        Err(Error::BlobLength { given })
    }
}

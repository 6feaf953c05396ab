//! Witness blobs of any cells, for the tests and the examples that write their vectors.

use attribution::settle::{Cell, SYMBOL_BYTES, payload_header};

/// The blob of these cells; the first is given up for the payload's header.
pub(crate) fn witness_blob(cells: &[Cell]) -> Vec<u8> {
    let symbols = cells.iter().flat_map(|cell| std::iter::once(0).chain(*cell));
    let mut blob: Vec<_> = symbols.collect();
    blob[..SYMBOL_BYTES].copy_from_slice(&payload_header(cells.len()));
    blob
}

//! Blobs as data availability takes them: EigenDA's payload codec, version 0, filled exactly.
//!
//! A blob is a power of two of symbols. Symbol 0 is the payload's header, every other one a zero byte
//! and 31 bytes of the payload, so that each is a field element.

use super::CELL_BYTES;

/// Bytes of a blob's symbol: a zero and a cell.
pub const SYMBOL_BYTES: usize = CELL_BYTES + 1;

/// Most symbols of a blob: 16 MiB.
pub const MAX_SYMBOLS: usize = 1 << 19;

/// Symbol 0 of a blob of so many symbols: a zero byte, version 0, the payload's bytes as u32, zeros.
/// Of more symbols than any blob has, the length is the largest there is.
#[must_use]
pub fn payload_header(symbols: usize) -> [u8; SYMBOL_BYTES] {
    let length = symbols.saturating_sub(1).saturating_mul(CELL_BYTES);
    let mut header = [0; SYMBOL_BYTES];
    header[2..6].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    header
}

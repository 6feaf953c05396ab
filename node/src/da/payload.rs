//! Between blobs and payloads: EigenDA's payload codec, version 0, filled exactly.
//!
//! Symbol 0 of a blob is the header: `00`, version `00`, the payload's length (u32, big-endian),
//! zeros. Each further symbol is a zero byte and 31 bytes of the payload. Our blobs have a power of
//! two of symbols and full payloads, so the proxy, which pads to a power of two, adds nothing, and
//! the polynomial that EigenDA commits to is ours.

use attribution::settle::{CELL_BYTES, MAX_SYMBOLS, SYMBOL_BYTES, payload_header};

use crate::{Error, Result};

/// Longest payload, in bytes.
pub(crate) const MAX_PAYLOAD: usize = payload_bytes(MAX_SYMBOLS);

/// Bytes of the payload in a blob of so many symbols, at least one.
pub(crate) const fn payload_bytes(symbols: usize) -> usize {
    (symbols - 1) * CELL_BYTES
}

/// The payload in a blob.
///
/// # Errors
/// [`Error::Availability`] unless the blob is a power of two of symbols from 2 to 2^19, begins with
/// the header of a full payload and has a zero byte before each chunk.
pub(crate) fn from_blob(blob: &[u8]) -> Result<Vec<u8>> {
    let symbols = blob.len() / SYMBOL_BYTES;
    if !blob.len().is_multiple_of(SYMBOL_BYTES) || !is_size(symbols) {
        return Err(Error::Availability(format!(
            "blob of {} bytes is no power of two of symbols from 2 to {MAX_SYMBOLS}",
            blob.len()
        )));
    }
    if blob[..SYMBOL_BYTES] != payload_header(symbols) {
        return Err(Error::Availability(
            "blob does not begin with the header of a full payload".into(),
        ));
    }
    let mut payload = Vec::with_capacity(payload_bytes(symbols));
    for (index, symbol) in blob.chunks_exact(SYMBOL_BYTES).enumerate().skip(1) {
        if symbol[0] != 0 {
            return Err(Error::Availability(format!(
                "symbol {index} begins with byte {}",
                symbol[0]
            )));
        }
        payload.extend_from_slice(&symbol[1..]);
    }
    Ok(payload)
}

/// The blob of a payload.
///
/// # Errors
/// [`Error::Availability`] unless the payload fills a power of two of symbols from 2 to 2^19.
pub(crate) fn to_blob(payload: &[u8]) -> Result<Vec<u8>> {
    let symbols = payload.len() / CELL_BYTES + 1;
    if !payload.len().is_multiple_of(CELL_BYTES) || !is_size(symbols) {
        return Err(Error::Availability(format!(
            "payload of {} bytes does not fill a blob",
            payload.len()
        )));
    }
    let mut blob = Vec::with_capacity(symbols * SYMBOL_BYTES);
    blob.extend_from_slice(&payload_header(symbols));
    for chunk in payload.chunks_exact(CELL_BYTES) {
        blob.push(0);
        blob.extend_from_slice(chunk);
    }
    Ok(blob)
}

fn is_size(symbols: usize) -> bool {
    symbols.is_power_of_two() && (2..=MAX_SYMBOLS).contains(&symbols)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_and_its_blob_are_as_documented() {
        let payload: Vec<u8> = (1..=31 * 3).collect();
        let blob = to_blob(&payload).unwrap();
        assert_eq!(blob.len(), 4 * 32);
        assert_eq!(blob[..8], [0, 0, 0, 0, 0, 93, 0, 0]);
        assert_eq!(blob[32..36], [0, 1, 2, 3]);
        assert_eq!(blob[96..98], [0, 63]);
    }

    #[test]
    fn a_ledgers_blob_has_the_provers_payload() {
        let rows = vec![attribution::settle::Row::PADDING; 8];
        let blob = prover::blob_from_rows(&rows).unwrap();
        assert_eq!(from_blob(&blob).unwrap(), prover::blob_payload(&blob).unwrap());
    }

    #[test]
    fn what_is_no_blob_is_refused() {
        let blob = to_blob(&[7; 31 * 7]).unwrap();
        for at in [0, 1, 5, 6, 31, 32, 224] {
            let mut other = blob.clone();
            other[at] ^= 1;
            from_blob(&other).unwrap_err();
        }
        for length in [0, 31, 32, 96, 255, 257] {
            from_blob(&vec![0; length]).unwrap_err();
        }
        for length in [0, 1, 30, 32, 62, 31 * 4, MAX_PAYLOAD + 31] {
            to_blob(&vec![0; length]).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn a_payload_comes_back(log in 1_u32..8, byte: u8) {
            let payload: Vec<u8> = (0..31 * ((1 << log) - 1)).map(|i| byte ^ (i as u8)).collect();
            prop_assert_eq!(from_blob(&to_blob(&payload).unwrap()).unwrap(), payload);
        }
    }
}

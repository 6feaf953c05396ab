//! Bytes as blobs of symbols: EigenDA's payload codec, version 0, filled exactly.
//!
//! All blobs of one publication have the same power of two of symbols. Symbol 0 of each is the
//! payload's header: `00`, version `00`, the payload's length (u32, big-endian), zeros. Every other
//! symbol is a zero byte and 31 bytes of the payload. The last payload ends in zeros.

use crate::{Error, Result, da::SYMBOL_BYTES};

/// Bytes of a payload in one symbol.
const PIECE: usize = SYMBOL_BYTES - 1;
/// Fewest symbols of a blob.
const MIN_SYMBOLS: usize = 64;
/// Most symbols of a blob: 16 MiB.
const MAX_SYMBOLS: usize = 1 << 19;
/// Most blobs, as InfluenceIndexes has it.
const MAX_BLOBS: usize = 64;

/// The blobs that hold `bytes`, in order: as few and as short as can be.
///
/// - `powers`: of tau, which bound a blob's symbols
///
/// # Errors
/// [`Error::Availability`] if they do not fit into 64 blobs.
pub(super) fn pack(bytes: &[u8], powers: usize) -> Result<Vec<Vec<u8>>> {
    let most = MAX_SYMBOLS.min(1 << powers.max(1).ilog2());
    let count = bytes.len().div_ceil(payload(most)).max(1);
    if count > MAX_BLOBS || most < MIN_SYMBOLS {
        let given = bytes.len();
        return Err(Error::Availability(format!(
            "{given} bytes do not fit into {MAX_BLOBS} blobs of {most} symbols"
        )));
    }
    let share = bytes.len().div_ceil(count);
    let symbols = (share.div_ceil(PIECE) + 1).next_power_of_two().max(MIN_SYMBOLS);
    let payloads = bytes.chunks(payload(symbols)).map(|payload| blob(payload, symbols));
    Ok(payloads.collect())
}

/// What the blobs hold, with the zeros at the end.
///
/// # Errors
/// [`Error::Availability`] if they are no blobs of one publication.
pub(super) fn unpack(blobs: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let first = blobs.first().map_or(0, Vec::len);
    for (i, blob) in blobs.iter().enumerate() {
        let symbols = blob.len() / SYMBOL_BYTES;
        let fits = (MIN_SYMBOLS..=MAX_SYMBOLS).contains(&symbols) && symbols.is_power_of_two();
        let damaged = |why| Err(Error::Availability(format!("blob {i} {why}")));
        if !fits || blob.len() != first || !blob.len().is_multiple_of(SYMBOL_BYTES) {
            return damaged("has a wrong length");
        }
        if blob[..SYMBOL_BYTES] != header(symbols) {
            return damaged("has another payload header");
        }
        for symbol in blob.chunks_exact(SYMBOL_BYTES).skip(1) {
            if symbol[0] != 0 {
                return damaged("has a symbol that is no payload's");
            }
            bytes.extend(&symbol[1..]);
        }
    }
    Ok(bytes)
}

const fn payload(symbols: usize) -> usize {
    PIECE * (symbols - 1)
}

fn blob(bytes: &[u8], symbols: usize) -> Vec<u8> {
    let mut blob = Vec::with_capacity(symbols * SYMBOL_BYTES);
    blob.extend(header(symbols));
    for piece in bytes.chunks(PIECE) {
        blob.push(0);
        blob.extend(piece);
        blob.resize(blob.len() + PIECE - piece.len(), 0);
    }
    blob.resize(symbols * SYMBOL_BYTES, 0);
    blob
}

fn header(symbols: usize) -> [u8; SYMBOL_BYTES] {
    let length = u32::try_from(payload(symbols)).expect("a blob is at most 16 MiB");
    let mut header = [0; SYMBOL_BYTES];
    header[2..6].copy_from_slice(&length.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_blob_is_the_header_and_pieces_behind_zeros() {
        let blobs = pack(&[7; 40], 1 << 10).unwrap();
        assert_eq!(blobs.len(), 1);
        assert_eq!(blobs[0].len(), 64 * 32);
        // 31 * 63 = 1953 = 0x7a1.
        assert_eq!(blobs[0][..32], [&[0, 0, 0, 0, 7, 0xa1][..], &[0; 26]].concat());
        assert_eq!(blobs[0][32..64], [&[0][..], &[7; 31]].concat());
        assert_eq!(blobs[0][64..96], [&[0][..], &[7; 9], &[0; 22]].concat());
        assert!(blobs[0][96..].iter().all(|byte| *byte == 0));
        assert_eq!(prover::payload_header(8), *<&[u8; 32]>::try_from(&blobs[0][..32]).unwrap());
    }

    #[test]
    fn what_is_too_long_or_no_blob_is_refused() {
        assert!(pack(&[1; 31 * 63 * 64], 127).is_ok_and(|blobs| blobs.len() == 64));
        assert!(pack(&[1; 31 * 63 * 64 + 1], 127).is_err());
        assert!(pack(&[], 63).is_err());
        let blob = pack(&[1; 100], 64).unwrap().remove(0);
        for at in [0, 5, 40, 64] {
            let mut other = blob.clone();
            other[at] ^= 1;
            let changed = unpack(&[other]);
            assert_eq!(changed.is_ok(), at == 40, "{at}");
        }
        let longer = pack(&[1; 3000], 1 << 10).unwrap().remove(0);
        assert!(unpack(&[blob.clone(), longer]).is_err());
        assert!(unpack(&[blob[..1024].to_vec()]).is_err());
        assert!(unpack(&[blob[..2047].to_vec()]).is_err());
    }

    proptest! {
        #[test]
        fn unpacking_gives_the_bytes_and_zeros(
            bytes in prop::collection::vec(any::<u8>(), 0..20_000),
            log_powers in 8u32..12,
        ) {
            let blobs = pack(&bytes, 1 << log_powers).unwrap();
            prop_assert!(blobs.iter().all(|blob| blob.len() == blobs[0].len()));
            let read = unpack(&blobs).unwrap();
            prop_assert_eq!(&read[..bytes.len()], &bytes[..]);
            prop_assert!(read[bytes.len()..].iter().all(|byte| *byte == 0));
        }
    }
}

//! Bytes as blobs of one publication: full payloads, of which the last ends in zeros. All blobs have
//! the same power of two of symbols.

use attribution::settle::{CELL_BYTES, MAX_SYMBOLS, SYMBOL_BYTES};

use crate::{
    Error, Result,
    da::{from_blob, payload_bytes, to_blob},
};

/// Fewest symbols of a blob.
const MIN_SYMBOLS: usize = 64;
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
    let count = bytes.len().div_ceil(payload_bytes(most)).max(1);
    if count > MAX_BLOBS || most < MIN_SYMBOLS {
        let given = bytes.len();
        return Err(Error::Availability(format!(
            "{given} bytes do not fit into {MAX_BLOBS} blobs of {most} symbols"
        )));
    }
    let share = bytes.len().div_ceil(count);
    let symbols = (share.div_ceil(CELL_BYTES) + 1).next_power_of_two().max(MIN_SYMBOLS);
    let full = |piece: &[u8]| {
        let mut payload = piece.to_vec();
        payload.resize(payload_bytes(symbols), 0);
        to_blob(&payload)
    };
    bytes.chunks(payload_bytes(symbols)).map(full).collect()
}

/// What the blobs hold, with the zeros at the end.
///
/// # Errors
/// [`Error::Availability`] if they are no blobs of one publication.
pub(super) fn unpack(blobs: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let first = blobs.first().map_or(0, Vec::len);
    for (i, blob) in blobs.iter().enumerate() {
        let damaged = |why: String| Error::Availability(format!("blob {i}: {why}"));
        if blob.len() != first || blob.len() < MIN_SYMBOLS * SYMBOL_BYTES {
            return Err(damaged(format!("{} bytes, not those of the others", blob.len())));
        }
        bytes.extend(from_blob(blob).map_err(|error| match error {
            Error::Availability(why) => damaged(why),
            other => other,
        })?);
    }
    Ok(bytes)
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

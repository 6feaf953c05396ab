//! A page of cumulative earnings as a blob: what IEarningsArchive describes.
//!
//! EigenDA's payload encoding, filled exactly: symbol 0 is the header, the others a zero byte and 31
//! bytes of payload each. The payload is 8 bytes of gwei for each earner of the page, big-endian,
//! then zeros.

use std::collections::BTreeMap;

use attribution::settle::{CELL_BYTES, EarnerIndex, SYMBOL_BYTES};

use crate::{
    Error, Result,
    da::{payload_bytes, to_blob},
};

const AMOUNT_BYTES: usize = 8;
/// Fewest symbols of a blob beside a ledger.
const MIN_SYMBOLS: usize = 16;

/// Symbols of a snapshot of pages of this size; EarningsArchive's `symbols()`.
pub const fn symbols(page_size: u32) -> usize {
    let cells = (page_size as usize * AMOUNT_BYTES).div_ceil(CELL_BYTES);
    let symbols = (cells + 1).next_power_of_two();
    if symbols < MIN_SYMBOLS { MIN_SYMBOLS } else { symbols }
}

/// The blob of a page.
///
/// # Errors
/// [`Error::Availability`] if the page is too large for a blob.
pub fn encode(page_size: u32, page: u32, earnings: &BTreeMap<EarnerIndex, u64>) -> Result<Vec<u8>> {
    let mut payload = vec![0; payload_bytes(symbols(page_size))];
    for (earner, gwei) in earnings.iter().filter(|(earner, _)| earner.0 / page_size == page) {
        let at = (earner.0 % page_size) as usize * AMOUNT_BYTES;
        payload[at..at + AMOUNT_BYTES].copy_from_slice(&gwei.to_be_bytes());
    }
    to_blob(&payload)
}

/// Reads anybody's snapshot. Whether it is true shows only in its commitment.
///
/// # Errors
/// [`Error::Availability`] if the blob is not of pages of this size.
pub fn decode(blob: &[u8], page_size: u32, page: u32) -> Result<BTreeMap<EarnerIndex, u64>> {
    let expected = symbols(page_size) * SYMBOL_BYTES;
    if blob.len() != expected {
        let given = blob.len();
        return Err(Error::Availability(format!(
            "a snapshot must have {expected} bytes, got {given}"
        )));
    }
    let first = u64::from(page) * u64::from(page_size);
    let payload: Vec<u8> =
        blob.chunks_exact(SYMBOL_BYTES).skip(1).flat_map(|symbol| &symbol[1..]).copied().collect();
    let mut earnings = BTreeMap::new();
    let amounts = payload.chunks_exact(AMOUNT_BYTES).take(page_size as usize);
    for (place, amount) in (0_u64..).zip(amounts) {
        let gwei = u64::from_be_bytes(amount.try_into().expect("eight bytes"));
        if gwei > 0 {
            let earner = u32::try_from(first + place)
                .map_err(|_| Error::Availability(format!("page {page} has no such earner")))?;
            earnings.insert(EarnerIndex(earner), gwei);
        }
    }
    Ok(earnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let earnings: BTreeMap<_, _> = [(64, 1), (65, u64::MAX), (100, 5), (127, 77), (128, 9)]
            .map(|(earner, gwei)| (EarnerIndex(earner), gwei))
            .into();
        let blob = encode(64, 1, &earnings).unwrap();
        assert_eq!(blob.len(), symbols(64) * SYMBOL_BYTES);
        let mut page = earnings;
        page.remove(&EarnerIndex(128));
        assert_eq!(decode(&blob, 64, 1).unwrap(), page);
    }

    #[test]
    fn amounts_are_where_the_interface_says() {
        let earnings = BTreeMap::from([(EarnerIndex(4), 0x0102_0304_0506_0708)]);
        let blob = encode(16, 0, &earnings).unwrap();
        // 31 * 15 payload bytes; amount 4 begins at payload byte 32, in the second cell.
        assert_eq!(blob[..8], [0, 0, 0, 0, 0x01, 0xd1, 0, 0]);
        assert_eq!(blob[65..75], [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
        assert_eq!(blob.iter().filter(|&&byte| byte != 0).count(), 2 + 8);
    }

    #[test]
    fn snapshots_are_as_long_as_the_contract_says() {
        // The same numbers are in the contract's tests.
        assert_eq!([1 << 4, 1 << 10, 1 << 16].map(symbols), [16, 512, 32_768]);
    }

    #[test]
    fn a_blob_of_another_length_is_refused() {
        assert!(matches!(decode(&[0; 64], 64, 0), Err(Error::Availability(_))));
    }

    #[test]
    fn amounts_beyond_the_last_index_are_refused() {
        let last = u32::MAX / 16;
        let blob = encode(16, last, &BTreeMap::from([(EarnerIndex(u32::MAX), 3)])).unwrap();
        assert_eq!(decode(&blob, 16, last).unwrap()[&EarnerIndex(u32::MAX)], 3);
        assert!(matches!(decode(&blob, 16, last + 1), Err(Error::Availability(_))));
    }
}

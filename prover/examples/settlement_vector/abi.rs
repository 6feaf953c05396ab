//! Words as Solidity encodes them.

/// `abi.encode(bytes[])`.
pub(crate) fn bytes_array(items: &[Vec<u8>]) -> Vec<u8> {
    let mut encoded = [number(32), number(items.len())].concat();
    let mut tails = Vec::new();
    for item in items {
        encoded.extend(number(32 * items.len() + tails.len()));
        tails.extend(number(item.len()));
        tails.extend(item);
        tails.resize(tails.len().next_multiple_of(32), 0);
    }
    encoded.extend(tails);
    encoded
}

fn number(n: usize) -> [u8; 32] {
    padded(&n.to_be_bytes())
}

/// A word with the bytes at its end.
pub(crate) fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
}

//! Ways in which a span index is wrong.

use std::path::Path;

use alloy::primitives::keccak256;

/// Bytes of a row in a row table, and where its index, hash, earner and cluster are.
const ROW: usize = 57;
const INDEX: usize = 9;
const HASH: usize = 17;
const EARNER: usize = 49;
const CLUSTER: usize = 53;

/// Places in the header: tokens of the shard, and the length of its suffixes.
const TOKENS: usize = 18;
const SUFFIX_BYTES: usize = 79;
/// The hash that a header ends with.
const HEADER_HASH: usize = 32;

/// Changes files of an index.
pub(super) type Damage = (&'static str, fn(&Path));

/// The second row is the first contributor's copy of the first, so its cluster is 0.
pub(super) const DAMAGES: [Damage; 7] = [
    ("two suffixes in each other's place", |index| {
        change(index, "0.suffixes", |bytes| {
            let last = bytes.len() - 1;
            bytes.swap(0, last);
        });
    }),
    ("a suffix twice", |index| change(index, "0.suffixes", |bytes| bytes[4] = bytes[3])),
    ("another earner", |index| change(index, "0.rows", |bytes| bytes[ROW + EARNER + 3] ^= 1)),
    ("another text's hash", |index| change(index, "0.rows", |bytes| bytes[HASH] ^= 1)),
    ("a copy that is its own cluster", |index| {
        change(index, "0.rows", |bytes| bytes[ROW + CLUSTER + 3] = 1);
    }),
    ("a row that the Datanet has not", |index| {
        change(index, "0.rows", |bytes| {
            let last = bytes.len() - ROW;
            bytes[last + INDEX + 6] = 1;
        });
    }),
    ("a suffix left out", leave_out),
];
/// Of the damages, two that are in the rows.
pub(super) const ANOTHER_EARNER: usize = 2;
pub(super) const ANOTHER_HASH: usize = 3;

fn change(index: &Path, part: &str, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(index.join(part)).unwrap();
    change(&mut bytes);
    std::fs::write(index.join(part), bytes).unwrap();
}

/// An index in order that says of itself that it has one token less: spans that begin with the suffix
/// are found nowhere.
fn leave_out(index: &Path) {
    // Fewer than 256 positions, so that a pointer has one byte.
    change(index, "0.suffixes", |bytes| {
        bytes.remove(7);
    });
    let tokens = std::fs::metadata(index.join("0.suffixes")).unwrap().len().to_be_bytes();
    change(index, "header", |header| {
        let body = header.len() - HEADER_HASH;
        assert_eq!(header[TOKENS..TOKENS + 8], header[SUFFIX_BYTES..SUFFIX_BYTES + 8]);
        header[TOKENS..TOKENS + 8].copy_from_slice(&tokens);
        header[SUFFIX_BYTES..SUFFIX_BYTES + 8].copy_from_slice(&tokens);
        let hash = keccak256(&header[..body]);
        header[body..].copy_from_slice(hash.as_slice());
    });
}

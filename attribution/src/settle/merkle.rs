//! Merkle trees with sorted pairs, as OpenZeppelin's `MerkleProof` verifies them.
//!
//! Level by level, node `2i` is paired with `2i + 1` as `keccak256(min || max)`; an odd last node
//! is promoted unchanged. A leaf is `keccak256(bytes.concat(keccak256(abi.encode(...))))`, which no
//! inner node can be mistaken for.

use alloc::vec::Vec;

use super::{EarnerIndex, Hash, ids::Words, keccak};
use crate::{Error, Result};

/// Leaf of 32-byte words: the double hash of their concatenation.
#[must_use]
pub fn leaf_hash(words: &[Hash]) -> Hash {
    keccak(&[&keccak(&[words.as_flattened()])])
}

/// Leaf of a Datanet row: `abi.encode(uint64 row_index, bytes32 row_hash, address contributor,
/// bytes32 cluster_hash)`.
///
/// `row_hash` is keccak256 of the row's UTF-8 text, `cluster_hash` that of the first registered row
/// of its duplicate cluster.
#[must_use]
pub fn row_leaf(row_index: u64, row_hash: Hash, contributor: [u8; 20], cluster_hash: Hash) -> Hash {
    let words =
        Words::default().uint(row_index).word(row_hash).address(contributor).word(cluster_hash);
    keccak(&[&words.hash()])
}

/// Leaf of a contributor in an influence index: `abi.encode(uint32 earner, uint32 accepted_rows,
/// bytes32 sums_hash)`.
///
/// `accepted_rows` counts one row per duplicate cluster, `sums_hash` is keccak256 of the
/// contributor's sums as big-endian i32.
#[must_use]
pub fn index_leaf(earner: EarnerIndex, accepted_rows: u32, sums_hash: Hash) -> Hash {
    keccak(&[&Words::default().uint(earner.0).uint(accepted_rows).word(sums_hash).hash()])
}

/// Root of the leaves; zeros for none.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = parents(&level);
    }
    level.first().copied().unwrap_or_default()
}

/// Siblings from leaf `index` up to the root.
///
/// # Errors
/// [`Error::NoSuchLeaf`] if there is no such leaf.
pub fn proof(leaves: &[Hash], index: usize) -> Result<Vec<Hash>> {
    if index >= leaves.len() {
        return Err(Error::NoSuchLeaf { index, leaves: leaves.len() });
    }
    let (mut level, mut index, mut siblings) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        // A promoted node has no sibling on its level.
        siblings.extend(level.get(index ^ 1));
        level = parents(&level);
        index /= 2;
    }
    Ok(siblings)
}

/// Whether the siblings lead from `leaf` to `root`.
#[must_use]
pub fn verify(root: Hash, leaf: Hash, siblings: &[Hash]) -> bool {
    siblings.iter().fold(leaf, |node, sibling| pair(&node, sibling)) == root
}

fn parents(level: &[Hash]) -> Vec<Hash> {
    let up = |nodes: &[Hash]| match nodes {
        [left, right] => pair(left, right),
        odd => odd[0],
    };
    level.chunks(2).map(up).collect()
}

fn pair(a: &Hash, b: &Hash) -> Hash {
    if a <= b { keccak(&[a, b]) } else { keccak(&[b, a]) }
}

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

/// A node of the partial-sum tree over a contributor's accepted rows in an influence index.
///
/// Rows ascend by (datanet, row index). Level by level, nodes `2i` and `2i + 1` have a parent and an
/// odd last node is promoted, so that a left child has [`left_count`] rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumNode {
    /// Rows under it: 1 for a leaf, 0 for the root of a contributor without rows.
    pub count: u32,
    /// keccak256 of the sum of their sketches, each of the `d` numbers as big-endian i32.
    pub sums_hash: Hash,
    /// Hash of the left child; for a leaf, [`index_row_hash`] of its row; zeros without rows.
    pub left: Hash,
    /// Hash of the right child; zeros for a leaf and without rows.
    pub right: Hash,
}

impl SumNode {
    /// `keccak256(abi.encode(uint32 count, bytes32 sums_hash, bytes32 left, bytes32 right))`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let words = Words::default().uint(self.count).word(self.sums_hash);
        words.word(self.left).word(self.right).hash()
    }
}

/// Rows under the left child of a node over `count` rows: the largest power of two below it. `count`
/// is at least 2.
#[must_use]
pub const fn left_count(count: u32) -> u32 {
    1 << (count - 1).ilog2()
}

/// What a leaf of a partial-sum tree says of its row: `keccak256(abi.encode(uint8 datanet, uint64
/// row_index, bytes32 row_hash, bytes32 cluster_hash))`.
///
/// `datanet` is the place of the row's Datanet version among those of the model.
#[must_use]
pub fn index_row_hash(datanet: u8, row_index: u64, row_hash: Hash, cluster_hash: Hash) -> Hash {
    Words::default().uint(datanet).uint(row_index).word(row_hash).word(cluster_hash).hash()
}

/// Leaf of a contributor in an influence index: `abi.encode(uint32 ordinal, uint32 earner, uint32
/// accepted_rows, bytes32 sums_hash, bytes32 left, bytes32 right)`, of which the last four are the
/// root of its partial-sum tree.
///
/// Contributors ascend by earner, and `ordinal` is the place among them.
#[must_use]
pub fn index_leaf(ordinal: u32, earner: EarnerIndex, root: &SumNode) -> Hash {
    let words = Words::default().uint(ordinal).uint(earner.0).uint(root.count);
    keccak(&[&words.word(root.sums_hash).word(root.left).word(root.right).hash()])
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

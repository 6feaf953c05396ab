use super::LeafOpening;
use crate::settle::{Hash, keccak};

/// A Merkle tree whose leaves are at places that their paths prove.
#[derive(Debug)]
pub(super) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    pub(super) fn new(leaves: impl Iterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut levels = vec![leaves.map(|leaf| leaf_hash(leaf.as_ref())).collect::<Vec<_>>()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let parents = level.chunks(2).map(|pair| match pair {
                [left, right] => keccak(&[left, right]),
                alone => alone[0],
            });
            levels.push(parents.collect());
        }
        Self(levels)
    }

    /// Zeros without a leaf.
    pub(super) fn root(&self) -> Hash {
        self.0.last().and_then(|level| level.first()).copied().unwrap_or_default()
    }

    pub(super) fn open(&self, leaf: &[u8], mut number: usize) -> LeafOpening {
        let mut siblings = Vec::new();
        for level in &self.0 {
            siblings.extend(level.get(number ^ 1));
            number /= 2;
        }
        LeafOpening { leaf: leaf.to_vec(), siblings }
    }
}

/// Whether the opening is that of leaf `number` of `leaves`, of `bytes` bytes each.
pub(super) fn opens(
    opening: &LeafOpening,
    bytes: usize,
    root: Hash,
    number: u64,
    leaves: u64,
) -> bool {
    if opening.leaf.len() != bytes || number >= leaves {
        return false;
    }
    let (mut node, mut at, mut width) = (leaf_hash(&opening.leaf), number, leaves);
    let mut siblings = opening.siblings.iter();
    while width > 1 {
        if at ^ 1 < width {
            let Some(sibling) = siblings.next() else { return false };
            node = if at % 2 == 0 { keccak(&[&node, sibling]) } else { keccak(&[sibling, &node]) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none() && node == root
}

fn leaf_hash(leaf: &[u8]) -> Hash {
    keccak(&[&keccak(&[leaf])])
}

//! A cumulative Merkle root of earnings, as EigenLayer's RewardsCoordinator has one: what is owed
//! is whatever its poster says. `test/bench/CumulativeRoot.sol` claims against it.

use std::collections::BTreeMap;

use attribution::settle::EarnerIndex;
use sha3::{Digest, Keccak256};

type Hash = [u8; 32];

/// Levels from the leaves to the root.
pub(crate) struct Tree(Vec<Vec<Hash>>);

impl Tree {
    /// Leaves by ascending earner, filled up with zeros to a power of two.
    pub(crate) fn new(earnings: &BTreeMap<EarnerIndex, u64>) -> Self {
        let mut leaves: Vec<_> = earnings.iter().map(|(&e, &gwei)| leaf(e, gwei)).collect();
        leaves.resize(leaves.len().next_power_of_two(), [0; 32]);
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = level.chunks_exact(2).map(|pair| hash(&[&pair[0], &pair[1]])).collect();
            levels.push(next);
        }
        Self(levels)
    }

    /// Siblings from the leaf to the root.
    pub(crate) fn proof(&self, place: usize) -> Vec<Hash> {
        let levels = self.0[..self.0.len() - 1].iter().enumerate();
        levels.map(|(height, level)| level[(place >> height) ^ 1]).collect()
    }

    /// Whether a proof leads from an earner's leaf to the root.
    pub(crate) fn holds(
        &self,
        earner: EarnerIndex,
        gwei: u64,
        place: usize,
        proof: &[Hash],
    ) -> bool {
        let mut node = leaf(earner, gwei);
        for (height, sibling) in proof.iter().enumerate() {
            let right = place >> height & 1 == 1;
            node = if right { hash(&[sibling, &node]) } else { hash(&[&node, sibling]) };
        }
        self.0[self.0.len() - 1] == [node]
    }
}

fn leaf(earner: EarnerIndex, gwei: u64) -> Hash {
    let mut words = [0; 64];
    words[28..32].copy_from_slice(&earner.0.to_be_bytes());
    words[56..].copy_from_slice(&gwei.to_be_bytes());
    // A byte before it keeps leaves apart from nodes.
    hash(&[&[0], &words])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let hasher = parts.iter().fold(Keccak256::new(), |hasher, part| hasher.chain_update(part));
    hasher.finalize().into()
}

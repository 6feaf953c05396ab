//! What cited rows are owed by.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::Hit, Support};
use crate::settle::{Hash, merkle};

/// A row that an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CitedRow {
    /// Its source number in the prompt, from 1.
    pub source: usize,
    /// The row's hash.
    pub row_hash: Hash,
    /// Who contributed it.
    pub contributor: [u8; 20],
    /// Its relevance to the question, above 0.
    pub relevance: u32,
    /// Sentences that cite it and rest on it.
    pub uses: u32,
}

impl CitedRow {
    /// `relevance x uses`: what the row is paid in proportion to.
    #[must_use]
    pub fn weight(&self) -> u64 {
        u64::from(self.relevance) * u64::from(self.uses)
    }
}

/// The rows that an answer rests on, by source number.
///
/// A sentence counts once for a row however often it repeats the mark, and not at all if the row
/// does not support it: a row that talks the model into citing it earns nothing by that. Rows
/// without relevance, and rows that were retrieved and not used, earn nothing. `hits[i]` is source
/// `i + 1`; a row that is there twice under one hash counts once, as the first.
#[must_use]
pub fn cited_rows(hits: &[&Hit], support: &[Support]) -> Vec<CitedRow> {
    let mut first = BTreeMap::new();
    for (source, hit) in (1..).zip(hits) {
        first.entry(hit.row.row_hash).or_insert(source);
    }
    let mut uses: BTreeMap<usize, u32> = BTreeMap::new();
    for support in support {
        let Support::Sources(sources) = support else { continue };
        let known = sources.iter().filter_map(|source| hits.get(source.checked_sub(1)?));
        let once: BTreeSet<usize> = known.map(|hit| first[&hit.row.row_hash]).collect();
        for source in once {
            *uses.entry(source).or_default() += 1;
        }
    }
    let row = |(source, uses): (usize, u32)| {
        let hit: &Hit = hits[source - 1];
        let (row_hash, contributor) = (hit.row.row_hash, hit.row.contributor);
        CitedRow { source, row_hash, contributor, relevance: hit.relevance, uses }
    };
    uses.into_iter().map(row).filter(|row| row.relevance > 0).collect()
}

/// Sums of weights per contributor.
#[must_use]
pub fn contributors(rows: &[CitedRow]) -> BTreeMap<[u8; 20], u64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        // At most 2^6 sources of a relevance below 2^31 and fewer than 2^20 uses: far below 2^64.
        *sums.entry(row.contributor).or_insert(0) += row.weight();
    }
    sums
}

/// `floor(pool * weight / sum of weights)` for each row, in their order. What rounding leaves of the
/// pool is less than one gwei per row, and is left to the caller.
#[must_use]
pub fn shares(pool: u64, rows: &[CitedRow]) -> Vec<u64> {
    let sum: u128 = rows.iter().map(|row| u128::from(row.weight())).sum::<u128>().max(1);
    let share = |row: &CitedRow| {
        let share = u128::from(pool) * u128::from(row.weight()) / sum;
        u64::try_from(share).expect("a weight is at most the sum")
    };
    rows.iter().map(share).collect()
}

/// Merkle root over the rows that an answer rests on, for the call's record. The leaf of a row is
/// `keccak(keccak(abi.encode(uint256 source, bytes32 rowHash, address contributor, uint256
/// relevance, uint256 uses)))`; without rows the root is zero.
#[must_use]
pub fn citations_root(rows: &[CitedRow]) -> Hash {
    if rows.is_empty() {
        return [0; 32];
    }
    let leaves: Vec<Hash> = rows.iter().map(leaf).collect();
    merkle::root(&leaves)
}

fn leaf(row: &CitedRow) -> Hash {
    let number = |value: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        word
    };
    let mut account = [0; 32];
    account[12..].copy_from_slice(&row.contributor);
    let words = [
        number(row.source as u64),
        row.row_hash,
        account,
        number(row.relevance.into()),
        number(row.uses.into()),
    ];
    merkle::leaf_hash(&words)
}

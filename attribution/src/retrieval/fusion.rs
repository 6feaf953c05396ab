//! Two rankings into one.

use std::collections::BTreeMap;

/// `k` of reciprocal rank fusion, as in the paper.
pub const FUSION_K: u64 = 60;
/// A fused score is in units of `1 / FUSION_UNIT`.
pub const FUSION_UNIT: u64 = 1_000_000_000;

/// Reciprocal rank fusion: item `d` scores `sum 1 / (60 + rank(d))` over the rankings that hold it,
/// ranks from 1 (Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion outperforms Condorcet
/// and individual rank learning methods", section 2). Each term is floored to [`FUSION_UNIT`], so
/// the sums do not depend on the order of the rankings.
///
/// A ranking must hold an item once.
#[must_use]
pub fn fuse<T: Ord + Clone>(rankings: &[&[T]]) -> BTreeMap<T, u64> {
    let mut scores = BTreeMap::new();
    for ranking in rankings {
        for (rank, item) in (1..).zip(*ranking) {
            *scores.entry(item.clone()).or_insert(0) += FUSION_UNIT / (FUSION_K + rank);
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_in_both_rankings_beats_the_first_of_one() {
        // 1/61 + 1/63, 1/62 + 1/62, 1/61, in billionths.
        let fused = fuse(&[&["a", "b", "c"], &["d", "b", "a"]]);
        assert_eq!(fused["a"], 16_393_442 + 15_873_015);
        assert_eq!(fused["b"], 16_129_032 + 16_129_032);
        assert_eq!(fused["d"], 16_393_442);
        assert!(fused["a"] > fused["b"] && fused["b"] > fused["d"]);
        assert!(fuse::<u32>(&[]).is_empty());
    }
}

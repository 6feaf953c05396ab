use alloc::{collections::BTreeSet, vec::Vec};
use core::cmp::Reverse;

use borsh::{BorshDeserialize, BorshSerialize};

use super::EarnerIndex;
use crate::{Error, Result};

/// What one call gives one contributor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Credit {
    /// Index in the role of contributor.
    pub earner: EarnerIndex,
    /// `S_c`, the exact dot product of the query's sketch and the contributor's sum; not 0.
    pub score: i64,
    /// `trunc(pool * S_c / sum |S|)`, gwei.
    pub credit: i64,
}

/// Signed credits of one call: `trunc(pool * S_c / sum |S|)` over the `max_credits` contributors
/// with the largest `|S_c|` (ties by lower index; scores of zero are dropped), sorted by
/// (`|S|` descending, index ascending).
///
/// The sum is over the contributors kept, so `sum |credit| <= pool`, and computing again from the
/// kept scores gives the same credits.
///
/// # Errors
/// [`Error::Overflow`] if `pool` is above `i64::MAX`, [`Error::DuplicateEarner`] if an index has
/// two scores, [`Error::NobodyEarns`] if an index is 0.
pub fn signed_credits(
    pool: u64,
    scores: &[(EarnerIndex, i64)],
    max_credits: u8,
) -> Result<Vec<Credit>> {
    let pool = i64::try_from(pool)
        .map_err(|_| Error::Overflow { what: "contributors' pool", value: u128::from(pool) })?;
    let kept = largest(scores, usize::from(max_credits))?;
    // At most 255 magnitudes of at most 2^63 each.
    let sum: i128 = kept.iter().map(|&(_, score)| i128::from(score.unsigned_abs())).sum();
    Ok(kept
        .into_iter()
        .map(|(earner, score)| {
            // |pool * score| <= 2^126, and the quotient is within the pool because |score| <= sum.
            let credit = i128::from(pool) * i128::from(score) / sum;
            let credit = i64::try_from(credit).expect("a credit is within the pool");
            Credit { earner, score, credit }
        })
        .collect())
}

fn largest(scores: &[(EarnerIndex, i64)], keep: usize) -> Result<Vec<(EarnerIndex, i64)>> {
    let mut seen = BTreeSet::new();
    for &(earner, _) in scores {
        if earner == EarnerIndex::NOBODY {
            return Err(Error::NobodyEarns { what: "a score" });
        }
        if !seen.insert(earner) {
            return Err(Error::DuplicateEarner { what: "scores", earner: earner.0 });
        }
    }
    let mut kept: Vec<_> = scores.iter().copied().filter(|&(_, score)| score != 0).collect();
    kept.sort_unstable_by_key(|&(earner, score)| (Reverse(score.unsigned_abs()), earner));
    kept.truncate(keep);
    Ok(kept)
}

use attribution::{
    Error,
    settle::{Credit, EarnerIndex, signed_credits},
};
use proptest::prelude::*;

fn credits(pool: u64, scores: &[(u32, i64)], max: u8) -> Result<Vec<(u32, i64, i64)>, Error> {
    let scores: Vec<_> = scores.iter().map(|&(e, s)| (EarnerIndex(e), s)).collect();
    let flat = |c: Credit| (c.earner.0, c.score, c.credit);
    Ok(signed_credits(pool, &scores, max)?.into_iter().map(flat).collect())
}

#[test]
fn credits_follow_the_sign_and_round_towards_zero() {
    // 100 * 2/7 = 28.57, 100 * -4/7 = -57.14, 100 * 1/7 = 14.28
    let expected = vec![(3, -4, -57), (2, 2, 28), (9, 1, 14)];
    assert_eq!(credits(100, &[(2, 2), (3, -4), (9, 1)], 32), Ok(expected));
}

#[test]
fn the_largest_scores_are_kept_and_ties_go_to_the_lower_index() {
    let scores = [(8, 5), (2, -5), (5, 5), (1, 4), (7, -9), (6, 0)];
    // The sum is over those kept: 9 + 5 + 5 = 19.
    let expected = vec![(7, -9, -47), (2, -5, -26), (5, 5, 26)];
    assert_eq!(credits(100, &scores, 3), Ok(expected));
}

#[test]
fn one_contributor_of_tiny_score_takes_the_call() {
    assert_eq!(credits(u64::MAX >> 1, &[(2, 1)], 1), Ok(vec![(2, 1, i64::MAX)]));
    assert_eq!(credits(u64::MAX >> 1, &[(2, i64::MIN)], 1), Ok(vec![(2, i64::MIN, -i64::MAX)]));
}

#[test]
fn no_score_gives_no_credit() {
    assert_eq!(credits(100, &[], 32), Ok(vec![]));
    assert_eq!(credits(100, &[(2, 0), (3, 0)], 32), Ok(vec![]));
    assert_eq!(credits(100, &[(2, 7)], 0), Ok(vec![]));
}

#[test]
fn repeated_and_nameless_earners_are_refused() {
    let twice = Error::DuplicateEarner { what: "scores", earner: 2 };
    assert_eq!(credits(100, &[(2, 1), (3, 1), (2, 0)], 32), Err(twice));
    assert_eq!(credits(100, &[(0, 1)], 32), Err(Error::NobodyEarns { what: "a score" }));
    assert!(matches!(credits(1 << 63, &[(2, 1)], 32), Err(Error::Overflow { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn credits_never_exceed_the_pool(
        pool in 0..=i64::MAX.unsigned_abs(),
        scores in prop::collection::btree_map(1_u32..5_000, any::<i64>(), 0..80),
        max: u8,
    ) {
        let scores: Vec<_> = scores.into_iter().map(|(e, s)| (EarnerIndex(e), s)).collect();
        let kept = signed_credits(pool, &scores, max).unwrap();
        let given: u128 = kept.iter().map(|c| u128::from(c.credit.unsigned_abs())).sum();
        prop_assert!(given <= u128::from(pool));
        // Each credit loses less than one gwei.
        prop_assert!(kept.is_empty() || u128::from(pool) - given < kept.len() as u128);
        prop_assert!(kept.iter().all(|c| c.credit == 0 || (c.credit > 0) == (c.score > 0)));

        let again: Vec<_> = kept.iter().rev().map(|c| (c.earner, c.score)).collect();
        prop_assert_eq!(signed_credits(pool, &again, max).unwrap(), kept);
    }
}

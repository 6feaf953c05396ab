//! Ranks and their correlation.

/// Ranks from 1, ties sharing the mean of their places. NaN ranks above everything.
#[must_use]
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let same = |&i: &usize, &j: &usize| values[i] == values[j];
    let mut first = 0;
    for tied in order.chunk_by(same) {
        // Places first + 1 to first + n.
        let rank = first as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        first += tied.len();
    }
    ranks
}

/// Spearman's rank correlation: the correlation of [`average_ranks`].
///
/// `None` if the lengths differ, a value is not finite, or either side is constant.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || !a.iter().chain(b).all(|x| x.is_finite()) {
        return None;
    }
    correlation(&average_ranks(a), &average_ranks(b))
}

/// Pearson's correlation; `None` if either side is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_and_correlation_equal_scipy() {
        // scipy.stats.rankdata and spearmanr 1.17.
        let a = [3.1, -2.0, 0.5, 0.5, 7.25, 1.0, -2.0, 4.0];
        let b = [2.0, 0.0, 1.0, 5.0, 6.0, 1.0, -3.0, 1.0];

        assert_eq!(average_ranks(&a), [6.0, 1.5, 3.5, 3.5, 8.0, 5.0, 1.5, 7.0]);
        assert_eq!(average_ranks(&b), [6.0, 2.0, 4.0, 7.0, 8.0, 4.0, 1.0, 4.0]);
        assert!((spearman(&a, &b).unwrap() - 0.716_103_957_570_952_5).abs() < 1e-12);
    }

    #[test]
    fn nothing_correlates_with_a_constant_or_with_what_is_not_finite() {
        assert_eq!(spearman(&[1.0, 1.0], &[0.0, 2.0]), None);
        assert_eq!(spearman(&[1.0, f64::NAN], &[0.0, 2.0]), None);
        assert_eq!(spearman(&[1.0], &[0.0, 2.0]), None);
        assert_eq!(spearman(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn any_increasing_map_leaves_the_correlation(
            pairs in prop::collection::vec((-50i32..50, -50i32..50), 3..40),
        ) {
            let a: Vec<f64> = pairs.iter().map(|p| f64::from(p.0)).collect();
            let b: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
            let bent: Vec<f64> = a.iter().map(|x| (x / 9.0).exp()).collect();
            let turned: Vec<f64> = a.iter().map(|x| -x).collect();
            prop_assert_eq!(spearman(&a, &b), spearman(&bent, &b));
            let (plain, turned) = (spearman(&a, &b), spearman(&turned, &b));
            prop_assert!(plain.zip(turned).is_none_or(|(x, y)| (x + y).abs() < 1e-9));
        }
    }
}

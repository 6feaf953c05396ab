//! Removing the rows that a method names first.

/// The `ceil(share n)` rows with the largest scores, ties by lower row, best first.
#[must_use]
pub fn top_rows(scores: &[f64], share: f64) -> Vec<u32> {
    let mut order: Vec<u32> = (0u32..).take(scores.len()).collect();
    order.sort_by(|&i, &j| scores[j as usize].total_cmp(&scores[i as usize]).then(i.cmp(&j)));
    order.truncate((share * scores.len() as f64).ceil() as usize);
    order
}

/// Mean rise of the queries' losses when the model is retrained without the rows named for each:
/// `mean(after - before)`, in nats per query. A method that names the rows a query needs has a large
/// rise; naming rows at random has about none.
///
/// `None` if the lengths differ or there is no query.
#[must_use]
pub fn loss_rise(before: &[f64], after: &[f64]) -> Option<f64> {
    let rises = before.iter().zip(after).map(|(before, after)| after - before);
    (before.len() == after.len() && !before.is_empty())
        .then(|| rises.sum::<f64>() / before.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_scores_come_first_and_ties_by_row() {
        assert_eq!(top_rows(&[0.0, 3.0, -9.0, 3.0, 1.0], 0.6), [1, 3, 4]);
        assert_eq!(top_rows(&[0.5; 250], 0.01), [0, 1, 2]);
        assert!(top_rows(&[], 0.5).is_empty());
    }

    #[test]
    fn rises_are_means_of_differences() {
        assert_eq!(loss_rise(&[1.0, 2.0], &[1.5, 1.0]), Some(-0.25));
        assert_eq!(loss_rise(&[1.0], &[]), None);
        assert_eq!(loss_rise(&[], &[]), None);
    }
}

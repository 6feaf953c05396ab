//! Detection of flagged rows.

use super::ranks::average_ranks;

/// Area under the ROC curve of `scores` against `flagged`: the probability that a flagged row scores
/// above one that is not, ties counting half (the Mann-Whitney statistic).
///
/// `None` if the lengths differ, a score is not finite, or all rows or none are flagged.
#[must_use]
pub fn auc(scores: &[f64], flagged: &[bool]) -> Option<f64> {
    if scores.len() != flagged.len() || !scores.iter().all(|x| x.is_finite()) {
        return None;
    }
    let found = flagged.iter().filter(|flag| **flag).count() as f64;
    let others = flagged.len() as f64 - found;
    let ranks = average_ranks(scores);
    let sum: f64 = ranks.iter().zip(flagged).filter(|(_, flag)| **flag).map(|(rank, _)| rank).sum();
    (found > 0.0 && others > 0.0).then(|| (sum - found * (found + 1.0) / 2.0) / (found * others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_equal_scikit_learn() {
        // sklearn.metrics.roc_auc_score 1.9.
        let scores = [3.1, -2.0, 0.5, 0.5, 7.25, 1.0, -2.0, 4.0];
        let flagged = [0, 1, 0, 1, 1, 0, 0, 1].map(|flag| flag == 1);
        assert_eq!(auc(&scores, &flagged), Some(0.625));
        assert_eq!(auc(&[1.0, 2.0], &[false, true]), Some(1.0));
        assert_eq!(auc(&[1.0, 1.0], &[false, true]), Some(0.5));
    }

    #[test]
    fn one_class_has_no_area() {
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auc(&[1.0, f64::NAN], &[true, false]), None);
        assert_eq!(auc(&[1.0], &[true, false]), None);
    }
}

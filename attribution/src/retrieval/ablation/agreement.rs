//! How far marks and ablations agree.

/// Agreement of what an answer cites with what it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Share of the cited weight on the `k` sources with the largest scores above 0, where `k` is
    /// the number of sources cited; none if nothing is cited.
    pub cited_in_top: Option<f64>,
    /// Spearman correlation of weights and scores over all sources; none if either does not differ.
    pub spearman: Option<f64>,
}

/// Compares the sources' scores with their weights as cited (0 for those that are not), in the same
/// order. Ties of scores go to the earlier source.
#[must_use]
pub fn agreement(scores: &[f64], weights: &[u64]) -> Agreement {
    let cited = weights.iter().filter(|weight| **weight > 0).count();
    let total: f64 = weights.iter().map(|weight| *weight as f64).sum();
    let mut best: Vec<usize> = (0..scores.len().min(weights.len())).collect();
    best.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let top = best.into_iter().filter(|source| scores[*source] > 0.0).take(cited);
    let inside: f64 = top.map(|source| weights[source] as f64).sum();
    let weights: Vec<f64> = weights.iter().map(|weight| *weight as f64).collect();
    Agreement {
        cited_in_top: (cited > 0).then(|| inside / total),
        spearman: spearman(scores, &weights),
    }
}

/// Spearman's rank correlation, ties at their mean rank; none for fewer than three pairs or where
/// one side does not differ.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 3 {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (sum(&a, &a) * sum(&b, &b)).sqrt();
    (scale > 0.0).then(|| sum(&a, &b) / scale)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |i: &usize| values[*i] == values[order[start]];
        let count = order[start..].iter().take_while(|i| same(i)).count().max(1);
        let rank = start as f64 + (count as f64 - 1.0) / 2.0;
        order[start..start + count].iter().for_each(|i| ranks[*i] = rank);
        start += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_is_that_of_a_textbook() {
        // Hours of television and IQ: -29/165.
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let rho = spearman(&iq, &hours).unwrap();
        assert!((rho + 29.0 / 165.0).abs() < 1e-12, "{rho}");
        // Ties at the mean: ranks 0, 1.5, 1.5, 3.
        let tied = spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((tied - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12, "{tied}");
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn cited_mass_counts_only_where_the_answer_came_from() {
        let found = agreement(&[5.0, 0.0, -2.0, 3.0], &[30, 0, 0, 10]);
        assert_eq!(found.cited_in_top, Some(1.0));
        let found = agreement(&[5.0, 0.0, -2.0, 0.0], &[30, 0, 0, 10]);
        assert_eq!(found.cited_in_top, Some(0.75));
        let found = agreement(&[-1.0, 4.0, 3.0, -5.0], &[30, 0, 0, 10]);
        assert_eq!(found.cited_in_top, Some(0.0));
        assert!(found.spearman.unwrap() < 0.0);
        assert_eq!(
            agreement(&[1.0, 2.0, 3.0], &[0, 0, 0]),
            Agreement { cited_in_top: None, spearman: None }
        );
    }
}

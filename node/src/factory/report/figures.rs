//! From scores and losses to figures.

use attribution::evaluate::{Interval, Subsets, bootstrap_both, spearman};

use super::{attribution, outcomes::Outcomes};
use crate::{Error, Result};

/// What was predicted of every half, and what came.
#[derive(Debug)]
pub(super) struct Predictions {
    /// By query: the sum of scores over each half.
    predicted: Vec<Vec<f64>>,
    /// By query and seed: the log-likelihood per token after training on each half.
    reached: Vec<[Vec<f64>; 2]>,
}

impl Predictions {
    /// - `scores`: of the rows, by query
    pub(super) fn new(subsets: &Subsets, scores: &[Vec<f64>], outcomes: &Outcomes) -> Result<Self> {
        let predicted =
            scores.iter().map(|scores| subsets.sums(scores)).collect::<attribution::Result<_>>();
        let reached = |query: usize| {
            [0, 1].map(|seed| outcomes.iter().map(|half| -half[seed][query]).collect())
        };
        Ok(Self {
            predicted: predicted.map_err(attribution)?,
            reached: (0..scores.len()).map(reached).collect(),
        })
    }

    /// Linear datamodeling score: the mean over queries of the rank correlation of the two over
    /// halves (Park et al. 2023, definition 3.3), each as a mean of both seeds'. A query of which
    /// either is the same for all halves counts as 0.
    pub(super) fn lds(&self, resamples: usize, seed: u64) -> Result<Interval> {
        self.interval(resamples, seed, |query, halves| {
            let predicted = drawn(&self.predicted[query], halves);
            let of = |seed: usize| spearman(&predicted, &drawn(&self.reached[query][seed], halves));
            f64::midpoint(of(0).unwrap_or(0.0), of(1).unwrap_or(0.0))
        })
    }

    /// The same with one seed's outcomes as the prediction of the other's: what no score exceeds by
    /// more than chance.
    pub(super) fn ceiling(&self, resamples: usize, seed: u64) -> Result<Interval> {
        self.interval(resamples, seed, |query, halves| {
            let [one, other] = &self.reached[query];
            spearman(&drawn(one, halves), &drawn(other, halves)).unwrap_or(0.0)
        })
    }

    /// Mean over queries with its interval over resampled queries and halves: queries share the
    /// halves, so resampling queries alone would make few retrainings look like many.
    fn interval(
        &self,
        resamples: usize,
        seed: u64,
        of: impl Fn(usize, &[usize]) -> f64,
    ) -> Result<Interval> {
        let (queries, halves) = (self.predicted.len(), self.predicted[0].len());
        let mean = |queries: &[usize], halves: &[usize]| {
            let sum: f64 = queries.iter().map(|&query| of(query, halves)).sum();
            Some(sum / queries.len() as f64)
        };
        let none = || Error::Attribution("the report has no figures".into());
        bootstrap_both(queries, halves, resamples, seed, mean).ok_or_else(none)
    }
}

fn drawn(values: &[f64], places: &[usize]) -> Vec<f64> {
    places.iter().map(|&place| values[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(scores: &[Vec<f64>], outcomes: &Outcomes) -> Predictions {
        let members = vec![vec![0, 1], vec![1, 2], vec![0, 2], vec![2, 3], vec![0, 3]];
        let subsets = Subsets::new(4, members).unwrap();
        Predictions::new(&subsets, scores, outcomes).unwrap()
    }

    /// Losses that are minus the sums of these terms over the halves, the same for both seeds.
    fn additive(terms: &[[f64; 4]]) -> Outcomes {
        let members = [[0, 1], [1, 2], [0, 2], [2, 3], [0, 3]];
        let loss = |half: [usize; 2], terms: &[f64; 4]| -(terms[half[0]] + terms[half[1]]);
        let of = |half| terms.iter().map(|terms| loss(half, terms)).collect::<Vec<f64>>();
        members.map(|half| [of(half), of(half)]).into()
    }

    #[test]
    fn scores_that_are_what_rows_do_predict_everything() {
        let terms = [[0.5, 2.0, -1.0, 0.1], [3.0, -2.0, 0.0, 1.0]];
        let scores: Vec<Vec<f64>> = terms.iter().map(|terms| terms.to_vec()).collect();
        let exact = predictions(&scores, &additive(&terms));
        assert_eq!(exact.lds(200, 1).unwrap().value, 1.0);
        assert_eq!(exact.ceiling(200, 1).unwrap().value, 1.0);
        let turned: Vec<Vec<f64>> =
            scores.iter().map(|scores| scores.iter().map(|x| -x).collect()).collect();
        assert_eq!(predictions(&turned, &additive(&terms)).lds(200, 1).unwrap().value, -1.0);
    }

    #[test]
    fn scores_that_say_nothing_count_as_nothing() {
        let terms = [[0.5, 2.0, -1.0, 0.1], [3.0, -2.0, 0.0, 1.0]];
        let half_known = vec![terms[0].to_vec(), vec![0.0; 4]];
        let found = predictions(&half_known, &additive(&terms)).lds(200, 1).unwrap();
        assert_eq!(found.value, 0.5);
        assert!(found.low <= 0.5 && found.high >= 0.5, "{found:?}");
        assert!(found.low < found.high);
    }

    #[test]
    fn the_ceiling_is_of_one_seed_against_the_other() {
        let terms = [[0.5, 2.0, -1.0, 0.1], [3.0, -2.0, 0.0, 1.0]];
        let scores: Vec<Vec<f64>> = terms.iter().map(|terms| terms.to_vec()).collect();
        let mut outcomes = additive(&terms);
        for half in &mut outcomes {
            half[1].iter_mut().for_each(|loss| *loss = -*loss);
        }
        let found = predictions(&scores, &outcomes);
        assert_eq!(found.ceiling(200, 1).unwrap().value, -1.0);
        // One seed agrees with the scores, the other is against them.
        assert_eq!(found.lds(200, 1).unwrap().value, 0.0);
    }
}

//! The linear datamodelling score.

use super::ranks::spearman;
use crate::{Error, Result};

/// Subsets of the training rows that models were retrained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsets {
    rows: usize,
    members: Vec<Vec<u32>>,
}

impl Subsets {
    /// Subsets of `rows` rows, each by its members.
    ///
    /// # Errors
    /// [`Error::Setting`] if a member is not a row.
    pub fn new(rows: usize, members: Vec<Vec<u32>>) -> Result<Self> {
        match members.iter().flatten().find(|&&row| row as usize >= rows) {
            Some(row) => Err(Error::setting("a subset must hold rows only", row)),
            None => Ok(Self { rows, members }),
        }
    }

    /// How many subsets there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Sum of `scores`, one per row, over the members of each subset.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one score per row.
    pub fn sums(&self, scores: &[f64]) -> Result<Vec<f64>> {
        if scores.len() != self.rows {
            return Err(Error::shape("scores of rows", self.rows, scores.len()));
        }
        let sum = |rows: &Vec<u32>| rows.iter().map(|&row| scores[row as usize]).sum();
        Ok(self.members.iter().map(sum).collect())
    }
}

/// Linear datamodelling score of one query (Park et al. 2023, definition 3.3): the rank correlation
/// over subsets of `sum of scores over the subset` and `outputs`, the query's output under the model
/// retrained on that subset. A method's score is the mean over queries.
///
/// `None` if either side is the same for every subset, or not finite: such a method predicts nothing.
///
/// # Errors
/// [`Error::Shape`] if there is not one score per row and one output per subset.
pub fn lds(subsets: &Subsets, scores: &[f64], outputs: &[f64]) -> Result<Option<f64>> {
    if outputs.len() != subsets.len() {
        return Err(Error::shape("outputs of subsets", subsets.len(), outputs.len()));
    }
    Ok(spearman(&subsets.sums(scores)?, outputs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additive_outputs_are_predicted_by_their_own_terms() {
        let terms = [0.5, -2.0, 3.0, 0.25, 1.0];
        let members = vec![vec![0, 1], vec![2, 3], vec![0, 4], vec![1, 4], vec![0, 2, 4]];
        let subsets = Subsets::new(5, members).unwrap();
        let outputs = subsets.sums(&terms).unwrap();

        assert_eq!(outputs, [-1.5, 3.25, 1.5, -1.0, 4.5]);
        assert_eq!(lds(&subsets, &terms, &outputs).unwrap(), Some(1.0));
        let turned = terms.map(|x| -x);
        assert_eq!(lds(&subsets, &turned, &outputs).unwrap(), Some(-1.0));
        assert_eq!(lds(&subsets, &[0.0; 5], &outputs).unwrap(), None);
    }

    #[test]
    fn shapes_are_checked() {
        assert!(Subsets::new(2, vec![vec![2]]).is_err());
        let subsets = Subsets::new(2, vec![vec![1]]).unwrap();
        assert!(lds(&subsets, &[1.0], &[1.0]).is_err());
        assert!(lds(&subsets, &[1.0, 2.0], &[]).is_err());
    }
}

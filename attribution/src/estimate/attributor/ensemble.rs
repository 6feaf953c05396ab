//! The mean of several attributors.

use super::{Attributor, Query, gradients::finite};
use crate::{Error, Result};

/// Mean over members of their scores, each divided by the root mean square of the member's scores
/// for the query: members may have scales of their own.
///
/// Members are the same method at several checkpoints or adapter seeds, or with several projection
/// seeds (TRAK, Park et al. 2023, section 5). Costs one gradient and one scoring per member.
#[derive(Debug)]
pub struct Ensemble<'a> {
    members: Vec<Box<dyn Attributor + 'a>>,
}

impl<'a> Ensemble<'a> {
    /// Of these members.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are none; [`Error::Shape`] if they have not as many rows.
    pub fn new(members: Vec<Box<dyn Attributor + 'a>>) -> Result<Self> {
        let Some(first) = members.first() else {
            return Err(Error::setting("an ensemble must have a member", 0));
        };
        let rows = first.rows();
        match members.iter().find(|member| member.rows() != rows) {
            Some(other) => Err(Error::shape("rows of a member", rows, other.rows())),
            None => Ok(Self { members }),
        }
    }
}

impl Attributor for Ensemble<'_> {
    fn name(&self) -> String {
        format!("{} of {}", self.members[0].name(), self.members.len())
    }

    fn rows(&self) -> usize {
        self.members[0].rows()
    }

    /// Member `k` reads `query.checkpoints[k]` as its gradient; without checkpoints all read
    /// `query.gradient`.
    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let (members, given) = (self.members.len(), query.checkpoints.len());
        if given != 0 && given != members {
            return Err(Error::shape("gradients of a query", members, given));
        }
        let mut sums = vec![0.0; self.rows()];
        for (k, member) in self.members.iter().enumerate() {
            let gradient = query.checkpoints.get(k).copied().unwrap_or(query.gradient);
            let scores = member.scores(&Query { gradient, ..*query })?;
            let squares: f64 = scores.iter().map(|x| f64::from(*x).powi(2)).sum();
            let size = (squares / scores.len() as f64).sqrt();
            if size > 0.0 {
                let share = 1.0 / (size * members as f64);
                sums.iter_mut().zip(scores).for_each(|(sum, x)| *sum += f64::from(x) * share);
            }
        }
        finite(sums)
    }

    /// As for scores: the mean of the members' divided by their root mean square; `None` if a member
    /// has none.
    fn self_influence(&self) -> Option<Vec<f32>> {
        let mut sums = vec![0.0; self.rows()];
        for member in &self.members {
            let own = member.self_influence()?;
            let squares: f64 = own.iter().map(|x| f64::from(*x).powi(2)).sum();
            let size = (squares / own.len() as f64).sqrt().max(f64::MIN_POSITIVE);
            sums.iter_mut().zip(own).for_each(|(sum, x)| *sum += f64::from(x) / size);
        }
        finite(sums.into_iter().map(|x| x / self.members.len() as f64)).ok()
    }
}

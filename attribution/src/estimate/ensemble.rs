//! Several indexes of one model's rows as one.

use super::{
    index::{Contributor, InfluenceIndex},
    projector::SiteGradient,
};
use crate::{Error, Result};

/// Most members: their scores then add up far below `2^63`.
const MAX_MEMBERS: usize = 64;

/// Indexes of the same rows at several checkpoints, adapter seeds or projection seeds, whose integer
/// scores are added up.
///
/// One estimate is noisy: its weights and its projection are one draw of many. Means over
/// checkpoints or seeds rank rows better (TRAK, Park et al. 2023, section 5) and cost one gradient, one
/// query sketch and one index per member. Every member's query sketch uses the whole range of int8
/// and every member's rows the whole range of its public scale, so that members weigh about alike.
/// A sum of exact scores is exact, and a member's part is checked by that member's sketches alone.
#[derive(Clone, Debug)]
pub struct IndexEnsemble {
    members: Vec<InfluenceIndex>,
}

impl IndexEnsemble {
    /// An ensemble of these indexes.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are none or more than 64; [`Error::Shape`] if they have not the
    /// same rows, earners and clusters.
    pub fn new(members: Vec<InfluenceIndex>) -> Result<Self> {
        if members.is_empty() || members.len() > MAX_MEMBERS {
            return Err(Error::setting("an ensemble must have 1 to 64 members", members.len()));
        }
        let sources =
            |index: &InfluenceIndex| index.rows().iter().map(|row| row.source).collect::<Vec<_>>();
        let first = sources(&members[0]);
        if members.iter().all(|member| sources(member) == first) {
            return Ok(Self { members });
        }
        Err(Error::shape("rows of a member", "those of the first member", "others"))
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &[InfluenceIndex] {
        &self.members
    }

    /// The contributors, by ascending earner.
    #[must_use]
    pub fn contributors(&self) -> &[Contributor] {
        self.members[0].contributors()
    }

    /// A query's sketch for each member, from its gradient at each member's weights.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one gradient per member, and those of
    /// [`InfluenceIndex::query`].
    pub fn query(&self, gradients: &[Vec<SiteGradient<'_>>]) -> Result<Vec<Vec<i8>>> {
        let members = self.per_member("gradients", gradients)?;
        members.map(|(member, sites)| member.query(sites)).collect()
    }

    /// Sum over the members of `q . t_i` for every row, exact.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sketches are not those of [`Self::query`].
    pub fn score_rows(&self, sketches: &[Vec<i8>]) -> Result<Vec<i64>> {
        let mut sums = vec![0i64; self.members[0].rows().len()];
        for (member, q) in self.per_member("query sketches", sketches)? {
            let scores = member.score_rows(q)?;
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += i64::from(score));
        }
        Ok(sums)
    }

    /// Sum over the members of `q . T_c` for every contributor, exact, in the order of
    /// [`Self::contributors`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the sketches are not those of [`Self::query`].
    pub fn score_contributors(&self, sketches: &[Vec<i8>]) -> Result<Vec<i64>> {
        let mut sums = vec![0i64; self.contributors().len()];
        for (member, q) in self.per_member("query sketches", sketches)? {
            let scores = member.score_contributors(q)?;
            // Each is at most 2^51, so 64 of them stay below 2^57.
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
        Ok(sums)
    }

    fn per_member<'a, T>(
        &'a self,
        what: &'static str,
        given: &'a [T],
    ) -> Result<impl Iterator<Item = (&'a InfluenceIndex, &'a T)>> {
        if given.len() == self.members.len() {
            Ok(self.members.iter().zip(given))
        } else {
            Err(Error::shape(what, self.members.len(), given.len()))
        }
    }
}

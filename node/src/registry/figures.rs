//! Figures, and what they make of credits.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use attribution::settle::{FULL_BPS, Factors, ModelId, ModelKey, credit_share};

use super::{EarnerIndex, FigureKind, FigureView, FigureVoteView, Registry};
use crate::{
    Error, Result,
    indexer::figures::{contributor, contributor_of, subject_key},
    store::{Table, get_row, rows},
};

/// All fail with [`crate::Error::Store`], if the store cannot be read.
impl Registry {
    /// The figure of a subject (a model's id, or a contributor's index) in force at `time`
    /// (seconds), with its number.
    pub fn figure_at(
        &self,
        kind: FigureKind,
        subject: B256,
        time: u64,
    ) -> Result<Option<(u64, FigureView)>> {
        let prefix = subject_key(kind, subject);
        let figures: Vec<(Vec<u8>, u64)> = rows(&*self.store, Table::FiguresInForce, &prefix)?;
        let last = [&prefix[..], &time.to_be_bytes()].concat();
        let Some(&(_, figure)) = figures.iter().rfind(|(key, _)| *key <= last) else {
            return Ok(None);
        };
        Ok(Some((figure, self.figure(figure)?)))
    }

    /// A figure by its number.
    pub fn figure_by_number(&self, figure: u64) -> Result<Option<FigureView>> {
        get_row(&*self.store, Table::Figures, &figure.to_be_bytes())
    }

    /// Votes on figures that there ever were, with the figures' numbers, ascending.
    pub fn figure_votes(&self) -> Result<Vec<(u64, FigureVoteView)>> {
        let numbered = |(key, vote): (Vec<u8>, FigureVoteView)| {
            let damaged = |_| Error::Store("table figure_votes: damaged key".into());
            Ok((u64::from_be_bytes(key.try_into().map_err(damaged)?), vote))
        };
        rows(&*self.store, Table::FigureVotes, &[])?.into_iter().map(numbered).collect()
    }

    /// A figure that a table names.
    fn figure(&self, figure: u64) -> Result<FigureView> {
        let view = get_row(&*self.store, Table::Figures, &figure.to_be_bytes())?;
        view.ok_or_else(|| Error::Store(format!("figure {figure} is not indexed")))
    }

    /// Share that the model's influence is paid by at `time` (seconds), bps. The whole where no contract
    /// says how much.
    pub fn influence_at(&self, model: B256, time: u64) -> Result<u16> {
        if let Some((_, figure)) = self.figure_at(FigureKind::Influence, model, time)? {
            return Ok(figure.bps);
        }
        let shares: Vec<(Vec<u8>, u16)> = rows(&*self.store, Table::DefaultInfluence, &[])?;
        let before = |(key, _): &&(Vec<u8>, u16)| key.as_slice() <= &time.to_be_bytes()[..];
        Ok(shares.iter().rfind(before).map_or(FULL_BPS, |&(_, bps)| bps))
    }

    /// Share of positive nets with the model that credits pay at `time` (seconds), bps: its influence
    /// as far as the mix of that time pays by it.
    pub fn credit_share_at(&self, model: B256, time: u64) -> Result<u16> {
        Ok(credit_share(self.influence_at(model, time)?, self.mix_at(model, time)?))
    }

    /// A contributor's reputation at `time` (seconds), bps.
    pub fn reputation_at(&self, earner: EarnerIndex, time: u64) -> Result<u16> {
        let figure = self.figure_at(FigureKind::Reputation, contributor(earner), time)?;
        Ok(figure.map_or(FULL_BPS, |(_, figure)| figure.bps))
    }

    /// Everything that factors of these models' contributors at `time` (seconds) come from.
    pub fn factors_at(
        &self,
        models: impl IntoIterator<Item = ModelId>,
        time: u64,
    ) -> Result<Factors> {
        let mut factors = Factors::default();
        for model in models {
            let share = self.credit_share_at(model.0.into(), time)?;
            factors.shares.insert(ModelKey::from(model), share);
        }
        let mut last = BTreeMap::new();
        let prefix = [FigureKind::Reputation as u8];
        for (key, figure) in rows::<u64>(&*self.store, Table::FiguresInForce, &prefix)? {
            let damaged = || Error::Store("table figures_in_force: damaged key".into());
            let (earner, from) = contributor_of(&key).ok_or_else(damaged)?;
            // Ascending, so the last one stays.
            if from <= time {
                last.insert(earner, figure);
            }
        }
        for (earner, figure) in last {
            factors.reputation.insert(earner, self.figure(figure)?.bps);
        }
        Ok(factors)
    }
}

//! A validator votes on challenged figures, by what its operator found.
//!
//! Measuring a report again takes hours and the model's files, so the node does not do it by itself:
//! a verdict is left in its data folder, and what has to be in time is the node's.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, B256, U256, keccak256};
use tracing::{error, info, warn};

use super::{Context, Round, ballots::Ballots, number};
use crate::{
    Error, Result,
    chain::bindings::IBondedFigures::{self, Choice},
    figures::{FigureVerdict, Verdict},
    registry::{FigureView, FigureVoteView},
    store::Table,
};

/// The stage that votes on figures with a validator's key.
#[derive(Debug, Clone)]
pub struct FigureJudge {
    context: Context,
    data_dir: PathBuf,
    /// Figures that were told of as without a verdict, or as lost.
    told: Arc<Mutex<HashSet<(u64, bool)>>>,
}

impl FigureJudge {
    /// The stage that sends with the client's key, which must be the validator's.
    ///
    /// - `data_dir`: the node's data folder, where verdicts are left
    pub fn new(context: Context, data_dir: PathBuf) -> Self {
        Self { context, data_dir, told: Arc::default() }
    }

    /// Commits, or reveals, in every vote on a figure that this validator is on the panel of and has a
    /// verdict on. False if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`], [`Error::Reverted`] or what is wrong with a verdict's file if
    /// nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let Some(me) = self.context.client.sender() else { return Ok(false) };
        let mut round = Round::new();
        for (figure, vote) in self.context.registry.figure_votes()? {
            if !vote.is_closed && vote.panel.contains(&me) {
                round.take("voting on a figure", figure, self.attend(me, figure, &vote).await)?;
            }
        }
        round.end()
    }

    async fn attend(&self, me: Address, figure: u64, vote: &FigureVoteView) -> Result<bool> {
        let now = self.context.registry.head().timestamp;
        if now >= vote.reveal_ends_at {
            return Ok(false);
        }
        let call = IBondedFigures::ballotOfCall { figure: number(figure), validator: me };
        let ballot = self.context.client.call(self.contract(), &call).await?;
        match (now < vote.commit_ends_at, ballot.commitment.is_zero()) {
            (true, true) => self.commit(me, figure, vote).await,
            (true, false) => Ok(false),
            (false, true) => {
                self.lost(figure, "it was not committed in time");
                Ok(false)
            }
            (false, false) if ballot.choice == Choice::None => {
                self.reveal(figure, ballot.commitment).await
            }
            (false, false) => Ok(false),
        }
    }

    async fn commit(&self, me: Address, figure: u64, vote: &FigureVoteView) -> Result<bool> {
        let unknown = || Error::Store(format!("figure {figure} is voted on and not indexed"));
        let view = self.context.registry.figure_by_number(figure)?.ok_or_else(unknown)?;
        let found = FigureVerdict::find(&self.data_dir, self.contract(), figure, view.hash)?;
        let Some(verdict) = found else {
            self.wanted(figure, &view, vote);
            return Ok(false);
        };
        let is_false = verdict == Verdict::False;
        let (ballots, subject) = (self.ballots(), subject(&view, is_false));
        let commitment = match ballots.kept(figure, subject)? {
            Some(commitment) => commitment,
            None => ballots.keep(me, figure, subject, is_false)?,
        };
        let call = IBondedFigures::commitCall { figure: number(figure), commitment };
        let sent = self.context.client.send(self.contract(), &call, U256::ZERO).await?;
        self.context.metrics.committed();
        info!(target: "node::votes", figure, transaction = %sent.transaction, "committed");
        Ok(true)
    }

    async fn reveal(&self, figure: u64, commitment: B256) -> Result<bool> {
        let Some(ballot) = self.ballots().of(figure, commitment)? else {
            self.lost(figure, "the salt of its commitment is lost");
            return Ok(false);
        };
        let (is_false, salt) = (ballot.is_false, ballot.salt);
        let choice = if is_false { Choice::False } else { Choice::Holds };
        let call = IBondedFigures::revealCall { figure: number(figure), choice, salt };
        let sent = self.context.client.send(self.contract(), &call, U256::ZERO).await?;
        self.context.metrics.revealed(is_false);
        info!(target: "node::votes", figure, is_false, transaction = %sent.transaction, "revealed");
        Ok(true)
    }

    /// Says once that a verdict is waited for.
    fn wanted(&self, figure: u64, view: &FigureView, vote: &FigureVoteView) {
        if self.is_first(figure, false) {
            warn!(
                target: "node::votes", figure, subject = %view.subject, hash = %view.hash,
                commit_ends_at = vote.commit_ends_at,
                "A FIGURE IS VOTED ON and this validator has no verdict: check it with `openledger index \
                 report --check`, or give one with `openledger figures vote`"
            );
        }
    }

    /// Says once that this validator loses stake by a vote.
    fn lost(&self, figure: u64, why: &str) {
        if self.is_first(figure, true) {
            error!(
                target: "node::votes", figure, why,
                "THIS VALIDATOR CANNOT VOTE ON A FIGURE and loses stake by its silence"
            );
        }
    }

    fn is_first(&self, figure: u64, is_lost: bool) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((figure, is_lost))
    }

    fn ballots(&self) -> Ballots {
        Ballots::new(self.context.clone(), self.contract(), Table::FigureBallots)
    }

    const fn contract(&self) -> Address {
        self.context.registry.contracts().deployment.bonded_figures
    }
}

/// What a ballot is about, with the choice: until it is committed to, another verdict takes its place.
fn subject(view: &FigureView, is_false: bool) -> B256 {
    let parts = [view.subject.as_slice(), view.hash.as_slice(), &view.bps.to_be_bytes()];
    keccak256([&parts.concat()[..], &[u8::from(is_false)]].concat())
}

//! Ends votes that nobody could resolve, and gives back the holds that they left.

use alloy::primitives::U256;
use tracing::{info, warn};

use super::{Context, Round, VoteRow, number};
use crate::{
    Error, Result,
    chain::{
        Sent,
        bindings::ISketchVotes::{self, Stage},
    },
    registry::BatchStatus,
    store::{Table, rows},
};

/// The stage that frees what this account has in votes which Disputes refused to end: an accused
/// operator's batch is held by such a vote, and a challenger's bond stays in it.
#[derive(Debug, Clone)]
pub struct Releaser {
    context: Context,
}

impl Releaser {
    /// The stage that sends with the client's key.
    pub const fn new(context: Context) -> Self {
        Self { context }
    }

    /// Abandons every vote of this account that is open long after its end, and releases the batches
    /// of this account that abandoned ones still hold. False if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] or [`Error::Reverted`] if nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let Some(me) = self.context.client.sender() else { return Ok(false) };
        let mut round = Round::new();
        for (key, row) in rows::<VoteRow>(&*self.context.store, Table::Votes, &[])? {
            let key =
                key.try_into().map_err(|_| Error::Store("table votes: damaged key".into()))?;
            let vote = u64::from_be_bytes(key);
            let done = match row.is_closed {
                true if row.operator == me => self.release(vote, &row).await,
                false if row.operator == me || row.challenger == me => {
                    self.abandon(vote, &row).await
                }
                _ => Ok(false),
            };
            round.take("releasing", vote, done)?;
        }
        round.end()
    }

    async fn abandon(&self, vote: u64, row: &VoteRow) -> Result<bool> {
        let ended = row.answer.as_ref().map_or(row.answer_ends_at, |answer| answer.reveal_ends_at);
        let now = self.context.registry.head().timestamp;
        // Almost every vote is resolved at once, so the delay is not asked for before.
        if now <= ended {
            return Ok(false);
        }
        let delay = self
            .context
            .client
            .call(self.context.contract(), &ISketchVotes::ABANDON_DELAYCall {})
            .await?;
        if U256::from(now) < U256::from(ended) + delay {
            return Ok(false);
        }
        let vote = number(vote);
        // It may be that nobody has tried since Disputes takes the outcome again.
        if row.answer.is_some()
            && let Some(sent) = taken(
                self.context
                    .client
                    .send(self.context.contract(), &ISketchVotes::resolveCall { vote }, U256::ZERO)
                    .await,
            )?
        {
            info!(target: "node::votes", %vote, transaction = %sent.transaction, "resolved late");
            return Ok(true);
        }
        let call = ISketchVotes::abandonCall { vote };
        match self.context.client.send(self.context.contract(), &call, U256::ZERO).await {
            Ok(sent) => {
                warn!(target: "node::votes", %vote, transaction = %sent.transaction, "abandoned");
                Ok(true)
            }
            // Closed by somebody else; its event is read next.
            Err(Error::Reverted(why)) if why.contains("WrongStage") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn release(&self, vote: u64, row: &VoteRow) -> Result<bool> {
        let batch = self.context.registry.batch(row.batch)?;
        if !batch.is_some_and(|batch| batch.status == BatchStatus::Posted && batch.holds > 0) {
            return Ok(false);
        }
        let vote = number(vote);
        let entry = self
            .context
            .client
            .call(self.context.contract(), &ISketchVotes::voteOfCall { vote })
            .await?;
        if entry.stage != Stage::Abandoned || !entry.held {
            return Ok(false);
        }
        let call = ISketchVotes::releaseHoldCall { vote };
        let sent = self.context.client.send(self.context.contract(), &call, U256::ZERO).await?;
        info!(target: "node::votes", %vote, transaction = %sent.transaction, "hold released");
        Ok(true)
    }
}

/// A transaction that the contract took, `None` if it refused.
fn taken(sent: Result<Sent>) -> Result<Option<Sent>> {
    match sent {
        Ok(sent) => Ok(Some(sent)),
        Err(Error::Reverted(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

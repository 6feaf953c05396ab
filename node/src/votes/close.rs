//! Ends votes whose time is over, and takes what they leave.

use alloy::primitives::{Address, U256};
use tracing::info;

use super::{Context, Round, VoteRow, ballots::Ballots, number, votes};
use crate::{
    Error, Result,
    chain::bindings::ISketchVotes::{self, Stage},
    registry::BatchStatus,
    store::{Table, WriteBatch},
};

/// The stage that closes votes which this account takes part in. Anyone may close any vote, and
/// everyone on a panel is there to do it.
#[derive(Debug, Clone)]
pub struct Closer {
    context: Context,
}

impl Closer {
    /// The stage that sends with the client's key.
    pub const fn new(context: Context) -> Self {
        Self { context }
    }

    /// Closes every vote that is due, withdraws what closed ones left. False if
    /// there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] or [`Error::Reverted`] if nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let Some(me) = self.context.client.sender() else { return Ok(false) };
        let mut round = Round::new();
        for (vote, row) in votes(&*self.context.store)? {
            let is_party = row.challenger == me || row.panel.contains(&me);
            let done = match row.is_closed {
                true => self.settle(me, vote, row, is_party).await,
                false if is_party => self.close(vote, &row).await,
                false => Ok(false),
            };
            round.take("closing", vote, done)?;
        }
        round.end()
    }

    /// Withdraws what this account is owed, and leaves the vote settled.
    async fn settle(
        &self,
        account: Address,
        vote: u64,
        row: VoteRow,
        is_party: bool,
    ) -> Result<bool> {
        if is_party {
            let owed = ISketchVotes::owedCall { account };
            if !self.context.client.call(self.context.contract(), &owed).await?.is_zero() {
                let call = ISketchVotes::withdrawCall { account };
                let sent =
                    self.context.client.send(self.context.contract(), &call, U256::ZERO).await?;
                info!(target: "node::votes", vote, transaction = %sent.transaction, "withdrawn");
            }
        }
        let mut batch = WriteBatch::default();
        let row = VoteRow { panel: Vec::new(), answer: None, is_settled: true, ..row };
        batch.put_row(Table::Votes, vote.to_be_bytes(), &row);
        let (context, contract) = (self.context.clone(), self.context.contract());
        Ballots::new(context, contract, Table::Ballots).forget(vote, &mut batch)?;
        self.context.store.write(batch)?;
        Ok(true)
    }

    async fn close(&self, vote: u64, row: &VoteRow) -> Result<bool> {
        let now = self.context.registry.head().timestamp;
        let batch = self.context.registry.batch(row.batch)?;
        let is_struck = batch.is_some_and(|batch| batch.status == BatchStatus::Struck);
        let is_due = match &row.answer {
            Some(answer) => now >= answer.reveal_ends_at,
            None => is_struck || now >= row.answer_ends_at,
        };
        if !is_due {
            return Ok(false);
        }
        let call = ISketchVotes::voteOfCall { vote: number(vote) };
        let entry = self.context.client.call(self.context.contract(), &call).await?;
        let sent = match entry.stage {
            Stage::Answering if !is_struck => {
                let call = ISketchVotes::strikeSilentCall { vote: number(vote) };
                self.context.client.send(self.context.contract(), &call, U256::ZERO).await
            }
            Stage::Answering | Stage::Voting => {
                let call = ISketchVotes::resolveCall { vote: number(vote) };
                self.context.client.send(self.context.contract(), &call, U256::ZERO).await
            }
            // Closed by somebody else; its event is read next.
            _ => return Ok(false),
        };
        match sent {
            Ok(sent) => {
                self.context.metrics.closed();
                info!(target: "node::votes", vote, transaction = %sent.transaction, gas = sent.gas, "closed");
                Ok(true)
            }
            Err(Error::Reverted(why)) if why.contains("WrongStage") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

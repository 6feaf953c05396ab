//! Ends votes on figures whose time is over, and takes what they leave.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, U256};
use tracing::{info, warn};

use super::{Context, Round, ballots::Ballots, number};
use crate::{
    Error, Result,
    chain::bindings::IBondedFigures,
    registry::FigureVoteView,
    store::{Table, WriteBatch},
};

/// The stage that ends votes on figures which this account takes part in: as poster, as challenger, or
/// on the panel. Anyone may end any vote.
#[derive(Debug, Clone)]
pub struct FigureCloser {
    context: Context,
    /// Closed votes that left nothing to do.
    settled: Arc<Mutex<HashSet<u64>>>,
}

impl FigureCloser {
    /// The stage that sends with the client's key.
    pub fn new(context: Context) -> Self {
        Self { context, settled: Arc::default() }
    }

    /// Resolves every vote that is due, or abandons it if that fails for too long, and withdraws what
    /// closed ones left. False if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] or [`Error::Reverted`] if nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let Some(me) = self.context.client.sender() else { return Ok(false) };
        let mut round = Round::new();
        for (figure, vote) in self.context.registry.figure_votes()? {
            if !self.is_party(me, figure, &vote)? {
                continue;
            }
            let done = match vote.is_closed {
                true => self.settle(me, figure).await,
                false => self.close(figure, &vote).await,
            };
            round.take("closing the vote on a figure", figure, done)?;
        }
        round.end()
    }

    fn is_party(&self, me: Address, figure: u64, vote: &FigureVoteView) -> Result<bool> {
        if vote.challenger == me || vote.panel.contains(&me) {
            return Ok(true);
        }
        let view = self.context.registry.figure_by_number(figure)?;
        Ok(view.is_some_and(|view| view.poster == me))
    }

    async fn settle(&self, account: Address, figure: u64) -> Result<bool> {
        if self.settled().contains(&figure) {
            return Ok(false);
        }
        let (client, contract) = (&self.context.client, self.contract());
        let owed = client.call(contract, &IBondedFigures::owedCall { account }).await?;
        if !owed.is_zero() {
            let call = IBondedFigures::withdrawCall { account };
            let sent = client.send(contract, &call, U256::ZERO).await?;
            info!(target: "node::votes", figure, transaction = %sent.transaction, "withdrawn");
        }
        let mut batch = WriteBatch::default();
        Ballots::new(self.context.clone(), contract, Table::FigureBallots)
            .forget(figure, &mut batch)?;
        self.context.store.write(batch)?;
        self.settled().insert(figure);
        Ok(!owed.is_zero())
    }

    async fn close(&self, figure: u64, vote: &FigureVoteView) -> Result<bool> {
        let now = self.context.registry.head().timestamp;
        if now < vote.reveal_ends_at {
            return Ok(false);
        }
        let (client, contract) = (&self.context.client, self.contract());
        let call = IBondedFigures::resolveCall { figure: number(figure) };
        match client.send(contract, &call, U256::ZERO).await {
            Ok(sent) => {
                self.context.metrics.closed();
                let (transaction, gas) = (sent.transaction, sent.gas);
                info!(target: "node::votes", figure, %transaction, gas, "vote on a figure closed");
                Ok(true)
            }
            // Closed by somebody else; its event is read next.
            Err(Error::Reverted(why)) if why.contains("WrongStage") => Ok(false),
            Err(error @ Error::Reverted(_)) => self.abandon(figure, vote, now, error).await,
            Err(error) => Err(error),
        }
    }

    /// Abandons a vote that could not be resolved for long; until then the reason is the caller's.
    async fn abandon(
        &self,
        figure: u64,
        vote: &FigureVoteView,
        now: u64,
        reason: Error,
    ) -> Result<bool> {
        let (client, contract) = (&self.context.client, self.contract());
        let delay = client.call(contract, &IBondedFigures::ABANDON_DELAYCall {}).await?;
        if U256::from(now) < U256::from(vote.reveal_ends_at) + delay {
            return Err(reason);
        }
        let call = IBondedFigures::abandonCall { figure: number(figure) };
        let sent = client.send(contract, &call, U256::ZERO).await?;
        warn!(target: "node::votes", figure, %reason, transaction = %sent.transaction, "abandoned");
        Ok(true)
    }

    fn settled(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn contract(&self) -> Address {
        self.context.registry.contracts().deployment.bonded_figures
    }
}

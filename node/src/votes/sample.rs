//! Draws which records of others' batches are to be run again.

use alloy::primitives::{B256, U256};
use tracing::info;

use super::Round;
use crate::{
    Error, Result,
    chain::{ChainClient, bindings::IRecordSamples},
    indexer::views::Role,
    registry::{BatchStatus, Registry},
};

/// The stage that draws the samples of posted batches of other operators, in the two transactions
/// that each takes. Anyone's draw serves everyone.
#[derive(Debug, Clone)]
pub struct Sampler {
    registry: Registry,
    client: ChainClient,
}

impl Sampler {
    /// The stage that sends with the client's key.
    pub const fn new(registry: Registry, client: ChainClient) -> Self {
        Self { registry, client }
    }

    /// Does what every undrawn batch waits for. False if none waits for anything.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] or [`Error::Reverted`] if nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let mut round = Round::new();
        for view in self.registry.earners()? {
            if view.role != Role::Stakers || Some(view.account) == self.client.sender() {
                continue;
            }
            for (id, batch) in self.registry.batches_of(view.account, 0)? {
                if batch.status == BatchStatus::Posted {
                    round.take("drawing", batch.epoch, self.draw(id).await)?;
                }
            }
        }
        round.end()
    }

    /// False if the batch's sample is drawn, or its block is to come.
    async fn draw(&self, batch: B256) -> Result<bool> {
        let to = self.registry.contracts().deployment.record_samples;
        let seed = self.client.call(to, &IRecordSamples::seedOfCall { batch }).await?;
        if !seed.is_zero() {
            return Ok(false);
        }
        let at = self.client.call(to, &IRecordSamples::blockOfCall { batch }).await?;
        if !at.is_zero() && U256::from(self.registry.head().number) <= at {
            return Ok(false);
        }
        let call = IRecordSamples::drawCall { batch };
        match self.client.send(to, &call, U256::ZERO).await {
            Ok(sent) => {
                info!(target: "node::votes", %batch, transaction = %sent.transaction, "sample drawn");
                Ok(true)
            }
            Err(Error::Reverted(why))
                if ["AlreadyDrawn", "NotReady", "BatchNotPosted"]
                    .iter()
                    .any(|e| why.contains(e)) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

//! Keeps an operator on the roll of validators, or off it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy::primitives::U256;
use tracing::info;

use crate::{
    Result,
    chain::{ChainClient, bindings::IValidatorRoll},
    registry::Registry,
};

/// Blocks between two looks at the roll: others may put a validator out of a full one.
const INTERVAL: u64 = 64;

/// The stage that enrols, or leaves.
#[derive(Debug, Clone)]
pub struct Roll {
    registry: Registry,
    client: ChainClient,
    is_validator: bool,
    /// The block from which on the roll is looked at again.
    next: Arc<AtomicU64>,
}

impl Roll {
    /// The stage that sends with the client's key.
    pub fn new(registry: Registry, client: ChainClient, is_validator: bool) -> Self {
        Self { registry, client, is_validator, next: Arc::default() }
    }

    /// Enrols or leaves if the chain has it otherwise. False if it has not.
    ///
    /// # Errors
    /// [`crate::Error::Reverted`] if the operator is not active or the roll is full of validators
    /// with more stake; [`crate::Error::Chain`].
    pub async fn step(&self) -> Result<bool> {
        let (head, Some(account)) = (self.registry.head().number, self.client.sender()) else {
            return Ok(false);
        };
        if head < self.next.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let roll = self.registry.contracts().deployment.validator_roll;
        let call = IValidatorRoll::isEnrolledCall { account };
        let is_enrolled = self.client.call(roll, &call).await?;
        if is_enrolled != self.is_validator {
            let sent = if self.is_validator {
                self.client.send(roll, &IValidatorRoll::enrolCall {}, U256::ZERO).await?
            } else {
                self.client.send(roll, &IValidatorRoll::leaveCall {}, U256::ZERO).await?
            };
            let enrolled = self.is_validator;
            info!(target: "node::votes", enrolled, transaction = %sent.transaction, "roll changed");
        }
        self.next.store(head + INTERVAL, Ordering::Relaxed);
        Ok(is_enrolled != self.is_validator)
    }
}

//! What each final batch paid.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use attribution::settle::EarnerIndex;

use crate::{
    Error, Result,
    batcher::SealedBatch,
    da::SharedAvailability,
    registry::Registry,
    store::{SharedStore, Table, get_row},
    worker::blocking,
};

/// Finds the payouts of batches.
#[derive(Debug, Clone)]
pub(super) struct History {
    store: SharedStore,
    registry: Registry,
    layer: SharedAvailability,
}

impl History {
    pub(super) const fn new(
        store: SharedStore,
        registry: Registry,
        layer: SharedAvailability,
    ) -> Self {
        Self { store, registry, layer }
    }

    /// Adds what a batch paid on a page of `size` earners to the page's earnings.
    pub(super) async fn add(
        &self,
        batch: B256,
        page: u32,
        size: u32,
        earnings: &mut BTreeMap<EarnerIndex, u64>,
    ) -> Result<()> {
        let payouts = self.payouts(batch).await?;
        for (earner, gwei) in payouts.into_iter().filter(|(earner, _)| earner.0 / size == page) {
            let total = earnings.entry(earner).or_default();
            *total = total
                .checked_add(gwei)
                .ok_or_else(|| Error::Money(format!("earnings of {earner} are above 2^64 gwei")))?;
        }
        Ok(())
    }

    async fn payouts(&self, id: B256) -> Result<Vec<(EarnerIndex, u64)>> {
        let view = self
            .registry
            .batch(id)?
            .ok_or_else(|| Error::Store(format!("final batch {id} is not indexed")))?;
        let own: Option<SealedBatch> =
            get_row(&*self.store, Table::Batches, &view.epoch.to_be_bytes())?;
        if let Some(own) = own.filter(|own| own.id == id) {
            return Ok(own.payouts);
        }
        let blob = self
            .layer
            .get(view.ledger, &view.certificate)
            .await?
            .ok_or_else(|| Error::Availability(format!("ledger of batch {id} is not there")))?;
        let ledger = blocking(move || Ok(prover::ledger_from_blob(&blob)?)).await?;
        Ok(ledger.payouts.into_iter().collect())
    }
}

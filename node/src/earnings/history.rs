//! What each final batch paid, and where a page's history begins.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use attribution::settle::EarnerIndex;
use tracing::warn;

use super::snapshot;
use crate::{
    Error, Result,
    batcher::SealedBatch,
    committer::Kzg,
    da::SharedAvailability,
    graph::Ledgers,
    registry::{ArchiveView, EarningsView, Registry},
    standing::ledger_of,
    store::{SharedStore, Table, get_row},
    worker::blocking,
};

/// Snapshots that are looked at before the history is read from its beginning. Operators publish
/// them, so false ones cost stake, and their number is the readers' only bound.
const MAX_SNAPSHOTS: usize = 64;

/// Gwei of each earner of a page that has any.
pub(super) type Amounts = BTreeMap<EarnerIndex, u64>;

/// Finds the payouts of batches, and snapshots of earnings.
#[derive(Debug, Clone)]
pub(super) struct History {
    store: SharedStore,
    registry: Registry,
    kzg: Kzg,
    layer: SharedAvailability,
}

impl History {
    pub(super) const fn new(
        store: SharedStore,
        registry: Registry,
        kzg: Kzg,
        layer: SharedAvailability,
    ) -> Self {
        Self { store, registry, kzg, layer }
    }

    pub(super) fn ledgers(&self) -> Ledgers {
        let (store, registry) = (self.store.clone(), self.registry.clone());
        Ledgers::new(store, registry, self.kzg.clone(), self.layer.clone())
    }

    /// The latest snapshot of a page that is what the chain committed to, with its version; version
    /// 0 and nothing if there is none.
    pub(super) async fn start(
        &self,
        page: u32,
        versions: &[EarningsView],
    ) -> Result<(usize, Amounts)> {
        for (version, _, archive) in self.registry.archives(page)?.into_iter().take(MAX_SNAPSHOTS) {
            let place = usize::try_from(version).unwrap_or(usize::MAX);
            let Some(view) = place.checked_sub(1).and_then(|last| versions.get(last)) else {
                continue;
            };
            match self.snapshot(page, archive, view.clone()).await {
                Ok(amounts) => return Ok((place, amounts)),
                Err(error @ (Error::Store(_) | Error::Stopped(_))) => return Err(error),
                Err(error) => {
                    warn!(target: "node::earnings", page, version, %error, "snapshot passed over");
                }
            }
        }
        Ok((0, Amounts::new()))
    }

    async fn snapshot(
        &self,
        page: u32,
        archive: ArchiveView,
        version: EarningsView,
    ) -> Result<Amounts> {
        let blob = self.layer.get(archive.blob, &archive.certificate).await?;
        let blob = blob.ok_or_else(|| Error::Availability("its blob is not there".into()))?;
        let kzg = self.kzg.clone();
        blocking(move || {
            let amounts = snapshot::decode(&blob, kzg.page_size(), page)?;
            if kzg.commit_page(&kzg.page(page, &amounts)?)? != version.commitment {
                return Err(Error::Money("it is not what the chain committed to".into()));
            }
            Ok(amounts)
        })
        .await
    }

    /// Adds what a batch paid on a page to the page's earnings.
    pub(super) async fn add(&self, batch: B256, page: u32, earnings: &mut Amounts) -> Result<()> {
        let size = self.kzg.page_size();
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
        let blob = ledger_of(&self.layer, id, &view).await?;
        let ledger = blocking(move || Ok(prover::ledger_from_blob(&blob)?)).await?;
        Ok(ledger.payouts.into_iter().collect())
    }
}

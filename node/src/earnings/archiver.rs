//! Publishes pages of earnings again before their batches leave data availability.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{Address, U256};
use tracing::info;

use super::{Earnings, Page, snapshot};
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::{G1Point, IEarningsArchive},
    },
    committer::Kzg,
    da::SharedAvailability,
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, get_row},
    worker::blocking,
};

/// The stage that keeps a snapshot of each page on data availability.
#[derive(Debug, Clone)]
pub struct Archiver {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    earnings: Earnings,
    kzg: Kzg,
    layer: SharedAvailability,
    interval: u64,
    // What is on its way to data availability: a later version of the page is another blob, which
    // would have to be paid for too.
    pending: Arc<Mutex<Option<Snapshot>>>,
}

/// A page's earnings as they are published.
#[derive(Debug, Clone)]
struct Snapshot {
    page: u32,
    version: u64,
    blob: Vec<u8>,
    commitment: G1Point,
}

impl Archiver {
    /// The stage that sends with the client's key, which must be an operator's. A page is published
    /// `interval` seconds of the chain's time after this operator did so last, and at once if it
    /// never did.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        earnings: Earnings,
        kzg: Kzg,
        layer: SharedAvailability,
        interval: u64,
    ) -> Self {
        let pending = Arc::default();
        Self { store, registry, client, earnings, kzg, layer, interval, pending }
    }

    /// Publishes the next page that is due. False if there is none.
    ///
    /// # Errors
    /// [`Error::Availability`] if the layer fails or a batch of the page cannot be had,
    /// [`Error::Reverted`], [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let now = self.registry.head().timestamp;
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(snapshot) = pending {
            self.archive(snapshot, now).await?;
            return Ok(true);
        }
        for number in self.registry.earning_pages()? {
            let last = self.last(number)?;
            if last.is_some_and(|last| now < last.saturating_add(self.interval)) {
                continue;
            }
            if let Some(page) = self.earnings.page(number).await? {
                self.archive(self.snapshot(page).await?, now).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn operator(&self) -> Result<Address> {
        self.client.sender().ok_or_else(|| Error::Config("archiving needs a key".into()))
    }

    /// When this operator last published a page (seconds). Snapshots of others do not count: only a
    /// reader finds out whether they are true.
    fn last(&self, page: u32) -> Result<Option<u64>> {
        let operator = self.operator()?;
        let archives = self.registry.archives(page)?.into_iter();
        let ours = archives.filter(|(_, by, _)| *by == operator).map(|(_, _, at)| at.archived_at);
        // The event of a transaction just sent is not indexed yet.
        let sent: Option<u64> = get_row(&*self.store, Table::Meta, &sent_key(page))?;
        Ok(ours.max().max(sent))
    }

    async fn snapshot(&self, page: Page) -> Result<Snapshot> {
        let (kzg, version) = (self.kzg.clone(), page.version());
        blocking(move || {
            let blob = snapshot::encode(kzg.page_size(), page.number, &page.earnings)?;
            let commitment = kzg.commit_blob(blob.clone())?;
            Ok(Snapshot { page: page.number, version, blob, commitment })
        })
        .await
    }

    async fn archive(&self, snapshot: Snapshot, now: u64) -> Result<()> {
        let Snapshot { page: number, version, commitment, .. } = snapshot.clone();
        let put = self.layer.put(commitment.clone(), snapshot.blob.clone(), now).await;
        let keep = matches!(put, Err(Error::Pending(_))).then_some(snapshot);
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = keep;
        let certificate = put?;
        let call = IEarningsArchive::archiveCall {
            page: number,
            version,
            blob: commitment,
            certificate: certificate.into(),
        };
        let to = self.registry.contracts().deployment.earnings_archive;
        let sent = self.client.send(to, &call, U256::ZERO).await?;
        info!(
            target: "node::earnings", page = number, version, gas = sent.gas,
            transaction = %sent.transaction, "archived"
        );
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Meta, sent_key(number), &now);
        self.store.write(batch)
    }
}

/// Where the chain's time of a page's last snapshot by this node is in [`Table::Meta`].
fn sent_key(page: u32) -> Vec<u8> {
    [b"archiver/".as_slice(), &page.to_be_bytes()].concat()
}

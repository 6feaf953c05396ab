//! The chain of an operator's batches: which stand, and what the next one is built on.
//!
//! Each batch names the one before it and opens with its negative nets. When a batch is struck, the
//! next is built on the last that stands: batches that are sealed and not posted are unsealed and
//! sealed again; those on top of the struck one that are posted are orphans, and void like it. What
//! void batches drew from channels stays drawn, so later intervals do not change.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use attribution::settle::Carries;

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after, ledger_blob},
    committer::{Kzg, last_epoch},
    da::SharedAvailability,
    finaliser::FinalBatch,
    registry::{BatchStatus, ChainBatch, Registry},
    store::{SharedStore, Table, WriteBatch, decode},
    worker::blocking,
};

/// Tables with a row for each sealed batch or each of its blobs, by epoch.
const SEALED: [Table; 8] = [
    Table::Batches,
    Table::Ledgers,
    Table::Witnesses,
    Table::Commitments,
    Table::Certificates,
    Table::Dispersals,
    Table::Proofs,
    Table::Postings,
];

/// What stands of an operator's batches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The last batch that stands, posted or not; zero if there is none.
    pub head: B256,
    /// Posted batches that are on top of a void one, by ascending epoch.
    pub orphans: Vec<B256>,
    /// The first sealed batch that is not posted and is built on one that does not stand.
    pub broken: Option<u64>,
}

/// Follows one operator's batches, in the store and on chain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Standing {
    store: SharedStore,
    registry: Registry,
    layer: SharedAvailability,
    kzg: Kzg,
    operator: Address,
}

/// A batch as it is known, on chain or only here.
enum Known {
    Posted(B256, Box<ChainBatch>),
    Sealed(SealedBatch),
}

impl Standing {
    /// Follows the batches of `operator`.
    pub const fn new(
        store: SharedStore,
        registry: Registry,
        layer: SharedAvailability,
        kzg: Kzg,
        operator: Address,
    ) -> Self {
        Self { store, registry, layer, kzg, operator }
    }

    /// Whose batches they are.
    pub const fn operator(&self) -> Address {
        self.operator
    }

    /// What stands now, as of the registry's head.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn chain(&self) -> Result<Chain> {
        let mut chain = Chain::default();
        let last = self.store.last(Table::Finals, &[])?;
        let mut from = 0;
        if let Some((_, row)) = last {
            // Everything before a final batch is final or void.
            chain.head = decode::<FinalBatch>(Table::Finals, &row)?.head;
            from = last_epoch(&*self.store, Table::Finals)?.map_or(0, |epoch| epoch + 1);
        }
        for (epoch, known) in self.known(from)? {
            match known {
                Known::Posted(id, view) => match view.status {
                    BatchStatus::Struck => {}
                    _ if view.submission.previous == chain.head => chain.head = id,
                    _ => chain.orphans.push(id),
                },
                Known::Sealed(sealed) if sealed.previous == chain.head => chain.head = sealed.id,
                Known::Sealed(_) => {
                    chain.broken = Some(epoch);
                    break;
                }
            }
        }
        Ok(chain)
    }

    /// Batches with fees from an epoch on; those without are in no chain.
    fn known(&self, from: u64) -> Result<BTreeMap<u64, Known>> {
        let mut known = BTreeMap::new();
        let mut after = from.checked_sub(1);
        while let Some(sealed) = batches_after(&*self.store, after)? {
            after = Some(sealed.epoch);
            if sealed.total > 0 {
                known.insert(sealed.epoch, Known::Sealed(sealed));
            }
        }
        for (id, view) in self.registry.batches_of(self.operator, from)? {
            known.insert(view.epoch, Known::Posted(id, Box::new(view)));
        }
        Ok(known)
    }

    /// The negative nets that a batch on top of `head` opens with. A head that this store does not
    /// have, because it was lost, is read from data availability.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Availability`] if a ledger that is needed cannot be had.
    pub async fn carries(&self, head: B256) -> Result<Carries> {
        if head.is_zero() {
            return Ok(Carries::new());
        }
        let blob = match self.stored(head)? {
            Some(blob) => blob,
            None => {
                let view = self.registry.batch(head)?;
                let view = view.ok_or_else(|| Error::Store(format!("head {head} is unknown")))?;
                let blob = ledger_of(&self.layer, head, &view).await?;
                let (kzg, copy) = (self.kzg.clone(), blob.clone());
                // Wrong carries would have the next batch struck.
                if blocking(move || kzg.commit_ledger(copy)).await? != view.submission.ledger {
                    return Err(Error::Availability(format!(
                        "ledger of batch {head} is not the committed one"
                    )));
                }
                blob
            }
        };
        blocking(move || Ok(prover::ledger_from_blob(&blob)?.carries)).await
    }

    /// The ledger of a batch in this store.
    fn stored(&self, id: B256) -> Result<Option<Vec<u8>>> {
        // A batch that is not on chain yet is after the last final one.
        let mut after = match self.registry.batch(id)? {
            Some(view) => view.epoch.checked_sub(1),
            None => last_epoch(&*self.store, Table::Finals)?,
        };
        while let Some(sealed) = batches_after(&*self.store, after)? {
            if sealed.id == id {
                return ledger_blob(&*self.store, sealed.epoch).map(Some);
            }
            after = Some(sealed.epoch);
        }
        Ok(None)
    }

    /// Takes back all sealed batches from an epoch on, none of which is on chain: their calls are
    /// sealed again.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn unseal(&self, from: u64) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        // Draws of earlier batches are where the later ones begin, so the earliest wins.
        let mut drawn = BTreeMap::new();
        let mut after = from.checked_sub(1);
        while let Some(sealed) = batches_after(&*self.store, after)? {
            after = Some(sealed.epoch);
            for draw in &sealed.draws {
                drawn.entry(draw.voucher.channelId).or_insert(draw.from);
            }
        }
        for (channel, gwei) in drawn {
            batch.put_row(Table::Drawn, channel.as_slice(), &gwei);
        }
        for table in SEALED {
            for (key, _) in self.store.scan(table, &[], &from.to_be_bytes(), usize::MAX)? {
                batch.delete(table, key);
            }
        }
        Ok(batch)
    }
}

/// The ledger of anybody's batch from data availability.
///
/// # Errors
/// [`Error::Availability`] if the layer does not have it.
pub(crate) async fn ledger_of(
    layer: &SharedAvailability,
    id: B256,
    view: &ChainBatch,
) -> Result<Vec<u8>> {
    let posted = &view.submission;
    let certificate = posted.certificates.first().map_or(&[][..], |bytes| bytes);
    let blob = layer.get(posted.ledger.clone(), certificate).await?;
    blob.ok_or_else(|| Error::Availability(format!("ledger of batch {id} is not there")))
}

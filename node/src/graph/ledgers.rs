//! Ledgers of batches: this node's from its store, others' from data availability.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, B256};
use attribution::settle::{Statement, Witness};

use super::book::Book;
use crate::{
    Error, Result,
    batcher::{SealedBatch, ledger_blob},
    challenger::Dossier,
    committer::Kzg,
    da::SharedAvailability,
    recorder::CallRecord,
    registry::{BatchStatus, ChainBatch, Registry},
    standing::ledger_of,
    store::{SharedStore, Table, get_row, rows as stored_rows},
    worker::blocking,
};

/// Others' ledgers that are kept in memory.
const KEPT: usize = 32;

/// A batch whose ledger was read.
#[derive(Clone, Debug)]
pub struct OpenBatch {
    /// Its id.
    pub id: B256,
    /// As the chain has it.
    pub view: ChainBatch,
    /// What its rows say.
    pub book: Arc<Book>,
}

/// Reads ledgers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledgers {
    store: SharedStore,
    registry: Registry,
    kzg: Kzg,
    layer: SharedAvailability,
    kept: Arc<Mutex<BTreeMap<B256, Arc<Book>>>>,
}

impl Ledgers {
    /// Ledgers of the batches that the registry knows.
    #[must_use]
    pub fn new(
        store: SharedStore,
        registry: Registry,
        kzg: Kzg,
        layer: SharedAvailability,
    ) -> Self {
        Self { store, registry, kzg, layer, kept: Arc::default() }
    }

    /// Where records and batches of this node are.
    #[must_use]
    pub const fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The chain.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Ids of batches on the chain from a place on, by operator and epoch.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn batches(
        &self,
        operator: Option<Address>,
        from: (Address, u64),
        limit: usize,
    ) -> Result<Vec<(B256, ChainBatch)>> {
        let from = [from.0.as_slice(), &from.1.to_be_bytes()].concat();
        let prefix = operator.map_or_else(Vec::new, |operator| operator.to_vec());
        let entries = self.store.scan(Table::OperatorBatches, &prefix, &from, limit)?;
        let batch = |(_, id): (Vec<u8>, Vec<u8>)| {
            let id = B256::try_from(&id[..])
                .map_err(|_| Error::Store("table operator_batches: damaged row".into()))?;
            let view = self.registry.batch(id)?;
            Ok((id, view.ok_or_else(|| Error::Store(format!("batch {id} is not indexed")))?))
        };
        entries.into_iter().map(batch).collect()
    }

    /// A batch of this node that it has sealed, if it is this one.
    fn own(&self, id: B256, epoch: u64) -> Result<Option<SealedBatch>> {
        let own: Option<SealedBatch> = get_row(&*self.store, Table::Batches, &epoch.to_be_bytes())?;
        Ok(own.filter(|own| own.id == id))
    }

    /// The ledger of a batch.
    ///
    /// # Errors
    /// [`Error::Availability`] if it cannot be had or is not what the chain committed to,
    /// [`Error::Prover`] if it is no ledger, [`Error::Store`].
    pub async fn open(&self, id: B256, view: ChainBatch) -> Result<OpenBatch> {
        if self.own(id, view.epoch)?.is_some() {
            let (store, epoch) = (Arc::clone(&self.store), view.epoch);
            let book = blocking(move || read(&ledger_blob(&*store, epoch)?)).await?;
            return Ok(OpenBatch { id, view, book });
        }
        if let Some(book) = self.lock().get(&id) {
            return Ok(OpenBatch { id, view, book: Arc::clone(book) });
        }
        let blob = ledger_of(&self.layer, id, &view).await?;
        let (kzg, posted) = (self.kzg.clone(), view.submission.ledger.clone());
        let book = blocking(move || {
            let book = read(&blob)?;
            if kzg.commit_ledger(blob)? != posted {
                let what = format!("ledger of batch {id} is not the committed one");
                return Err(Error::Availability(what));
            }
            Ok(book)
        })
        .await?;
        // Before it is final, another may come in its place.
        if view.status == BatchStatus::Final {
            let mut kept = self.lock();
            while kept.len() >= KEPT {
                kept.pop_first();
            }
            kept.insert(id, Arc::clone(&book));
        }
        Ok(OpenBatch { id, view, book })
    }

    /// The sketches of a batch's records by ordinal; of those without one, nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn sketches(&self, batch: &OpenBatch) -> Result<Vec<Vec<i8>>> {
        if self.own(batch.id, batch.view.epoch)?.is_some() {
            let (store, epoch) = (Arc::clone(&self.store), batch.view.epoch);
            return blocking(move || {
                // By time and digest, as in the ledger.
                let calls: Vec<(Vec<u8>, CallRecord)> =
                    stored_rows(&*store, Table::Calls, &epoch.to_be_bytes())?;
                Ok(calls.into_iter().map(|(_, call)| call.sketch).collect())
            })
            .await;
        }
        let missing = || Error::Availability(format!("witnesses of batch {}", batch.id));
        let dossier = Dossier::fetch(&self.layer, &self.kzg, &batch.view).await?;
        let dossier = dossier.ok_or_else(missing)?;
        let mut sketches = Vec::new();
        for ordinal in 0..batch.book.records.len() {
            let mut dim = Ok(0);
            let bytes = dossier.witness(ordinal, |model| {
                let index = self.registry.index(model.0.into());
                dim = index.map(|index| index.map_or(0, |index| index.dim as usize));
                *dim.as_ref().unwrap_or(&0)
            });
            dim?;
            let witness = bytes.and_then(|bytes| Witness::decode(&bytes).ok());
            sketches.push(witness.map(|witness| witness.sketch).unwrap_or_default());
        }
        Ok(sketches)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<B256, Arc<Book>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A ledger that adds up.
fn read(blob: &[u8]) -> Result<Arc<Book>> {
    let rows = prover::rows_from_blob(blob)?;
    Statement::read(&rows)?;
    Ok(Arc::new(Book::read(&rows)))
}

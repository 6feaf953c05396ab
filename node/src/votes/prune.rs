//! Forgets requests that nobody can ask for any more.

use tracing::info;

use crate::{
    Result,
    batcher::{SealedBatch, batches_after},
    finaliser::FinalBatch,
    recorder::CallRecord,
    registry::{BatchStatus, Registry},
    store::{SharedStore, Table, WriteBatch, get_row, rows},
    worker::blocking,
};

/// The last epoch whose requests are forgotten.
const CHECKPOINT: &[u8] = b"votes/pruned";

/// The stage that forgets the requests of batches that are final or struck. Answers stay: they are
/// given again to whoever repeats a call.
#[derive(Debug, Clone)]
pub struct Pruner {
    store: SharedStore,
    registry: Registry,
}

impl Pruner {
    /// The stage over this operator's batches.
    pub const fn new(store: SharedStore, registry: Registry) -> Self {
        Self { store, registry }
    }

    /// Forgets the requests of the next batch that has ended. False if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = get_row(&*self.store, Table::Meta, CHECKPOINT)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        if !self.has_ended(&sealed)? {
            return Ok(false);
        }
        let stage = self.clone();
        blocking(move || stage.forget(sealed.epoch)).await?;
        Ok(true)
    }

    /// By the chain; a batch without fees is not there, so nobody can challenge it.
    fn has_ended(&self, sealed: &SealedBatch) -> Result<bool> {
        if sealed.total == 0 {
            let key = sealed.epoch.to_be_bytes();
            return Ok(get_row::<FinalBatch>(&*self.store, Table::Finals, &key)?.is_some());
        }
        let view = self.registry.batch(sealed.id)?;
        Ok(view.is_some_and(|view| view.status != BatchStatus::Posted))
    }

    fn forget(&self, epoch: u64) -> Result<()> {
        let calls = rows::<CallRecord>(&*self.store, Table::Calls, &epoch.to_be_bytes())?;
        let mut batch = WriteBatch::default();
        for (_, call) in &calls {
            batch.delete(Table::Requests, call.digest().as_slice());
        }
        batch.put_row(Table::Meta, CHECKPOINT, &epoch);
        self.store.write(batch)?;
        info!(target: "node::votes", epoch, calls = calls.len(), "requests forgotten");
        Ok(())
    }
}

//! Seals an epoch's calls into one ledger.
//!
//! What a batch is depends on the calls of its epoch, on what earlier batches left (how far each
//! channel is drawn, negative nets of the last one that stands), and on nothing else: not on the
//! order in which calls were served, not on restarts.

mod build;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock},
};

use alloy::primitives::B256;
use attribution::settle::{Carries, EarnerIndex, Factors, ModelId};
use tracing::info;

pub use rows::{BatchDraw, SealedBatch, batches_after, ledger_blob, sealed_through, witness_blobs};

use crate::{
    Result,
    recorder::{CallRecord, RecorderHandle},
    registry::Registry,
    standing::Standing,
    store::{SharedStore, Table, WriteBatch, rows as stored_rows},
    worker::blocking,
};

/// For each model the contributors of its Datanet versions with their accepted rows, one per
/// duplicate cluster: the flat rule's weights.
pub type Weights = BTreeMap<ModelId, BTreeMap<EarnerIndex, u32>>;

/// The stage from calls to ledgers.
#[derive(Debug, Clone)]
pub struct Batcher {
    store: SharedStore,
    registry: Registry,
    recorder: RecorderHandle,
    standing: Standing,
    max_skew: u64,
    weights: Arc<RwLock<Weights>>,
}

impl Batcher {
    /// The stage for the operator whose batches `standing` follows. `max_skew` (seconds) is the
    /// recorder's.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        recorder: RecorderHandle,
        standing: Standing,
        max_skew: u64,
        weights: Weights,
    ) -> Self {
        let weights = Arc::new(RwLock::new(weights));
        Self { store, registry, recorder, standing, max_skew, weights }
    }

    /// Seals the earliest epoch that has calls and is over. False if there is none yet.
    ///
    /// # Errors
    /// [`crate::Error::Store`], [`crate::Error::Settle`] if no ledger can be built,
    /// [`crate::Error::Money`] if what it pays is not what is drawn, [`crate::Error::Availability`]
    /// if the batch before it is needed and cannot be had; then nothing was written.
    pub async fn step(&self) -> Result<bool> {
        let Some(epoch) = self.next_epoch()? else { return Ok(false) };
        let seconds = self.registry.contracts().epoch_seconds;
        // Beyond 64 bits no chain's time ever gets.
        let over = epoch.saturating_add(1).saturating_mul(seconds).saturating_add(self.max_skew);
        if self.registry.head().timestamp < over || !self.recorder.seal(epoch).await? {
            return Ok(false);
        }
        let chain = self.standing.chain()?;
        if chain.broken.is_some() {
            // Earlier epochs are about to be sealed again.
            return Ok(false);
        }
        let carries = self.standing.carries(chain.head).await?;
        let stage = self.clone();
        blocking(move || stage.seal(epoch, chain.head, &carries)).await?;
        Ok(true)
    }

    /// The earliest epoch with calls that are in no batch.
    fn next_epoch(&self) -> Result<Option<u64>> {
        let from = sealed_through(&*self.store)?.map_or(0, |sealed| sealed + 1).to_be_bytes();
        let first = self.store.scan(Table::Calls, &[], &from, 1)?;
        Ok(first.first().map(|(key, _)| rows::epoch_of_key(key)))
    }

    /// Builds the batch of a sealed epoch and writes it with everything that follows from it.
    fn seal(&self, epoch: u64, previous: B256, carries: &Carries) -> Result<()> {
        let calls = self.calls(epoch)?;
        let from = self.drawn_before(&calls)?;
        let operator = self.standing.operator();
        let inputs = build::Inputs {
            header: build::header(self.registry.contracts(), operator, epoch),
            previous,
            carries,
            calls: &calls,
            from: &from,
            weights: &self.weights_of(&calls)?,
            factors: &self.factors(epoch, &calls, carries)?,
        };
        let built = build::seal(&inputs)?;
        let sealed = &built.sealed;
        info!(
            target: "node::batcher",
            epoch,
            batch = %sealed.id,
            calls = calls.len(),
            rows = sealed.rows,
            total_gwei = sealed.total,
            "sealed"
        );
        self.store.write(writes(&built))
    }

    fn calls(&self, epoch: u64) -> Result<Vec<CallRecord>> {
        let calls = stored_rows(&*self.store, Table::Calls, &epoch.to_be_bytes())?;
        Ok(calls.into_iter().map(|(_, call)| call).collect())
    }

    /// Gwei that earlier batches draw from each channel of the calls, in total.
    fn drawn_before(&self, calls: &[CallRecord]) -> Result<BTreeMap<B256, u64>> {
        let channels = calls.iter().map(|call| call.voucher.channelId);
        channels.map(|id| Ok((id, rows::drawn(&*self.store, id)?))).collect()
    }

    /// The factors in force in the epoch's first second, of the models called and of those that the
    /// carries are with.
    fn factors(&self, epoch: u64, calls: &[CallRecord], carries: &Carries) -> Result<Factors> {
        let mut models: BTreeSet<ModelId> =
            calls.iter().map(|call| call.record.call().model).collect();
        for balance in carries.keys() {
            let model = self.registry.model_beginning(&balance.model.0)?;
            models.extend(model.map(|id| ModelId(id.0)));
        }
        let start = epoch.saturating_mul(self.registry.contracts().epoch_seconds);
        self.registry.factors_at(models, start)
    }

    /// Weights of the models called. A model without Datanets has none to weigh.
    fn weights_of(&self, calls: &[CallRecord]) -> Result<Weights> {
        let known = self.weights.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut weights = Weights::new();
        for call in calls {
            let model = call.record.call().model;
            if let Some(contributors) = known.get(&model) {
                weights.insert(model, contributors.clone());
            } else if self.has_no_datanets(model)? {
                weights.insert(model, BTreeMap::new());
            }
        }
        Ok(weights)
    }

    fn has_no_datanets(&self, model: ModelId) -> Result<bool> {
        let view = self.registry.model(model.0.into())?;
        Ok(view.is_some_and(|view| view.datanets.is_empty()))
    }
}

/// The batch, and how far its channels are drawn.
fn writes(built: &build::Built) -> WriteBatch {
    let build::Built { sealed, blob, witnesses } = built;
    let mut batch = WriteBatch::default();
    for draw in &sealed.draws {
        batch.put_row(Table::Drawn, draw.voucher.channelId.as_slice(), &draw.to);
    }
    batch.put(Table::Ledgers, sealed.epoch.to_be_bytes(), blob.as_slice());
    for (number, blob) in (0_u32..).zip(witnesses) {
        let key = [&sealed.epoch.to_be_bytes()[..], &number.to_be_bytes()].concat();
        batch.put(Table::Witnesses, key, blob.as_slice());
    }
    batch.put_row(Table::Batches, sealed.epoch.to_be_bytes(), sealed);
    batch
}

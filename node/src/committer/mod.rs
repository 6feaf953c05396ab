//! Commits to sealed batches: one commitment to the ledger, one to the payouts of each earner page.

mod kzg;

use std::collections::BTreeMap;

use attribution::settle::EarnerIndex;
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::info;

pub use kzg::Kzg;

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after},
    chain::bindings::G1Point,
    store::{SharedStore, Store, Table, WriteBatch, get_row, read_sol, write_sol},
    worker::blocking,
};

/// The commitments of a batch.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommittedBatch {
    /// To the ledger's blob.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub ledger: G1Point,
    /// Pages of earners that are paid, strictly increasing.
    pub pages: Vec<u32>,
    /// To the payouts of each page.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub payouts: Vec<G1Point>,
}

/// The stage from ledgers to commitments.
#[derive(Debug, Clone)]
pub struct Committer {
    store: SharedStore,
    kzg: Kzg,
}

impl Committer {
    /// The stage with the powers of tau and page size of `kzg`.
    pub const fn new(store: SharedStore, kzg: Kzg) -> Self {
        Self { store, kzg }
    }

    /// Commits to the next sealed batch. False if there is none.
    ///
    /// # Errors
    /// [`Error::Prover`] if the batch does not fit the powers of tau, [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = last_epoch(&*self.store, Table::Commitments)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        let stage = self.clone();
        blocking(move || stage.commit(&sealed)).await?;
        Ok(true)
    }

    fn commit(&self, sealed: &SealedBatch) -> Result<()> {
        let ledger = self.kzg.commit_payload(&sealed.payload)?;
        let mut pages = Vec::new();
        let mut payouts = Vec::new();
        for (page, values) in paged(&sealed.payouts, self.kzg.page_size()) {
            pages.push(page);
            payouts.push(self.kzg.commit_page(&values)?);
        }
        info!(target: "node::committer", epoch = sealed.epoch, batch = %sealed.id, ?pages, "committed");
        let row = CommittedBatch { ledger, pages, payouts };
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Commitments, sealed.epoch.to_be_bytes(), &row);
        self.store.write(batch)
    }
}

/// Gwei by place in each page that is paid.
pub fn paged(payouts: &[(EarnerIndex, u64)], page_size: u32) -> BTreeMap<u32, Vec<u64>> {
    let mut pages = BTreeMap::new();
    for &(earner, gwei) in payouts {
        let page = pages
            .entry(earner.0 / page_size)
            .or_insert_with(|| vec![0; page_size as usize]);
        page[(earner.0 % page_size) as usize] = gwei;
    }
    pages
}

/// The commitments of an epoch's batch, `None` before they are made.
///
/// # Errors
/// [`Error::Store`].
pub fn committed(store: &dyn Store, epoch: u64) -> Result<Option<CommittedBatch>> {
    get_row(store, Table::Commitments, &epoch.to_be_bytes())
}

/// A stage's checkpoint: the last epoch in the table that it writes.
///
/// # Errors
/// [`Error::Store`].
pub fn last_epoch(store: &dyn Store, table: Table) -> Result<Option<u64>> {
    let Some((key, _)) = store.last(table, &[])? else { return Ok(None) };
    let key = key.try_into().map_err(|_| {
        Error::Store(format!("table {} has a key that is not an epoch", table.name()))
    })?;
    Ok(Some(u64::from_be_bytes(key)))
}

//! Commits to sealed batches: one commitment to the ledger, one to each witness blob, one to the
//! payouts of each earner page.

mod kzg;

use borsh::{BorshDeserialize, BorshSerialize};
use tracing::info;

pub use kzg::Kzg;
pub(crate) use kzg::{affine, point};

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after, ledger_blob, witness_blobs},
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
    /// To the witness blobs.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub witnesses: Vec<G1Point>,
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
        let ledger = self.kzg.commit_ledger(ledger_blob(&*self.store, sealed.epoch)?)?;
        let witnesses = witness_blobs(&*self.store, sealed.epoch)?.into_iter();
        let witnesses = witnesses.map(|blob| self.kzg.commit_blob(blob)).collect::<Result<_>>()?;
        let payouts = sealed.payouts.iter().copied().collect();
        let (pages, payouts): (Vec<_>, Vec<_>) =
            self.kzg.commit_payouts(&payouts)?.into_iter().unzip();
        info!(target: "node::committer", epoch = sealed.epoch, batch = %sealed.id, ?pages, "committed");
        let row = CommittedBatch { ledger, witnesses, pages, payouts };
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Commitments, sealed.epoch.to_be_bytes(), &row);
        self.store.write(batch)
    }
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

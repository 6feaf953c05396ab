//! Makes posted batches final once their dispute window is over.

use alloy::primitives::{B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{info, warn};

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after},
    chain::{
        ChainClient,
        bindings::{ISettlement, Status},
    },
    committer::{committed, last_epoch},
    registry::Registry,
    settler::PostedBatch,
    store::{SharedStore, Table, WriteBatch, get_row, read_sol, write_sol},
};

/// A batch that is final.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FinalBatch {
    /// The transaction that made it final; zero if somebody else's did.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub transaction: B256,
    /// Gas that it used; 0 if somebody else paid it.
    pub gas: u64,
}

/// The stage from posted to final.
#[derive(Debug, Clone)]
pub struct Finaliser {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
}

impl Finaliser {
    /// The stage that sends with the client's key; any key may.
    pub const fn new(store: SharedStore, registry: Registry, client: ChainClient) -> Self {
        Self { store, registry, client }
    }

    /// Makes the next posted batch final, or finds it final. False if there is none or its window
    /// is open.
    ///
    /// # Errors
    /// [`Error::Reverted`], [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = last_epoch(&*self.store, Table::Finals)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        let key = sealed.epoch.to_be_bytes();
        let posted: Option<PostedBatch> = get_row(&*self.store, Table::Postings, &key)?;
        let Some(posted) = posted else { return Ok(false) };
        if self.registry.head().timestamp < posted.finalisable_at {
            return Ok(false);
        }
        let Some(row) = self.finalise(&sealed).await? else {
            self.store.write(self.unposted(sealed.epoch)?)?;
            return Ok(false);
        };
        info!(target: "node::finaliser", epoch = sealed.epoch, batch = %sealed.id, gas = row.gas, "final");
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Finals, key, &row);
        self.store.write(batch)?;
        Ok(true)
    }

    /// Forgets that this batch and later ones were posted: a reorganisation has taken them off the
    /// chain, and the settler posts them again.
    fn unposted(&self, epoch: u64) -> Result<WriteBatch> {
        warn!(target: "node::finaliser", epoch, "batch is not on chain any more");
        let mut batch = WriteBatch::default();
        let from = epoch.to_be_bytes();
        for (key, _) in self.store.scan(Table::Postings, &[], &from, usize::MAX)? {
            batch.delete(Table::Postings, key);
        }
        Ok(batch)
    }

    /// `None` if the chain does not know the batch.
    async fn finalise(&self, sealed: &SealedBatch) -> Result<Option<FinalBatch>> {
        let elsewhere = FinalBatch { transaction: B256::ZERO, gas: 0 };
        if sealed.total == 0 {
            return Ok(Some(elsewhere));
        }
        let settlement = self.registry.contracts().deployment.settlement;
        let call = ISettlement::batchOfCall { batch: sealed.id };
        let on_chain = self.client.call(settlement, &call).await?;
        match on_chain.status {
            Status::Final => return Ok(Some(elsewhere)),
            Status::Posted => {}
            _ => return Ok(None),
        }
        let committed = committed(&*self.store, sealed.epoch)?
            .ok_or_else(|| Error::Store(format!("batch {} lost its commitments", sealed.id)))?;
        let call = ISettlement::finaliseBatchCall {
            batch: sealed.id,
            pages: committed.pages,
            payouts: committed.payouts,
        };
        let sent = self.client.send(settlement, &call, U256::ZERO).await?;
        Ok(Some(FinalBatch { transaction: sent.transaction, gas: sent.gas }))
    }
}

//! Makes posted batches final once their dispute window is over.

use alloy::primitives::{Address, B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{info, warn};

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after},
    chain::{
        ChainClient,
        bindings::{Batch, ISettlement, Status},
    },
    committer::{committed, last_epoch},
    registry::Registry,
    settler::PostedBatch,
    store::{SharedStore, Table, WriteBatch, decode, get_row, read_sol, write_sol},
};

/// A batch that is final.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FinalBatch {
    /// The transaction that made it final; zero if somebody else's did.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub transaction: B256,
    /// Gas that it used; 0 if somebody else paid it.
    pub gas: u64,
    /// The last batch on chain that is final with this one: itself, or the one before if it has no
    /// fees and is not on chain.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub head: B256,
}

/// What became of a batch.
enum End {
    Final(FinalBatch),
    /// It is struck, or on top of a struck one: it never becomes final.
    Void,
    /// It is held, or the one before it is not final.
    Waiting,
    /// The chain does not know it.
    Unknown,
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

    /// Makes the next posted batch final, or finds it final, passing over those that are void.
    /// False if there is none, its window is open, or it is held.
    ///
    /// # Errors
    /// [`Error::Reverted`], [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let mut after = last_epoch(&*self.store, Table::Finals)?;
        while let Some(sealed) = batches_after(&*self.store, after)? {
            let key = sealed.epoch.to_be_bytes();
            let posted: Option<PostedBatch> = get_row(&*self.store, Table::Postings, &key)?;
            let Some(posted) = posted else { break };
            if self.registry.head().timestamp < posted.finalisable_at {
                break;
            }
            let row = match self.finalise(&sealed).await? {
                End::Final(row) => row,
                End::Void => {
                    after = Some(sealed.epoch);
                    continue;
                }
                End::Waiting => break,
                End::Unknown => {
                    self.store.write(self.unposted(sealed.epoch)?)?;
                    break;
                }
            };
            info!(target: "node::finaliser", epoch = sealed.epoch, batch = %sealed.id, gas = row.gas, "final");
            let mut batch = WriteBatch::default();
            batch.put_row(Table::Finals, key, &row);
            self.store.write(batch)?;
            return Ok(true);
        }
        Ok(false)
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

    async fn finalise(&self, sealed: &SealedBatch) -> Result<End> {
        let (transaction, gas) = (B256::ZERO, 0);
        if sealed.total == 0 {
            let last = self.store.last(Table::Finals, &[])?;
            let last =
                last.map(|(_, row)| decode::<FinalBatch>(Table::Finals, &row)).transpose()?;
            let head = last.map_or(B256::ZERO, |last| last.head);
            return Ok(End::Final(FinalBatch { transaction, gas, head }));
        }
        let on_chain = self.batch(sealed.id).await?;
        match on_chain.status {
            Status::Final => {
                return Ok(End::Final(FinalBatch { transaction, gas, head: sealed.id }));
            }
            Status::Struck => return Ok(End::Void),
            Status::Posted if on_chain.holds > 0 => return Ok(End::Waiting),
            Status::Posted => {}
            _ => return Ok(End::Unknown),
        }
        if !on_chain.previous.is_zero() {
            match self.batch(on_chain.previous).await?.status {
                Status::Final => {}
                Status::Struck => return Ok(End::Void),
                _ => return Ok(End::Waiting),
            }
        }
        let committed = committed(&*self.store, sealed.epoch)?
            .ok_or_else(|| Error::Store(format!("batch {} lost its commitments", sealed.id)))?;
        let call = ISettlement::finaliseBatchCall {
            batch: sealed.id,
            pages: committed.pages,
            payouts: committed.payouts,
        };
        let sent = self.client.send(self.settlement(), &call, U256::ZERO).await?;
        let (transaction, gas) = (sent.transaction, sent.gas);
        Ok(End::Final(FinalBatch { transaction, gas, head: sealed.id }))
    }

    async fn batch(&self, batch: B256) -> Result<Batch> {
        self.client.call(self.settlement(), &ISettlement::batchOfCall { batch }).await
    }

    const fn settlement(&self) -> Address {
        self.registry.contracts().deployment.settlement
    }
}

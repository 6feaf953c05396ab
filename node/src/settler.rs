//! Posts proven batches to Settlement.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{info, warn};

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after},
    chain::{
        ChainClient,
        bindings::{Draw, ISettlement, Status, Submission},
    },
    committer::{CommittedBatch, committed, last_epoch},
    da::{Publisher, certificates},
    proofs::{ProvenBatch, hash_of, proven},
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, read_sol, write_sol},
};

/// A batch that is on chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PostedBatch {
    /// The transaction that posted it; zero for a batch without fees, which is not posted.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub transaction: B256,
    /// Gas that it used.
    pub gas: u64,
    /// When its dispute window ends (seconds).
    pub finalisable_at: u64,
}

/// Why a batch that is ready is not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The operator's batches that are not final would come to more than its stake covers. It ends
    /// when earlier ones become final, or with more stake.
    Exposure {
        /// The batch.
        batch: B256,
        /// Its epoch.
        epoch: u64,
        /// Its total (gwei).
        total: u64,
        /// Gwei of posted batches.
        unfinal: U256,
        /// Most gwei that they may come to.
        cap: U256,
    },
    /// The chain's head of the operator is not what the batch is built on. It ends when the chain
    /// is indexed; a batch on a struck one is sealed again.
    Previous {
        /// The batch.
        batch: B256,
        /// Its epoch.
        epoch: u64,
        /// What it is built on.
        previous: B256,
        /// The chain's.
        head: B256,
    },
}

/// Why the next batch is not posted, for whoever asks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<Option<Waiting>>>);

impl Waits {
    /// Why it is not, `None` if nothing is in its way.
    pub fn get(&self) -> Option<Waiting> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps why, and logs it when it changes.
    fn set(&self, now: Option<Waiting>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting == now {
            return;
        }
        match now {
            Some(Waiting::Exposure { batch, epoch, total, unfinal, cap }) => warn!(
                target: "node::settler",
                %batch, epoch, total_gwei = total, unfinal_gwei = %unfinal, cap_gwei = %cap,
                "the batch waits: with it, batches that are not final come to more than the stake covers"
            ),
            Some(Waiting::Previous { batch, epoch, previous, head }) => warn!(
                target: "node::settler", %batch, epoch, %previous, %head,
                "the batch waits: the chain's head is not what it is built on"
            ),
            None => info!(target: "node::settler", "nothing is in the way of the next batch"),
        }
        *waiting = now;
    }
}

/// The stage from proofs to the chain.
#[derive(Debug, Clone)]
pub struct Settler {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    publisher: Publisher,
    waits: Waits,
}

/// Everything that is posted.
struct Ready {
    sealed: SealedBatch,
    committed: CommittedBatch,
    certificates: Vec<Vec<u8>>,
    proven: Option<ProvenBatch>,
}

impl Settler {
    /// The stage that sends with the client's key, which must be the operator's.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        publisher: Publisher,
    ) -> Self {
        Self { store, registry, client, publisher, waits: Waits::default() }
    }

    /// Why the next batch is not posted.
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }

    /// Posts the next proven batch, or finds it posted. False if there is none, or if it has to
    /// wait.
    ///
    /// # Errors
    /// [`Error::Reverted`] if Settlement refuses it, [`Error::Money`] if it does not add up or
    /// another batch is posted in its place, [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let Some(ready) = self.ready()? else { return Ok(false) };
        let sealed = &ready.sealed;
        let posted = match self.posted(sealed, &ready.committed).await? {
            Some(posted) => posted,
            None => {
                let Some(proven) = &ready.proven else { return Ok(false) };
                let waiting = self.obstacle(sealed).await?;
                self.waits.set(waiting);
                if waiting.is_some() {
                    return Ok(false);
                }
                self.post(&ready, proven).await?
            }
        };
        self.waits.set(None);
        info!(
            target: "node::settler",
            epoch = sealed.epoch, batch = %sealed.id, total_gwei = sealed.total, gas = posted.gas,
            transaction = %posted.transaction, "posted"
        );
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Postings, sealed.epoch.to_be_bytes(), &posted);
        self.store.write(batch)?;
        Ok(true)
    }

    /// The next batch, with what earlier stages made of it; `None` before they have.
    fn ready(&self) -> Result<Option<Ready>> {
        let done = last_epoch(&*self.store, Table::Postings)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(None) };
        let (Some(committed), Some(certificates)) =
            (committed(&*self.store, sealed.epoch)?, certificates(&*self.store, sealed.epoch)?)
        else {
            return Ok(None);
        };
        let proven = proven(&*self.store, &sealed, hash_of(certificates.clone()))?;
        Ok(Some(Ready { sealed, committed, certificates, proven }))
    }

    /// What is in the way of posting a batch, by the chain's latest block.
    async fn obstacle(&self, sealed: &SealedBatch) -> Result<Option<Waiting>> {
        let operator = self.client.sender().unwrap_or_default();
        let (batch, epoch, total) = (sealed.id, sealed.epoch, sealed.total);
        let to = self.settlement();
        let head = self.client.call(to, &ISettlement::headOfCall { operator }).await?;
        if head != sealed.previous {
            let previous = sealed.previous;
            return Ok(Some(Waiting::Previous { batch, epoch, previous, head }));
        }
        let unfinal = self.client.call(to, &ISettlement::unfinalOfCall { operator }).await?;
        let cap = self.client.call(to, &ISettlement::exposureCapOfCall { operator }).await?;
        let above = unfinal.saturating_add(U256::from(total)) > cap;
        Ok(above.then_some(Waiting::Exposure { batch, epoch, total, unfinal, cap }))
    }

    const fn settlement(&self) -> Address {
        self.registry.contracts().deployment.settlement
    }

    /// The batch if it needs no transaction any more: it is on chain from before a restart, or it
    /// pays nothing.
    async fn posted(
        &self,
        sealed: &SealedBatch,
        committed: &CommittedBatch,
    ) -> Result<Option<PostedBatch>> {
        if sealed.total == 0 {
            return Ok(Some(PostedBatch { transaction: B256::ZERO, gas: 0, finalisable_at: 0 }));
        }
        let call = ISettlement::batchOfCall { batch: sealed.id };
        let on_chain = self.client.call(self.settlement(), &call).await?;
        if on_chain.status == Status::None {
            return Ok(None);
        }
        if on_chain.ledger != committed.ledger || on_chain.total != sealed.total {
            return Err(Error::Money(format!("another batch is posted as {}", sealed.id)));
        }
        let (transaction, gas) = self.transaction_of(sealed.id).await?;
        Ok(Some(PostedBatch { transaction, gas, finalisable_at: on_chain.finalisableAt }))
    }

    async fn transaction_of(&self, batch: B256) -> Result<(B256, u64)> {
        let filter = Filter::new()
            .address(self.settlement())
            .event_signature(ISettlement::BatchPosted::SIGNATURE_HASH)
            .topic1(batch)
            .from_block(self.registry.contracts().deployment.block);
        let logs = self.client.logs(&filter).await?;
        let transaction = logs
            .first()
            .and_then(|log| log.transaction_hash)
            .ok_or_else(|| Error::Chain(format!("batch {batch} is posted without its event")))?;
        let receipt = self.client.receipt(transaction).await?;
        Ok((transaction, receipt.map_or(0, |receipt| receipt.gas_used)))
    }

    async fn post(&self, ready: &Ready, proven: &ProvenBatch) -> Result<PostedBatch> {
        let sealed = &ready.sealed;
        check(sealed)?;
        let call = ISettlement::submitBatchCall {
            submission: submission(ready),
            draws: sealed.draws.iter().map(draw).collect(),
            proof: proven.proof.iter().map(|&word| word.into()).collect(),
        };
        let sent = match self.client.send(self.settlement(), &call, U256::ZERO).await {
            Err(Error::Reverted(reason)) if reason.contains("CertificateExpired") => {
                warn!(target: "node::settler", epoch = sealed.epoch, "certificates expired: renewing");
                self.publisher.publish(sealed).await?;
                return Err(Error::Reverted(reason));
            }
            sent => sent?,
        };
        let call = ISettlement::batchOfCall { batch: sealed.id };
        let finalisable_at = self.client.call(self.settlement(), &call).await?.finalisableAt;
        Ok(PostedBatch { transaction: sent.transaction, gas: sent.gas, finalisable_at })
    }
}

/// Checks once more, on what is about to be sent, that draws and payouts are the total.
fn check(sealed: &SealedBatch) -> Result<()> {
    let drawn: u128 = sealed.draws.iter().map(|draw| u128::from(draw.to - draw.from)).sum();
    let paid: u128 = sealed.payouts.iter().map(|&(_, gwei)| u128::from(gwei)).sum();
    let total = u128::from(sealed.total);
    if (drawn, paid) != (total, total) {
        return Err(Error::Money(format!(
            "batch {} draws {drawn} and pays {paid} gwei, its total is {total}",
            sealed.id
        )));
    }
    Ok(())
}

fn submission(ready: &Ready) -> Submission {
    let Ready { sealed, committed, certificates, .. } = ready;
    Submission {
        epoch: sealed.epoch,
        previous: sealed.previous,
        rows: sealed.rows,
        total: sealed.total,
        witnessSymbols: sealed.witness_symbols,
        slotCells: sealed.slot_cells,
        ledger: committed.ledger.clone(),
        witnesses: committed.witnesses.clone(),
        pages: committed.pages.clone(),
        payouts: committed.payouts.clone(),
        certificates: certificates.iter().map(|bytes| bytes.clone().into()).collect(),
    }
}

fn draw(draw: &crate::batcher::BatchDraw) -> Draw {
    Draw {
        voucher: draw.voucher.clone(),
        signature: draw.signature.clone().into(),
        drawnTo: draw.to,
    }
}

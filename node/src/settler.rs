//! Posts published batches to Settlement.

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::info;

use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after},
    chain::{
        ChainClient,
        bindings::{Draw, ISettlement, Status, Submission},
    },
    committer::{CommittedBatch, committed, last_epoch},
    da::Publisher,
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

/// The stage from certificates to the chain.
#[derive(Debug, Clone)]
pub struct Settler {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    publisher: Publisher,
}

impl Settler {
    /// The stage that sends with the client's key, which must be the operator's.
    pub const fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        publisher: Publisher,
    ) -> Self {
        Self { store, registry, client, publisher }
    }

    /// Posts the next published batch, or finds it posted. False if there is none.
    ///
    /// # Errors
    /// [`Error::Reverted`] if Settlement refuses it, [`Error::Money`] if it does not add up or
    /// another batch is posted in its place, [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = last_epoch(&*self.store, Table::Postings)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        let key = sealed.epoch.to_be_bytes();
        let (Some(committed), Some(certificate)) =
            (committed(&*self.store, sealed.epoch)?, self.store.get(Table::Certificates, &key)?)
        else {
            return Ok(false);
        };
        let posted = match self.posted(&sealed, &committed).await? {
            Some(posted) => posted,
            None => self.post(&sealed, &committed, certificate).await?,
        };
        info!(
            target: "node::settler",
            epoch = sealed.epoch, batch = %sealed.id, total_gwei = sealed.total, gas = posted.gas,
            transaction = %posted.transaction, "posted"
        );
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Postings, key, &posted);
        self.store.write(batch)?;
        Ok(true)
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

    async fn post(
        &self,
        sealed: &SealedBatch,
        committed: &CommittedBatch,
        certificate: Vec<u8>,
    ) -> Result<PostedBatch> {
        check(sealed)?;
        let call = ISettlement::submitBatchCall {
            submission: submission(sealed, committed, certificate),
            draws: sealed.draws.iter().map(draw).collect(),
        };
        let sent = match self.client.send(self.settlement(), &call, U256::ZERO).await {
            Err(Error::Reverted(reason)) if reason.contains("CertificateExpired") => {
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

fn submission(
    sealed: &SealedBatch,
    committed: &CommittedBatch,
    certificate: Vec<u8>,
) -> Submission {
    Submission {
        epoch: sealed.epoch,
        rows: sealed.rows,
        total: sealed.total,
        ledger: committed.ledger.clone(),
        pages: committed.pages.clone(),
        payouts: committed.payouts.clone(),
        certificate: certificate.into(),
    }
}

fn draw(draw: &crate::batcher::BatchDraw) -> Draw {
    Draw {
        voucher: draw.voucher.clone(),
        signature: draw.signature.clone().into(),
        drawnTo: draw.to,
    }
}

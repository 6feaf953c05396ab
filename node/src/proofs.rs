//! Proves of each published batch that its payouts are what its ledger pays.
//!
//! The proof names the certificates, so it comes after data availability: fresh certificates need a
//! fresh proof.

use std::time::Instant;

use alloy::{
    primitives::{Address, B256, Bytes, keccak256},
    sol_types::SolValue,
};
use attribution::settle::ChannelId;
use borsh::{BorshDeserialize, BorshSerialize};
use prover::argument::{ChannelDraw, PayoutStatement};
use tracing::info;

use crate::{
    Result,
    batcher::{SealedBatch, batches_after, ledger_blob},
    chain::Contracts,
    committer::{CommittedBatch, Kzg, affine, committed, last_epoch},
    da::certificates,
    registry::Registry,
    store::{SharedStore, Store, Table, WriteBatch, get_row, read_sol, write_sol},
    worker::blocking,
};

/// A batch with its proof.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProvenBatch {
    /// Hash of the certificates that the proof names.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub certificate_hash: B256,
    /// What PayoutVerifier takes.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub proof: Vec<B256>,
    /// Milliseconds that it took.
    pub milliseconds: u64,
}

/// The stage from certificates to proofs.
#[derive(Debug, Clone)]
pub struct Proofs {
    store: SharedStore,
    contracts: Contracts,
    operator: Address,
    kzg: Kzg,
}

impl Proofs {
    /// The stage for one operator's batches.
    pub fn new(store: SharedStore, registry: &Registry, operator: Address, kzg: Kzg) -> Self {
        Self { store, contracts: registry.contracts().clone(), operator, kzg }
    }

    /// Proves the next published batch, or one whose certificates were renewed. False if there is
    /// none.
    ///
    /// # Errors
    /// [`crate::Error::Prover`] if the batch does not add up or there are too few powers of tau,
    /// [`crate::Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let mut after = last_epoch(&*self.store, Table::Postings)?;
        while let Some(sealed) = batches_after(&*self.store, after)? {
            after = Some(sealed.epoch);
            let Some(certificates) = certificates(&*self.store, sealed.epoch)? else { break };
            let certificate_hash = hash_of(certificates);
            if sealed.total > 0 && proven(&*self.store, &sealed, certificate_hash)?.is_none() {
                let stage = self.clone();
                blocking(move || stage.prove(&sealed, certificate_hash)).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn prove(&self, sealed: &SealedBatch, certificate_hash: B256) -> Result<()> {
        let started = Instant::now();
        let committed = committed(&*self.store, sealed.epoch)?.ok_or_else(|| {
            crate::Error::Store(format!("batch {} lost its commitments", sealed.id))
        })?;
        let statement = self.statement(sealed, &committed, certificate_hash)?;
        let payouts = sealed.payouts.iter().copied().collect();
        let ledger = ledger_blob(&*self.store, sealed.epoch)?;
        info!(
            target: "node::proofs",
            epoch = sealed.epoch, batch = %sealed.id, rows = sealed.rows, pages = committed.pages.len(),
            "proving"
        );
        let proof = self.kzg.prove(&statement, ledger, &payouts, |progress| {
            info!(
                target: "node::proofs",
                epoch = sealed.epoch, stage = ?progress.ended, done = progress.done, of = progress.of,
                seconds = started.elapsed().as_secs_f32(), "proving"
            );
        })?;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(target: "node::proofs", epoch = sealed.epoch, batch = %sealed.id, milliseconds, "proven");
        let row = ProvenBatch { certificate_hash, proof, milliseconds };
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Proofs, sealed.epoch.to_be_bytes(), &row);
        self.store.write(batch)
    }

    /// What Settlement will ask PayoutVerifier about.
    fn statement(
        &self,
        sealed: &SealedBatch,
        committed: &CommittedBatch,
        certificate_hash: B256,
    ) -> Result<PayoutStatement> {
        let draws = sealed.draws.iter().map(|draw| ChannelDraw {
            channel: ChannelId(draw.voucher.channelId.0),
            amount: draw.to - draw.from,
        });
        let pages = committed.pages.iter().copied().zip(&committed.payouts);
        Ok(PayoutStatement {
            chain_id: self.contracts.deployment.chain_id,
            settlement: self.contracts.deployment.settlement.into(),
            operator: self.operator.into(),
            batch: sealed.id.0,
            certificate_hash: certificate_hash.0,
            rows: sealed.rows,
            total: sealed.total,
            draws: draws.collect(),
            ledger: affine(&committed.ledger)?,
            witnesses: committed.witnesses.iter().map(affine).collect::<Result<_>>()?,
            pages: pages.map(|(page, point)| Ok((page, affine(point)?))).collect::<Result<_>>()?,
        })
    }
}

/// The proof of a batch with these certificates; `None` if it is not made.
///
/// # Errors
/// [`crate::Error::Store`].
pub fn proven(
    store: &dyn Store,
    sealed: &SealedBatch,
    certificate_hash: B256,
) -> Result<Option<ProvenBatch>> {
    let row: Option<ProvenBatch> = get_row(store, Table::Proofs, &sealed.epoch.to_be_bytes())?;
    Ok(row.filter(|row| row.certificate_hash == certificate_hash))
}

/// keccak256(abi.encode(certificates)), as Settlement hashes them.
pub fn hash_of(certificates: Vec<Vec<u8>>) -> B256 {
    let certificates: Vec<Bytes> = certificates.into_iter().map(Bytes::from).collect();
    keccak256(certificates.abi_encode())
}

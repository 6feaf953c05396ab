//! The stage from commitments to certificates, and the development attestor.

use std::sync::Arc;

use alloy::{
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{Eip712Domain, SolStruct},
};
use tracing::info;

use super::SharedAvailability;
use crate::{
    Error, Result,
    batcher::{SealedBatch, batches_after, ledger_blob},
    chain::bindings::{Blob, G1Point},
    committer::{committed, last_epoch},
    registry::Registry,
    store::{SharedStore, Table, WriteBatch},
    worker::blocking,
};

/// A key whose word `DevCertVerifier` takes for a blob's availability. For development.
#[derive(Debug, Clone)]
pub struct Attestor {
    signer: PrivateKeySigner,
    domain: Eip712Domain,
}

impl Attestor {
    /// The attestor under the domain of its verifier, [`crate::chain::Contracts::certificate_domain`].
    pub const fn new(signer: PrivateKeySigner, domain: Eip712Domain) -> Self {
        Self { signer, domain }
    }

    /// A certificate: the signature (r, s, v), then the time (seconds) as 8 bytes.
    ///
    /// # Errors
    /// [`Error::Availability`] if the key cannot sign.
    pub fn certify(&self, commitment: &G1Point, symbols: u32, time: u64) -> Result<Vec<u8>> {
        let blob = Blob { x: commitment.x, y: commitment.y, symbols, storedAt: time };
        let signature = self
            .signer
            .sign_hash_sync(&blob.eip712_signing_hash(&self.domain))
            .map_err(|e| Error::Availability(e.to_string()))?;
        Ok([&signature.as_bytes()[..], &time.to_be_bytes()].concat())
    }
}

/// Publishes committed batches.
#[derive(Debug, Clone)]
pub struct Publisher {
    store: SharedStore,
    registry: Registry,
    layer: SharedAvailability,
}

impl Publisher {
    /// The stage onto a layer.
    pub const fn new(store: SharedStore, registry: Registry, layer: SharedAvailability) -> Self {
        Self { store, registry, layer }
    }

    /// Publishes the next committed batch. False if there is none.
    ///
    /// # Errors
    /// [`Error::Availability`] if the layer fails, [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = last_epoch(&*self.store, Table::Certificates)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        self.publish(&sealed).await
    }

    /// Publishes a batch, also one that was published before, for a fresh certificate. False if it
    /// is not committed yet.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn publish(&self, sealed: &SealedBatch) -> Result<bool> {
        let Some(committed) = committed(&*self.store, sealed.epoch)? else { return Ok(false) };
        let time = self.registry.head().timestamp;
        let (store, epoch) = (Arc::clone(&self.store), sealed.epoch);
        let blob = blocking(move || ledger_blob(&*store, epoch)).await?;
        let certificate = self.layer.put(committed.ledger, blob, time).await?;
        info!(target: "node::da", epoch = sealed.epoch, batch = %sealed.id, "published");
        let mut batch = WriteBatch::default();
        batch.put(Table::Certificates, sealed.epoch.to_be_bytes(), certificate);
        self.store.write(batch)?;
        Ok(true)
    }
}

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
    batcher::{SealedBatch, batches_after, ledger_blob, witness_blobs},
    chain::bindings::{Blob, G1Point},
    committer::{committed, last_epoch},
    registry::Registry,
    store::{SharedStore, Store, Table, WriteBatch, get_row},
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
    /// [`Error::Availability`] if the layer fails, [`Error::Pending`] until it certifies all blobs,
    /// [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let done = last_epoch(&*self.store, Table::Certificates)?;
        let Some(sealed) = batches_after(&*self.store, done)? else { return Ok(false) };
        self.publish(&sealed).await
    }

    /// Publishes all blobs of a batch, also one that was published before, for fresh certificates.
    /// False if it is not committed yet. A batch that pays nothing is not posted, so nobody would
    /// look for its blobs: it gets no certificates.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn publish(&self, sealed: &SealedBatch) -> Result<bool> {
        let Some(committed) = committed(&*self.store, sealed.epoch)? else { return Ok(false) };
        let (store, epoch, is_free) = (Arc::clone(&self.store), sealed.epoch, sealed.total == 0);
        let blobs = blocking(move || match is_free {
            true => Ok(Vec::new()),
            false => blobs(&*store, epoch),
        });
        let commitments = std::iter::once(&committed.ledger).chain(&committed.witnesses);
        let (mut certificates, mut batch) = (Vec::new(), WriteBatch::default());
        let mut pending = None;
        for (number, (blob, commitment)) in (0_u32..).zip(blobs.await?.into_iter().zip(commitments))
        {
            let key = [&epoch.to_be_bytes()[..], &number.to_be_bytes()].concat();
            match self.certificate(&key, commitment, blob).await {
                // The others set out meanwhile.
                Err(error @ Error::Pending(_)) => pending = Some(error),
                certificate => certificates.push(certificate?),
            }
            batch.delete(Table::Dispersals, key);
        }
        if let Some(error) = pending {
            return Err(error);
        }
        let blobs = certificates.len();
        info!(target: "node::da", epoch, batch = %sealed.id, blobs, "published");
        batch.put_row(Table::Certificates, epoch.to_be_bytes(), &certificates);
        self.store.write(batch)?;
        Ok(true)
    }

    /// A blob's certificate, kept under `key` at once: a layer may want minutes and money for each,
    /// and a kill between two blobs must not cost the first one again.
    async fn certificate(&self, key: &[u8], of: &G1Point, blob: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(certificate) = self.store.get(Table::Dispersals, key)? {
            return Ok(certificate);
        }
        let time = self.registry.head().timestamp;
        let certificate = self.layer.put(of.clone(), blob, time).await?;
        let mut batch = WriteBatch::default();
        batch.put(Table::Dispersals, key, certificate.as_slice());
        self.store.write(batch)?;
        Ok(certificate)
    }
}

/// The ledger's blob, then the witness blobs.
fn blobs(store: &dyn Store, epoch: u64) -> Result<Vec<Vec<u8>>> {
    let mut blobs = vec![ledger_blob(store, epoch)?];
    blobs.extend(witness_blobs(store, epoch)?);
    Ok(blobs)
}

/// The certificates of an epoch's batch, in the order of its blobs; `None` before it is published.
///
/// # Errors
/// [`Error::Store`].
pub fn certificates(store: &dyn Store, epoch: u64) -> Result<Option<Vec<Vec<u8>>>> {
    get_row(store, Table::Certificates, &epoch.to_be_bytes())
}

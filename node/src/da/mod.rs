//! Where batches' ledgers are published, so that anyone can check them.

mod eigenda;
mod local;
mod payload;
mod publisher;
mod relay;

use std::{fmt::Debug, sync::Arc};

use futures::future::BoxFuture;

pub use eigenda::{
    BlobCommitment, EigendaAvailability, EigendaConfig, certificate_from_abi, certificate_to_abi,
};
pub use local::LocalAvailability;
pub(crate) use payload::{MAX_PAYLOAD, from_blob, payload_bytes, to_blob};
pub use publisher::{Attestor, Publisher, certificates};
pub use relay::{Relay, RelayConfig, RelayContracts, RelayRow, Signed};

use crate::{Result, chain::bindings::G1Point};

/// A layer that keeps blobs under their KZG commitments. A blob is symbols of 32 bytes, each a field
/// element, a power of two of them.
pub trait DataAvailability: Debug + Send + Sync + 'static {
    /// Publishes a blob, and returns its certificate: what shows a contract that it is available,
    /// and where it is found. Publishing what is there already is not an error.
    ///
    /// - `commitment`: to the blob's polynomial
    /// - `blob`: its symbols
    /// - `time`: of the chain's head (seconds)
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached or refuses it;
    /// [`crate::Error::Pending`] while a certificate is on its way to the contract: putting the same
    /// blob again goes on with it, and costs nothing twice.
    fn put(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// The blob under a commitment, `None` if the layer does not have it. Whether it is the
    /// committed one is for the caller to check, who has the powers of tau.
    ///
    /// - `certificate`: what [`Self::put`] returned, by whichever node; the chain's events carry it
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached, the certificate is of another
    /// blob, or what the layer has is damaged.
    fn get<'a>(
        &'a self,
        commitment: G1Point,
        certificate: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>>>;
}

/// A layer that stages share.
pub type SharedAvailability = Arc<dyn DataAvailability>;

/// Bytes of what a development attestor says about a blob: signature and time.
pub(crate) const ATTESTATION_BYTES: usize = 65 + 8;

//! Where batches' ledgers are published, so that anyone can check them.

mod local;
mod publisher;

use std::{fmt::Debug, sync::Arc};

use futures::future::BoxFuture;

pub use local::LocalAvailability;
pub use publisher::{Attestor, Publisher};

use crate::{Result, chain::bindings::G1Point};

/// A layer that keeps blobs under their KZG commitments.
///
/// A blob is a payload in EigenDA's codec: a header symbol, then 31 bytes a symbol.
pub trait DataAvailability: Debug + Send + Sync + 'static {
    /// Publishes a payload, and returns what shows that it is available. Publishing what is there
    /// already is not an error.
    ///
    /// - `commitment`: to the blob's polynomial
    /// - `payload`: `31 * (symbols - 1)` bytes
    /// - `time`: of the chain's head (seconds)
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached or refuses it.
    fn put(
        &self,
        commitment: G1Point,
        payload: Vec<u8>,
        time: u64,
    ) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// The payload under a commitment, `None` if the layer does not have it.
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached or what it has is damaged.
    fn get(&self, commitment: G1Point) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;
}

/// A layer that stages share.
pub type SharedAvailability = Arc<dyn DataAvailability>;

/// Symbols of the blob that a payload makes: one for the header, one for each 31 bytes.
pub const fn symbols(payload: usize) -> usize {
    payload.div_ceil(31) + 1
}

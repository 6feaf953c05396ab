//! Where batches' ledgers are published, so that anyone can check them.

mod local;
mod publisher;

use std::{fmt::Debug, sync::Arc};

use futures::future::BoxFuture;

pub use local::LocalAvailability;
pub use publisher::{Attestor, Publisher, certificates};

use crate::{Result, chain::bindings::G1Point};

/// A layer that keeps blobs under their KZG commitments. A blob is symbols of 32 bytes, each a field
/// element, a power of two of them.
pub trait DataAvailability: Debug + Send + Sync + 'static {
    /// Publishes a blob, and returns what shows that it is available. Publishing what is there
    /// already is not an error.
    ///
    /// - `commitment`: to the blob's polynomial
    /// - `blob`: its symbols
    /// - `time`: of the chain's head (seconds)
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached or refuses it.
    fn put(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// The blob under a commitment, `None` if the layer does not have it.
    ///
    /// # Errors
    /// [`crate::Error::Availability`] if the layer cannot be reached or what it has is damaged.
    fn get(&self, commitment: G1Point) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;
}

/// A layer that stages share.
pub type SharedAvailability = Arc<dyn DataAvailability>;

/// Bytes of a symbol.
pub(crate) const SYMBOL_BYTES: usize = 32;

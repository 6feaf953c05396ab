//! Blobs on EigenDA, through its proxy.

mod certificate;
mod config;
mod proxy;
mod retry;

use std::time::Duration;

use alloy::primitives::U256;
use attribution::settle::SYMBOL_BYTES;
use futures::{FutureExt, future::BoxFuture};

pub use certificate::BlobCommitment;
pub use config::EigendaConfig;
use proxy::Proxy;
use retry::Retry;

use super::{ATTESTATION_BYTES, Attestor, DataAvailability, from_blob, to_blob};
use crate::{Error, Result, chain::bindings::G1Point, worker::blocking};

/// First pause between two attempts at a request, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// EigenDA, behind an eigenda-proxy in standard commitment mode.
///
/// What goes on chain for a blob is the development attestor's word for it and then the
/// certificate as the proxy gave it. Contracts cannot verify an EigenDA certificate on this chain,
/// so `DevCertVerifier` takes the former; with the latter anybody gets the blob from EigenDA.
#[derive(Debug)]
pub struct EigendaAvailability {
    proxy: Proxy,
    attestor: Attestor,
}

impl EigendaAvailability {
    /// EigenDA through the configured proxy. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::Availability`] if the HTTP client cannot be made.
    pub fn new(config: &EigendaConfig, attestor: Attestor) -> Result<Self> {
        let retry = Retry {
            attempts: config.attempts,
            patience: Duration::from_secs(config.patience_seconds),
            pause: FIRST_PAUSE,
        };
        let timeout = Duration::from_secs(config.timeout_seconds);
        Ok(Self { proxy: Proxy::new(&config.proxy_url, timeout, retry)?, attestor })
    }

    async fn publish(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> Result<Vec<u8>> {
        let symbols = blob.len() / SYMBOL_BYTES;
        let payload = blocking(move || from_blob(&blob)).await?;
        let symbols = u32::try_from(symbols).expect("at most 2^19, or there is no payload");
        let ours = BlobCommitment { commitment, symbols };
        let certificate = self.proxy.put(payload).await?;
        require_equal(&ours, &BlobCommitment::of_certificate(&certificate)?)?;
        let attested = self.attestor.certify(&ours.commitment, ours.symbols, time)?;
        Ok([attested, certificate].concat())
    }

    async fn fetch(&self, commitment: G1Point, certificate: &[u8]) -> Result<Option<Vec<u8>>> {
        let (_, certificate) =
            certificate.split_at_checked(ATTESTATION_BYTES).ok_or_else(|| {
                Error::Availability(format!("certificate of {} bytes", certificate.len()))
            })?;
        let certified = BlobCommitment::of_certificate(certificate)?;
        require_equal(&BlobCommitment { commitment, symbols: certified.symbols }, &certified)?;
        let Some(payload) = self.proxy.get(certificate).await? else { return Ok(None) };
        let blob = blocking(move || to_blob(&payload)).await?;
        let symbols = blob.len() / SYMBOL_BYTES;
        if symbols != certified.symbols as usize {
            return Err(Error::Availability(format!(
                "blob of {symbols} symbols, its certificate is of {}",
                certified.symbols
            )));
        }
        Ok(Some(blob))
    }
}

impl DataAvailability for EigendaAvailability {
    fn put(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> BoxFuture<'_, Result<Vec<u8>>> {
        self.publish(commitment, blob, time).boxed()
    }

    fn get<'a>(
        &'a self,
        commitment: G1Point,
        certificate: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        self.fetch(commitment, certificate).boxed()
    }
}

fn require_equal(ours: &BlobCommitment, certified: &BlobCommitment) -> Result<()> {
    if ours == certified {
        return Ok(());
    }
    let name = |blob: &BlobCommitment| {
        let hex = |coordinate: U256| format!("{coordinate:#x}");
        let &G1Point { x, y } = &blob.commitment;
        format!("({}, {}) of {} symbols", hex(x), hex(y), blob.symbols)
    };
    Err(Error::Availability(format!(
        "EigenDA's certificate is of {}, the blob's commitment is {}",
        name(certified),
        name(ours)
    )))
}

//! Blobs on EigenDA, through its proxy.

mod certificate;
mod config;
mod contract;
mod proxy;
mod retry;

use std::time::Duration;

use alloy::primitives::U256;
use attribution::settle::SYMBOL_BYTES;
use futures::{FutureExt, future::BoxFuture};

pub use certificate::BlobCommitment;
pub use config::EigendaConfig;
pub use contract::{from_abi as certificate_from_abi, to_abi as certificate_to_abi};
use proxy::Proxy;
use retry::Retry;

use super::{ATTESTATION_BYTES, Attestor, DataAvailability, Relay, from_blob, to_blob};
use crate::{Error, Result, chain::bindings::G1Point, worker::blocking};

/// First pause between two attempts at a request, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// EigenDA, behind an eigenda-proxy in standard commitment mode.
///
/// Contracts cannot verify an EigenDA certificate on this chain. What goes on chain for a blob is
/// either the certificate in the encoding of EigenDA's contracts, once they have verified it on L1 and
/// `RelayedCertVerifier` knows of it; or the development attestor's word, which `DevCertVerifier`
/// takes, and then the certificate as the proxy gave it. With either anybody gets the blob from EigenDA.
#[derive(Debug)]
pub struct EigendaAvailability {
    proxy: Proxy,
    witness: Witness,
}

/// Who tells this chain of a certificate.
#[derive(Debug)]
enum Witness {
    Attestor(Attestor),
    Relay(Relay),
}

impl EigendaAvailability {
    /// EigenDA through the configured proxy, under an attestor's word. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::Availability`] if the HTTP client cannot be made.
    pub fn new(config: &EigendaConfig, attestor: Attestor) -> Result<Self> {
        Self::with(config, Witness::Attestor(attestor))
    }

    /// EigenDA through the configured proxy, with certificates verified on L1.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn relayed(config: &EigendaConfig, relay: Relay) -> Result<Self> {
        Self::with(config, Witness::Relay(relay))
    }

    fn with(config: &EigendaConfig, witness: Witness) -> Result<Self> {
        let retry = Retry {
            attempts: config.attempts,
            patience: Duration::from_secs(config.patience_seconds),
            pause: FIRST_PAUSE,
        };
        let timeout = Duration::from_secs(config.timeout_seconds);
        Ok(Self { proxy: Proxy::new(&config.proxy_url, timeout, retry)?, witness })
    }

    async fn publish(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> Result<Vec<u8>> {
        let symbols = blob.len() / SYMBOL_BYTES;
        let of = |symbols| BlobCommitment { commitment, symbols };
        let ours = u32::try_from(symbols).map(of);
        let ours = ours.map_err(|_| Error::Availability(format!("blob of {symbols} symbols")))?;
        match &self.witness {
            Witness::Attestor(attestor) => {
                let certificate = self.disperse(&ours, blob).await?;
                let attested = attestor.certify(&ours.commitment, ours.symbols, time)?;
                Ok([attested, certificate].concat())
            }
            Witness::Relay(relay) => {
                if let Some(certificate) = relay.resume(&ours, time).await? {
                    return Ok(certificate);
                }
                let certificate = contract::to_abi(&self.disperse(&ours, blob).await?)?;
                let certificate = relay.begin(&ours, certificate, time).await?;
                certificate.ok_or_else(|| Error::Pending("a new certificate is too old".into()))
            }
        }
    }

    /// Has a blob stored, and returns the proxy's certificate of it.
    async fn disperse(&self, ours: &BlobCommitment, blob: Vec<u8>) -> Result<Vec<u8>> {
        let payload = blocking(move || from_blob(&blob)).await?;
        let certificate = self.proxy.put(payload).await?;
        require_equal(ours, &BlobCommitment::of_certificate(&certificate)?)?;
        Ok(certificate)
    }

    async fn fetch(&self, commitment: G1Point, certificate: &[u8]) -> Result<Option<Vec<u8>>> {
        let forms = match &self.witness {
            Witness::Attestor(_) => {
                let short =
                    || Error::Availability(format!("certificate of {} bytes", certificate.len()));
                let (_, rest) =
                    certificate.split_at_checked(ATTESTATION_BYTES).ok_or_else(short)?;
                vec![rest.to_vec()]
            }
            Witness::Relay(_) => contract::from_abi(certificate)?,
        };
        // The proxy finds a blob by the version that it gave, and refuses versions that it does not
        // know.
        let mut last = Ok(None);
        for form in forms {
            last = self.read(&commitment, &form).await;
            if let Ok(Some(_)) = last {
                break;
            }
        }
        last
    }

    /// The blob of a certificate in the proxy's encoding.
    async fn read(&self, commitment: &G1Point, certificate: &[u8]) -> Result<Option<Vec<u8>>> {
        let certified = BlobCommitment::of_certificate(certificate)?;
        let (commitment, symbols) = (commitment.clone(), certified.symbols);
        require_equal(&BlobCommitment { commitment, symbols }, &certified)?;
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

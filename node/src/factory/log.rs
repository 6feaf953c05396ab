//! The signed log of what an adapter was trained on.

#[cfg(test)]
mod tests;

use std::path::Path;

use alloy::{
    hex,
    primitives::{Address, B256, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::provenance::{LoggedDatanet, TrainingLog};
use inference::{train::batch_at, weights::write_atomically};
use serde::Deserialize;

use crate::{
    Error, Result,
    catalog::{adapter_hash, base_hash},
    datanet::Datanet,
};

/// The log in an adapter's folder.
pub const LOG_FILE: &str = "training.log";
/// Its signature there, in hex.
pub const SIGNATURE_FILE: &str = "training.sig";
/// Largest log read, in bytes.
const MAX_LOG_BYTES: u64 = 1 << 30;

/// A log and its trainer's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLog {
    /// What was trained on.
    pub log: TrainingLog,
    /// EIP-191 signature of [`Self::message`].
    pub signature: Signature,
}

/// What of the configuration the order of the rows follows from.
#[derive(Deserialize)]
struct Order {
    batch: usize,
    steps: u64,
}

impl SignedLog {
    /// Signs a log.
    ///
    /// # Errors
    /// [`Error::Settle`] if it breaks a rule, [`Error::Config`] if the key cannot sign.
    pub fn sign(log: TrainingLog, key: &PrivateKeySigner) -> Result<Self> {
        let message = Self::message(&log)?;
        let signature = key.sign_message_sync(message.as_bytes());
        let signature = signature.map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self { log, signature })
    }

    /// The text that is signed: it names the log's commitment in full, so that a wallet shows it.
    ///
    /// # Errors
    /// [`Error::Settle`] if the log breaks a rule.
    pub fn message(log: &TrainingLog) -> Result<String> {
        Ok(format!("OpenLedger training log {}", B256::from(log.commitment()?)))
    }

    /// Whose signature it is.
    ///
    /// # Errors
    /// [`Error::Settle`] if the log breaks a rule, [`Error::Config`] if it is nobody's.
    pub fn signer(&self) -> Result<Address> {
        let message = Self::message(&self.log)?;
        let signer = self.signature.recover_address_from_msg(message.as_bytes());
        signer.map_err(|error| Error::Config(format!("training log's signature: {error}")))
    }

    /// Writes log and signature into an adapter's folder.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        write_atomically(&dir.join(LOG_FILE), &self.log.to_bytes())?;
        let signature = format!("{}\n", hex::encode_prefixed(self.signature.as_bytes()));
        Ok(write_atomically(&dir.join(SIGNATURE_FILE), signature.as_bytes())?)
    }

    /// Reads log and signature from an adapter's folder.
    ///
    /// # Errors
    /// [`Error::Catalog`] if a file is missing, too large, or not what it should be.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(LOG_FILE);
        let refused = |why: String| Error::Catalog { dir: dir.to_owned(), reason: why };
        let read = |path: &Path| {
            let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
            if length > MAX_LOG_BYTES {
                return Err(refused(format!("{} has {length} bytes", path.display())));
            }
            std::fs::read(path).map_err(Error::io(path))
        };
        let log = TrainingLog::from_bytes(&read(&path)?).map_err(|e| refused(e.to_string()))?;
        let signature = String::from_utf8_lossy(&read(&dir.join(SIGNATURE_FILE))?).into_owned();
        let signature = signature.trim().parse();
        let signature = signature.map_err(|e| refused(format!("{SIGNATURE_FILE}: {e}")))?;
        Ok(Self { log, signature })
    }

    /// Checks everything that can be checked without training again: that `trainer` signed it, that
    /// it is of this adapter and base model, that its rows are those of the Datanets, and that
    /// every step had the rows that seed and configuration give it.
    ///
    /// - `dir`: the adapter's folder
    /// - `base`: the base model's folder
    ///
    /// # Errors
    /// [`Error::Catalog`] naming what differs; [`Error::Io`] if a file cannot be read.
    pub fn verify(
        &self,
        dir: &Path,
        base: &Path,
        datanets: &[Datanet],
        trainer: Address,
    ) -> Result<()> {
        let is = |same: bool, what: &str| match same {
            true => Ok(()),
            false => {
                let reason = format!("training log: {what} differs");
                Err(Error::Catalog { dir: dir.to_owned(), reason })
            }
        };
        let log = &self.log;
        is(self.signer()? == trainer, "the signer")?;
        is(adapter_hash(dir)? == log.adapter, "the adapter")?;
        is(base_hash(base)? == log.base, "the base model")?;
        is(datanets.iter().map(logged).eq(log.datanets.iter().copied()), "a Datanet version")?;
        for (place, datanet) in (0u8..).zip(datanets) {
            let hash_of = |index: u64| {
                let row = datanet.rows.get(usize::try_from(index).ok()?)?;
                Some(row.row_hash.0)
            };
            is(log.check_rows(place, hash_of).is_ok(), "a row")?;
        }
        is(follows_seed(log), "the order of the rows")
    }
}

/// A Datanet as a log names it.
pub(super) const fn logged(datanet: &Datanet) -> LoggedDatanet {
    LoggedDatanet {
        id: datanet.manifest.id.0,
        version: datanet.manifest.version,
        rows_root: datanet.manifest.rows_root.0,
        rows: datanet.rows.len() as u64,
    }
}

fn follows_seed(log: &TrainingLog) -> bool {
    let Ok(Order { batch, steps }) = serde_json::from_str(&log.configuration) else { return false };
    if batch == 0 || steps != log.steps.len() as u64 {
        return false;
    }
    (0..).zip(&log.steps).all(|(step, places)| {
        let expected = batch_at(log.rows.len(), batch, log.seed, step);
        expected.iter().map(|place| *place as u64).eq(places.iter().map(|p| u64::from(*p)))
    })
}

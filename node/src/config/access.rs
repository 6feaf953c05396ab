//! Who may call without vouchers, and which adapters there are besides models.

use std::path::PathBuf;

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use serde::Deserialize;

use super::{check, defaults, read_small};
use crate::{Error, Result};

/// A bearer key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name in logs and answers; the key itself is nowhere.
    pub name: String,
    /// SHA-256 of the key, in hex.
    pub sha256: String,
    /// File with the private key in hex of the account whose channel pays for the key's calls.
    pub payer_key_file: Option<PathBuf>,
    /// Gwei that the payer's channel to this operator is opened with, or filled up to, at start; none
    /// leaves that to the payer.
    pub deposit_gwei: Option<u64>,
    /// Most gwei that the key's calls may cost in a day (UTC); no limit if absent.
    pub daily_limit_gwei: Option<u64>,
    /// Adapters that only this key may use.
    #[serde(default)]
    pub adapters: Vec<AdapterConfig>,
    /// Datanets of `retrieval.private` whose rows the key's callers may see.
    #[serde(default)]
    pub datanets: Vec<B256>,
    /// Whether the key may load and unload adapters.
    #[serde(default)]
    pub admin: bool,
    /// Whether the key may use adapters that are no registered models. No record can name those, so
    /// such answers are neither paid nor recorded. Keys of administrators may.
    #[serde(default)]
    pub unrecorded: bool,
}

/// An adapter's name and where it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// What requests call it.
    pub name: String,
    /// Its PEFT folder.
    pub path: PathBuf,
}

impl KeyConfig {
    pub(super) fn validate(&self) -> Result<()> {
        check(("keys.name (bytes)", self.name.len() as u64, 1, 64))?;
        check(("keys.daily_limit_gwei", self.daily_limit_gwei.unwrap_or(1), 1, u64::MAX))?;
        check(("keys.deposit_gwei", self.deposit_gwei.unwrap_or(1), 1, u64::MAX))?;
        if self.deposit_gwei.is_some() && self.payer_key_file.is_none() {
            return Err(Error::Config(format!("key {:?} has a deposit but no payer", self.name)));
        }
        self.digest().map(drop)
    }

    /// [`Self::sha256`] as bytes.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not 32 bytes of hex.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut digest = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut digest).map(|()| digest).map_err(|_| {
            Error::Config(format!("sha256 of key {:?} is not 32 bytes of hex", self.name))
        })
    }

    /// The key of the account that pays, if one does.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Config`] if it does not hold a key.
    pub fn payer(&self) -> Result<Option<PrivateKeySigner>> {
        let Some(path) = &self.payer_key_file else { return Ok(None) };
        let key = read_small(path)?.trim().parse();
        let wrong = || Error::Config(format!("{} does not hold a private key", path.display()));
        key.map(Some).map_err(|_| wrong())
    }
}

/// Adapters besides those of models: bounds of their tiers, and where they may come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptersConfig {
    /// Folder below which administrators may load adapters from; none if absent.
    pub root: Option<PathBuf>,
    /// Hosts that adapters may be fetched from over HTTPS; none if empty.
    pub hosts: Vec<String>,
    /// Where repositories of `adapter_source: hub` live; its host has to be among [`Self::hosts`].
    pub hub: String,
    /// Most adapters that are known.
    pub registered: usize,
    /// Most mebibytes of adapters in slots.
    pub resident_mib: usize,
    /// Most mebibytes of adapters' files in memory.
    pub host_mib: usize,
    /// Most mebibytes of fetched adapters in the data folder.
    pub disk_mib: u64,
}

impl Default for AdaptersConfig {
    fn default() -> Self {
        Self {
            root: None,
            hosts: Vec::new(),
            hub: defaults::hub(),
            registered: 1 << 16,
            resident_mib: 1 << 10,
            host_mib: 1 << 10,
            disk_mib: 32 << 10,
        }
    }
}

impl AdaptersConfig {
    pub(super) fn validate(&self) -> Result<()> {
        [
            ("adapters.registered", self.registered as u64, 1, 1 << 24),
            ("adapters.resident_mib", self.resident_mib as u64, 1, 1 << 20),
            ("adapters.host_mib", self.host_mib as u64, 1, 1 << 20),
            ("adapters.disk_mib", self.disk_mib, 1, 1 << 30),
        ]
        .into_iter()
        .try_for_each(check)
    }
}

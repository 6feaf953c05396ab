//! LoRA adapters: read strictly from PEFT folders, kept in slots, leased to requests.

mod bank;
pub mod config;
mod load;
mod set;
mod store;

use std::{fmt, sync::Arc};

use sha3::{Digest, Keccak256};

pub use self::{
    bank::{AdapterBank, AdapterInfo, AdapterLease, BankConfig},
    load::{CONFIG_FILE, WEIGHTS_FILE},
    set::{AdapterSet, MAX_PARTS},
    store::{AdapterStore, Demand, Notify, StoreConfig},
};
use crate::{layers::lora::Sites, model::SiteWeights};

/// What an adapter is known by: [`adapter_hash`] of its two files. Its bytes are a generation; files
/// that change make another adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterHash(pub [u8; 32]);

impl fmt::Display for AdapterHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AdapterHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `keccak256(keccak256(config) || keccak256(weights))`, of the bytes of `adapter_config.json` and
/// `adapter_model.safetensors`.
pub fn adapter_hash(config: &[u8], weights: &[u8]) -> AdapterHash {
    let inner = [Keccak256::digest(config), Keccak256::digest(weights)];
    AdapterHash(Keccak256::digest(inner.concat()).into())
}

/// An adapter that fits the decoder it was loaded for.
#[derive(Clone, Debug)]
pub struct Adapter {
    hash: AdapterHash,
    sites: Arc<Sites>,
}

impl Adapter {
    /// What it is known by.
    pub const fn hash(&self) -> AdapterHash {
        self.hash
    }

    /// Its weights at each site, for the grouped delta.
    pub const fn sites(&self) -> &Arc<Sites> {
        &self.sites
    }

    /// Its weights, site by site, as they stand in the file (widened to f32).
    pub fn weights(&self) -> Vec<SiteWeights> {
        self.sites.iter().map(|(site, low_rank)| low_rank.weights(*site)).collect()
    }

    /// Largest rank over its sites.
    pub fn rank(&self) -> usize {
        self.sites.values().map(|site| site.rank()).max().unwrap_or(0)
    }

    /// Values of all its `A` and `B`.
    pub fn parameters(&self) -> usize {
        self.sites.values().map(|site| site.values()).sum()
    }

    /// Bytes of those values in f32: what it counts in the bank's budget.
    pub fn bytes(&self) -> usize {
        4 * self.parameters()
    }
}

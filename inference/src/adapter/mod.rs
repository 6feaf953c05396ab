//! LoRA adapters: read strictly from PEFT folders, kept in slots, leased to requests.

mod base;
pub mod config;
mod disk;
mod host;
mod host_tier;
mod lease;
mod limits;
mod merge;
mod queue;
mod registry;
mod set;
mod source;
mod stacked;
mod store;
mod tiers;

use std::{fmt, sync::Arc};

use sha3::{Digest, Keccak256};

pub use self::{
    base::merge_into_base,
    lease::AdapterLease,
    limits::AdapterLimits,
    merge::{MajoritySign, Method, Recipe, merge, peft_files},
    registry::{OwnerKey, Registration},
    set::{AdapterSet, MAX_PARTS},
    source::{
        AdapterFiles, FolderSource, HttpConfig, HttpSource, HttpSources, Manifest, RemoteFile,
        Source, is_public,
    },
    store::{
        AdapterInfo, AdapterStatus, AdapterStore, Demand, Notify, StoreConfig, StoreStats, Tier,
    },
};
use crate::{layers::lora::Sites, model::SiteWeights};

/// File with the adapter's configuration.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// File with the adapter's weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// What an adapter is known by: [`adapter_hash`] of its two files. Its bytes are a generation; files
/// that change make another adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterHash(pub [u8; 32]);

impl AdapterHash {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x")?.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }
}

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

/// What `bytes` of an adapter take of a tier's budget, so that budgets bound a process and not only its
/// blocks: with what the allocator loses between blocks of unequal sizes (3 to 5% with glibc's, measured
/// on 10,000 adapters of 45 KB), and the tiers' own entries.
const fn held(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 20).saturating_add(768)
}

/// An adapter that fits the decoder it was loaded for.
#[derive(Clone, Debug)]
pub struct Adapter {
    hash: AdapterHash,
    sites: Arc<Sites>,
    shares: Vec<Arc<Sites>>,
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

    /// The same as each rank has them, if the store's model is split over ranks.
    pub fn shares(&self) -> &[Arc<Sites>] {
        &self.shares
    }

    /// Its weights, site by site, as they stand in the file (widened to f32).
    pub fn weights(&self) -> Vec<SiteWeights> {
        self.sites.weights()
    }

    /// Largest rank over its sites.
    pub fn rank(&self) -> usize {
        self.sites.rank()
    }

    /// Values of all its `A` and `B`.
    pub fn parameters(&self) -> usize {
        self.sites.parameters()
    }

    /// Bytes of memory: what it counts in the budget of slots.
    pub fn bytes(&self) -> usize {
        let shares: usize = self.shares.iter().map(|share| share.bytes()).sum();
        held(self.sites.bytes() + shares)
    }
}

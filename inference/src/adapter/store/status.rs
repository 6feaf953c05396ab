//! What a store tells of its adapters.

use crate::{adapter::AdapterHash, step::SlotId};

/// An adapter in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// What it is known by.
    pub hash: AdapterHash,
    /// Where it is.
    pub slot: SlotId,
    /// Largest rank over its sites.
    pub rank: usize,
    /// Number of sites it acts at.
    pub sites: usize,
    /// Bytes of memory.
    pub bytes: usize,
    /// Requests that use it now.
    pub in_flight: usize,
}

/// How near a registered adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// On disk or farther.
    Registered,
    /// Its files are in memory.
    Host,
    /// In a slot.
    Resident,
}

/// A registered adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterStatus {
    /// What it is known by.
    pub hash: AdapterHash,
    /// Its names, as far as the asker may see them.
    pub names: Vec<String>,
    /// How near it is.
    pub tier: Tier,
    /// Largest rank over its sites, if it was loaded once.
    pub rank: Option<usize>,
}

/// Occupation of the tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Registered adapters.
    pub registered: usize,
    /// Adapters on disk and their bytes.
    pub disk: (usize, u64),
    /// Adapters whose files are in memory.
    pub host: usize,
    /// Bytes of files in memory.
    pub host_bytes: usize,
    /// Loads into slots since the store was made.
    pub loads: u64,
    /// Adapters that made room for others in slots.
    pub evictions: u64,
    /// Slots in use.
    pub resident: usize,
    /// Bytes of adapters in slots and of those being packed for one.
    pub resident_bytes: usize,
    /// Requests that wait for a load.
    pub waiting: usize,
}

//! The read view over what the indexer has put into the store: what the chain says, as of the head.

mod batches;
mod figures;
mod indexes;
mod keys;
mod models;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256};
pub use attribution::settle::{EarnerIndex, Mix};
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::watch;

use self::keys::hash_in;
pub(crate) use self::keys::{
    HEAD_KEY, earner_key, index_order_key, name_key, operator_batch_key, owner_key, price_key,
};
pub use crate::indexer::views::*;
use crate::{
    Result,
    chain::Contracts,
    store::{SharedStore, Table, decode, get_row, read_sol, rows, write_sol},
};

/// A block that the store agrees with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub hash: B256,
    /// Its time (seconds); the node's clock.
    pub timestamp: u64,
}

/// What was last heard of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainState {
    /// The latest block indexed.
    pub head: Head,
    /// When the chain last answered; `None` before the first answer of this process.
    pub heard: Option<Instant>,
    /// Whether every block that the chain had at that moment is indexed.
    pub synced: bool,
}

/// Reads what is indexed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    store: SharedStore,
    contracts: Contracts,
    state: Arc<watch::Sender<ChainState>>,
}

impl Registry {
    /// The view over a store, as of the head that is stored in it.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be read.
    pub fn new(store: SharedStore, contracts: Contracts) -> Result<Self> {
        let head = get_row(&*store, Table::Meta, HEAD_KEY)?.unwrap_or(Head {
            number: 0,
            hash: B256::ZERO,
            timestamp: 0,
        });
        let state = watch::Sender::new(ChainState { head, heard: None, synced: false });
        Ok(Self { store, contracts, state: Arc::new(state) })
    }

    /// Where the contracts are and what they were made with.
    pub const fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// The latest block indexed.
    pub fn head(&self) -> Head {
        self.state.borrow().head
    }

    /// What was last heard of the chain.
    pub fn chain_state(&self) -> ChainState {
        *self.state.borrow()
    }

    /// A receiver that is told of every new head.
    pub fn subscribe(&self) -> watch::Receiver<ChainState> {
        self.state.subscribe()
    }

    /// Whether all blocks are indexed and the chain answered within `max_age`.
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        let state = self.chain_state();
        state.synced && state.heard.is_some_and(|heard| heard.elapsed() <= max_age)
    }

    /// Tells every view and subscriber what was heard; the indexer does.
    pub fn publish(&self, state: ChainState) {
        self.state.send_replace(state);
    }

    /// The epoch that calls signed at `time` belong to.
    pub const fn epoch_of(&self, time: u64) -> u64 {
        time / self.contracts.epoch_seconds
    }
}

/// All fail with [`crate::Error::Store`], if the store cannot be read.
impl Registry {
    /// A channel by its id.
    pub fn channel(&self, id: B256) -> Result<Option<ChannelView>> {
        get_row(&*self.store, Table::ChainChannels, id.as_slice())
    }

    /// All channels to an operator, by id.
    pub fn channels_to(&self, operator: Address) -> Result<Vec<(B256, ChannelView)>> {
        let all: Vec<(Vec<u8>, ChannelView)> = rows(&*self.store, Table::ChainChannels, &[])?;
        let ours = all.into_iter().filter(|(_, channel)| channel.operator == operator);
        ours.map(|(key, channel)| Ok((hash_in(Table::ChainChannels, &key)?, channel))).collect()
    }

    /// The index of an account in a role.
    pub fn earner_of(&self, account: Address, role: Role) -> Result<Option<EarnerIndex>> {
        get_row(&*self.store, Table::EarnerIndices, &earner_key(account, role))
    }

    /// Whom an index pays.
    pub fn earner(&self, earner: EarnerIndex) -> Result<Option<EarnerView>> {
        get_row(&*self.store, Table::Earners, &earner.0.to_be_bytes())
    }

    /// All earners, by index.
    pub fn earners(&self) -> Result<Vec<EarnerView>> {
        Ok(rows(&*self.store, Table::Earners, &[])?.into_iter().map(|(_, view)| view).collect())
    }

    /// Up to `limit` earners with indices above `after`, ascending.
    pub fn earners_after(&self, after: u32, limit: usize) -> Result<Vec<EarnerView>> {
        let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
        let found = self.store.scan(Table::Earners, &[], &from.to_be_bytes(), limit)?;
        found.iter().map(|(_, row)| decode(Table::Earners, row)).collect()
    }

    /// A Datanet by its id.
    pub fn datanet(&self, id: B256) -> Result<Option<DatanetView>> {
        get_row(&*self.store, Table::Datanets, id.as_slice())
    }

    /// A version of a Datanet.
    pub fn datanet_version(&self, id: B256, version: u32) -> Result<Option<VersionView>> {
        get_row(&*self.store, Table::DatanetVersions, &price_key(id, version))
    }
}

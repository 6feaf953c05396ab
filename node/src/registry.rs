//! The read view over what the indexer has put into the store: what the chain says, as of the head.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256, keccak256};
pub use attribution::settle::{EarnerIndex, Mix};
use attribution::settle::{FULL_BPS, Factors, ModelId, ModelKey, credit_share};
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::watch;

use crate::indexer::figures::{contributor, contributor_of, subject_key};
pub use crate::indexer::views::*;
use crate::{
    Error, Result,
    chain::{
        Contracts,
        bindings::{Price, Rules},
    },
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
    /// [`Error::Store`] if the store cannot be read.
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

    /// Id of the registered model whose id begins with these bytes, 25 or more of them.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn model_beginning(&self, leading: &[u8]) -> Result<Option<B256>> {
        let found = self.store.scan(Table::Models, leading, leading, 1)?;
        found.first().map(|(key, _)| hash_in(Table::Models, key)).transpose()
    }

    /// A model by its id.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read; so for all methods below.
    pub fn model(&self, id: B256) -> Result<Option<ModelView>> {
        get_row(&*self.store, Table::Models, id.as_slice())
    }

    /// The model with a name, `None` if there is none or more than one: names are not unique on
    /// chain, and answering with somebody else's model would be worse than none.
    pub fn model_by_name(&self, name: &str) -> Result<Option<ModelView>> {
        let prefix = name_key(name);
        let found = self.store.scan(Table::ModelNames, &prefix, &prefix, 2)?;
        match found.as_slice() {
            [(key, _)] => self.model(hash_in(Table::ModelNames, &key[32..])?),
            _ => Ok(None),
        }
    }

    /// All models, by id.
    pub fn models(&self) -> Result<Vec<ModelView>> {
        Ok(rows(&*self.store, Table::Models, &[])?.into_iter().map(|(_, model)| model).collect())
    }

    /// A price that a model has or had.
    pub fn price_at(&self, model: B256, version: u32) -> Result<Option<Price>> {
        let row: Option<PriceView> =
            get_row(&*self.store, Table::Prices, &price_key(model, version))?;
        Ok(row.map(|row| row.price))
    }

    /// The index that the model share of a call signed at `time` (seconds) goes to; `None` for an
    /// unknown model.
    pub fn owner_earner_at(&self, model: B256, time: u64) -> Result<Option<EarnerIndex>> {
        let owners: Vec<(Vec<u8>, EarnerIndex)> =
            rows(&*self.store, Table::ModelOwners, model.as_slice())?;
        let last = owner_key(model, time);
        let before = |(key, _): &&(Vec<u8>, EarnerIndex)| *key <= last;
        Ok(owners.iter().rfind(before).map(|&(_, earner)| earner))
    }

    /// How the model divides its contributors' share of calls signed at `time` (seconds).
    pub fn mix_at(&self, model: B256, time: u64) -> Result<Mix> {
        let mixes: Vec<(Vec<u8>, Mix)> = rows(&*self.store, Table::ModelMixes, model.as_slice())?;
        let last = owner_key(model, time);
        let before = |(key, _): &&(Vec<u8>, Mix)| *key <= last;
        Ok(mixes.iter().rfind(before).map(|&(_, mix)| mix).unwrap_or_default())
    }

    /// The figure of a subject (a model's id, or a contributor's index) in force at `time`
    /// (seconds), with its number.
    pub fn figure_at(
        &self,
        kind: FigureKind,
        subject: B256,
        time: u64,
    ) -> Result<Option<(u64, FigureView)>> {
        let prefix = subject_key(kind, subject);
        let figures: Vec<(Vec<u8>, u64)> = rows(&*self.store, Table::FiguresInForce, &prefix)?;
        let last = [&prefix[..], &time.to_be_bytes()].concat();
        let Some(&(_, figure)) = figures.iter().rfind(|(key, _)| *key <= last) else {
            return Ok(None);
        };
        Ok(Some((figure, self.figure(figure)?)))
    }

    /// A figure by its number.
    pub fn figure_by_number(&self, figure: u64) -> Result<Option<FigureView>> {
        get_row(&*self.store, Table::Figures, &figure.to_be_bytes())
    }

    /// Votes on figures that there ever were, with the figures' numbers, ascending.
    pub fn figure_votes(&self) -> Result<Vec<(u64, FigureVoteView)>> {
        let numbered = |(key, vote): (Vec<u8>, FigureVoteView)| {
            let damaged = |_| Error::Store("table figure_votes: damaged key".into());
            Ok((u64::from_be_bytes(key.try_into().map_err(damaged)?), vote))
        };
        rows(&*self.store, Table::FigureVotes, &[])?.into_iter().map(numbered).collect()
    }

    /// A figure that a table names.
    fn figure(&self, figure: u64) -> Result<FigureView> {
        let view = get_row(&*self.store, Table::Figures, &figure.to_be_bytes())?;
        view.ok_or_else(|| Error::Store(format!("figure {figure} is not indexed")))
    }

    /// Share that the model's influence is paid by at `time` (seconds), bps. The whole where no contract
    /// says how much.
    pub fn influence_at(&self, model: B256, time: u64) -> Result<u16> {
        if let Some((_, figure)) = self.figure_at(FigureKind::Influence, model, time)? {
            return Ok(figure.bps);
        }
        let shares: Vec<(Vec<u8>, u16)> = rows(&*self.store, Table::DefaultInfluence, &[])?;
        let before = |(key, _): &&(Vec<u8>, u16)| key.as_slice() <= &time.to_be_bytes()[..];
        Ok(shares.iter().rfind(before).map_or(FULL_BPS, |&(_, bps)| bps))
    }

    /// Share of positive nets with the model that credits pay at `time` (seconds), bps: its influence
    /// as far as the mix of that time pays by it.
    pub fn credit_share_at(&self, model: B256, time: u64) -> Result<u16> {
        Ok(credit_share(self.influence_at(model, time)?, self.mix_at(model, time)?))
    }

    /// A contributor's reputation at `time` (seconds), bps.
    pub fn reputation_at(&self, earner: EarnerIndex, time: u64) -> Result<u16> {
        let figure = self.figure_at(FigureKind::Reputation, contributor(earner), time)?;
        Ok(figure.map_or(FULL_BPS, |(_, figure)| figure.bps))
    }

    /// Everything that factors of these models' contributors at `time` (seconds) come from.
    pub fn factors_at(
        &self,
        models: impl IntoIterator<Item = ModelId>,
        time: u64,
    ) -> Result<Factors> {
        let mut factors = Factors::default();
        for model in models {
            let share = self.credit_share_at(model.0.into(), time)?;
            factors.shares.insert(ModelKey::from(model), share);
        }
        let mut last = BTreeMap::new();
        let prefix = [FigureKind::Reputation as u8];
        for (key, figure) in rows::<u64>(&*self.store, Table::FiguresInForce, &prefix)? {
            let damaged = || Error::Store("table figures_in_force: damaged key".into());
            let (earner, from) = contributor_of(&key).ok_or_else(damaged)?;
            // Ascending, so the last one stays.
            if from <= time {
                last.insert(earner, figure);
            }
        }
        for (earner, figure) in last {
            factors.reputation.insert(earner, self.figure(figure)?.bps);
        }
        Ok(factors)
    }

    /// A model's influence index, `None` if none is published.
    pub fn index(&self, model: B256) -> Result<Option<IndexView>> {
        get_row(&*self.store, Table::Indexes, model.as_slice())
    }

    /// The indexes that were published from a block on, with the blocks, in their order.
    pub fn indexes_from(&self, block: u64) -> Result<Vec<(u64, B256)>> {
        self.published_from(Table::IndexOrder, block)
    }

    /// A model's span index, `None` if none is published.
    pub fn span_index(&self, model: B256) -> Result<Option<SpanIndexView>> {
        get_row(&*self.store, Table::SpanIndexes, model.as_slice())
    }

    /// The span indexes that were published from a block on, with the blocks, in their order.
    pub fn span_indexes_from(&self, block: u64) -> Result<Vec<(u64, B256)>> {
        self.published_from(Table::SpanIndexOrder, block)
    }

    /// Hash of the span index that pays for calls of the model signed at `time` (seconds), `None` if
    /// none does. As of the head: an index that can still be struck pays nothing yet, whatever the
    /// time.
    pub fn paying_spans(&self, model: B256, time: u64) -> Result<Option<B256>> {
        let time = time.min(self.head().timestamp);
        let index = self.span_index(model)?.filter(|index| index.is_paying(time));
        Ok(index.map(|index| index.commitment_hash()))
    }

    fn published_from(&self, table: Table, block: u64) -> Result<Vec<(u64, B256)>> {
        let from = block.to_be_bytes();
        let entries = self.store.scan(table, &[], &from, usize::MAX)?.into_iter();
        let parsed = entries.map(|(key, _)| {
            let (block, model) = key.split_first_chunk()?;
            Some((u64::from_be_bytes(*block), B256::try_from(model).ok()?))
        });
        let damaged = || Error::Store(format!("table {}: damaged key", table.name()));
        parsed.map(|entry| entry.ok_or_else(damaged)).collect()
    }

    /// From when calls of the model may earn (seconds), by what the chain says now: 0 for a base
    /// model, `None` if its index is not published or struck.
    pub fn earning_from(&self, model: &ModelView) -> Result<Option<u64>> {
        if model.base.is_zero() {
            return Ok(Some(0));
        }
        let index = self.index(model.id)?;
        Ok(index.filter(|index| !index.struck).map(|index| index.accepted_at))
    }

    /// The rules for a call signed at `time` (seconds), `None` before the first.
    pub fn rules_at(&self, time: u64) -> Result<Option<Rules>> {
        let rules: Vec<(Vec<u8>, RulesView)> = rows(&*self.store, Table::Rules, &[])?;
        let before = |(key, _): &&(Vec<u8>, RulesView)| key.as_slice() <= &time.to_be_bytes()[..];
        Ok(rules.iter().rfind(before).map(|(_, view)| view.rules.clone()))
    }

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

    /// A batch by its id.
    pub fn batch(&self, id: B256) -> Result<Option<ChainBatch>> {
        get_row(&*self.store, Table::ChainBatches, id.as_slice())
    }

    /// The batches of an operator, by ascending epoch, with their ids; from `epoch` on.
    pub fn batches_of(&self, operator: Address, epoch: u64) -> Result<Vec<(B256, ChainBatch)>> {
        let from = operator_batch_key(operator, epoch);
        let found =
            self.store.scan(Table::OperatorBatches, operator.as_slice(), &from, usize::MAX)?;
        let batch = |(_, id): (Vec<u8>, Vec<u8>)| {
            let id = hash_in(Table::OperatorBatches, &id)?;
            let view = self.batch(id)?;
            Ok((id, view.ok_or_else(|| Error::Store(format!("batch {id} is not indexed")))?))
        };
        found.into_iter().map(batch).collect()
    }

    /// Struck batches of an operator whose draws did not go back yet, by ascending epoch.
    pub fn refundable(&self, operator: Address) -> Result<Vec<B256>> {
        let prefix = operator.as_slice();
        let found = self.store.scan(Table::Refundable, prefix, prefix, usize::MAX)?;
        found.iter().map(|(_, id)| hash_in(Table::Refundable, id)).collect()
    }

    /// Why a batch was struck; `None` if it was not, or by another arbiter than Disputes.
    pub fn strike(&self, batch: B256) -> Result<Option<StrikeView>> {
        get_row(&*self.store, Table::Strikes, batch.as_slice())
    }

    /// Snapshots of a page's earnings with their versions and who published them, the latest
    /// version first.
    pub fn archives(&self, page: u32) -> Result<Vec<(u64, Address, ArchiveView)>> {
        let all = rows(&*self.store, Table::Archives, &page.to_be_bytes())?;
        let damaged = || Error::Store("table archives: damaged key".into());
        let named = |(key, view): (Vec<u8>, ArchiveView)| {
            let (version, operator) =
                key.get(4..).and_then(<[u8]>::split_first_chunk).ok_or_else(damaged)?;
            let operator = Address::try_from(operator).map_err(|_| damaged())?;
            Ok((u64::from_be_bytes(*version), operator, view))
        };
        all.into_iter().rev().map(named).collect()
    }

    /// Pages that were ever paid, ascending.
    pub fn earning_pages(&self) -> Result<Vec<u32>> {
        let mut pages = Vec::new();
        let mut from = vec![0; 4];
        while let [(key, _)] = &self.store.scan(Table::Earnings, &[], &from, 1)?[..] {
            let page =
                u32::from_be_bytes(*key.first_chunk().expect("keys of earnings hold a page"));
            pages.push(page);
            let Some(next) = page.checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
        Ok(pages)
    }

    /// Cumulative gwei that an earner has claimed.
    pub fn claimed(&self, earner: EarnerIndex) -> Result<u64> {
        let row = get_row(&*self.store, Table::Claimed, &earner.0.to_be_bytes())?;
        Ok(row.unwrap_or(0))
    }

    /// All versions of a page's earnings, from 1.
    pub fn earnings_versions(&self, page: u32) -> Result<Vec<EarningsView>> {
        let all = rows(&*self.store, Table::Earnings, &page.to_be_bytes())?;
        Ok(all.into_iter().map(|(_, view)| view).collect())
    }
}

/// The hash that a key is, or ends with.
fn hash_in(table: Table, bytes: &[u8]) -> Result<B256> {
    bytes.try_into().map_err(|_| {
        Error::Store(format!("table {}: damaged key of {} bytes", table.name(), bytes.len()))
    })
}

/// Where the indexer's head is in [`Table::Meta`].
pub(crate) const HEAD_KEY: &[u8] = b"indexer/head";

/// A name's prefix in [`Table::ModelNames`]; hashed, so that no name is a prefix of another.
pub(crate) fn name_key(name: &str) -> Vec<u8> {
    keccak256(name.as_bytes()).to_vec()
}

/// An id and a version of it.
pub(crate) fn price_key(id: B256, version: u32) -> Vec<u8> {
    [id.as_slice(), &version.to_be_bytes()].concat()
}

/// A model and the time (seconds) from which an owner is paid, or a mix holds.
pub(crate) fn owner_key(model: B256, activation: u64) -> Vec<u8> {
    [model.as_slice(), &activation.to_be_bytes()].concat()
}

/// An operator and an epoch.
pub(crate) fn operator_batch_key(operator: Address, epoch: u64) -> Vec<u8> {
    [operator.as_slice(), &epoch.to_be_bytes()].concat()
}

/// The block in which an index was published, and its model.
pub(crate) fn index_order_key(block: u64, model: B256) -> Vec<u8> {
    [&block.to_be_bytes()[..], model.as_slice()].concat()
}

/// A role and an account in it.
pub(crate) fn earner_key(account: Address, role: Role) -> Vec<u8> {
    [&[role as u8], account.as_slice()].concat()
}

//! Rows of the batcher's tables.

use alloy::primitives::B256;
use attribution::settle::EarnerIndex;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Error, Result,
    recorder::ChannelRow,
    store::{Store, Table, decode, get_row, read_sol, write_sol},
    voucher::Voucher,
};

/// A batch that will not change any more.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedBatch {
    /// The epoch that its calls were signed in.
    pub epoch: u64,
    /// keccak256 of chain, Settlement, operator and epoch.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub id: B256,
    /// The batch that it is built on, whose negative nets it opens with; zero for the first.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub previous: B256,
    /// Rows of the ledger, a power of two.
    pub rows: u32,
    /// Gwei drawn and paid.
    pub total: u64,
    /// Calls in it.
    pub calls: u32,
    /// Symbols of each witness blob, a power of two.
    pub witness_symbols: u32,
    /// Cells of a witness's slot, a power of two.
    pub slot_cells: u32,
    /// Gwei that each earner gets, by index, without zeros.
    pub payouts: Vec<(EarnerIndex, u64)>,
    /// What is drawn from each channel, by channel, without zeros.
    pub draws: Vec<BatchDraw>,
}

/// A draw and the voucher that covers it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchDraw {
    /// The voucher with the highest ceiling of the batch's calls; it names the channel.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub voucher: Voucher,
    /// The payer's signature.
    pub signature: Vec<u8>,
    /// Cumulative gwei before the batch.
    pub from: u64,
    /// Cumulative gwei after it.
    pub to: u64,
}

/// The latest epoch that is sealed; no call of it or of an epoch before is taken any more.
///
/// # Errors
/// [`Error::Store`].
pub fn sealed_through(store: &dyn Store) -> Result<Option<u64>> {
    Ok(store.last(Table::Batches, &[])?.map(|(key, _)| epoch_of_key(&key)))
}

/// The first sealed batch after an epoch; the first of all for `None`.
///
/// # Errors
/// [`Error::Store`].
pub fn batches_after(store: &dyn Store, epoch: Option<u64>) -> Result<Option<SealedBatch>> {
    let Some(from) = epoch.map_or(Some(0), |epoch| epoch.checked_add(1)) else { return Ok(None) };
    let found = store.scan(Table::Batches, &[], &from.to_be_bytes(), 1)?;
    found.first().map(|(_, row)| decode(Table::Batches, row)).transpose()
}

/// The ledger of a sealed batch as a blob: `8 * rows` symbols of 32 bytes.
///
/// # Errors
/// [`Error::Store`], also if there is no such batch.
pub fn ledger_blob(store: &dyn Store, epoch: u64) -> Result<Vec<u8>> {
    let blob = store.get(Table::Ledgers, &epoch.to_be_bytes())?;
    blob.ok_or_else(|| Error::Store(format!("epoch {epoch} has no ledger")))
}

/// The blobs of the records' witnesses of a sealed batch, by number: `witness_symbols` symbols of
/// 32 bytes each.
///
/// # Errors
/// [`Error::Store`], also if there is no such batch.
pub fn witness_blobs(store: &dyn Store, epoch: u64) -> Result<Vec<Vec<u8>>> {
    let blobs = store.scan(Table::Witnesses, &epoch.to_be_bytes(), &[], usize::MAX)?;
    if blobs.is_empty() {
        return Err(Error::Store(format!("epoch {epoch} has no witnesses")));
    }
    Ok(blobs.into_iter().map(|(_, blob)| blob).collect())
}

/// The epoch that a key starts with.
pub(super) const fn epoch_of_key(key: &[u8]) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("keys of calls and batches start with an epoch"))
}

/// Gwei that sealed batches draw from a channel, in total; before the first, what the chain had
/// drawn when the channel was first charged.
pub(super) fn drawn(store: &dyn Store, channel: B256) -> Result<u64> {
    if let Some(drawn) = get_row(store, Table::Drawn, channel.as_slice())? {
        return Ok(drawn);
    }
    let row: Option<ChannelRow> = get_row(store, Table::Channels, channel.as_slice())?;
    Ok(row.ok_or_else(|| Error::Store(format!("channel {channel} has calls but no row")))?.base)
}

//! Where the node keeps what it must not forget: ordered tables with atomic, durable writes.
//!
//! Every pipeline stage reads rows above its checkpoint and writes its own rows and the new
//! checkpoint in one [`WriteBatch`], so that a kill at any moment leaves whole steps only.

mod codec;
mod memory;
mod rocks;
mod table;

use std::{fmt::Debug, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};

pub use codec::{read_sol, write_sol};
pub use memory::MemoryStore;
pub use rocks::RocksStore;
pub use table::Table;

use crate::{Error, Result};

/// A key and its value, both as stored.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Ordered key-value tables. Keys compare as byte strings.
pub trait Store: Debug + Send + Sync + 'static {
    /// The value of a key, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Up to `limit` entries in ascending order whose keys start with `prefix` and are not below
    /// `from`.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>>;

    /// The entry with the greatest key that starts with `prefix`.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>>;

    /// Applies all operations in order, or none; what was written survives a crash once this
    /// returns.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written; then nothing was applied.
    fn write(&self, batch: WriteBatch) -> Result<()>;
}

/// A store that stages share.
pub type SharedStore = Arc<dyn Store>;

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table that is changed.
    pub table: Table,
    /// The key that is changed.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// Changes that are applied together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    changes: Vec<Change>,
}

impl WriteBatch {
    /// Sets a key to a value.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change { table, key: key.into(), value: Some(value.into()) });
    }

    /// Sets a key to a row in the store's encoding (borsh).
    pub fn put_row<T: BorshSerialize>(&mut self, table: Table, key: impl Into<Vec<u8>>, row: &T) {
        self.put(table, key, encode(row));
    }

    /// Removes a key; removing a missing key is not an error.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push(Change { table, key: key.into(), value: None });
    }

    /// Whether nothing would change.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in the order of application.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

/// A row in the store's encoding.
pub fn encode<T: BorshSerialize>(row: &T) -> Vec<u8> {
    borsh::to_vec(row).expect("writing to memory does not fail and every length is below 2^32")
}

/// A row from the store's encoding.
///
/// # Errors
/// [`Error::Store`] if the bytes are not a whole `T`.
pub fn decode<T: BorshDeserialize>(table: Table, bytes: &[u8]) -> Result<T> {
    T::try_from_slice(bytes)
        .map_err(|e| Error::Store(format!("table {}: damaged row: {e}", table.name())))
}

/// The row under a key.
///
/// # Errors
/// [`Error::Store`] if the store cannot be read or the row is damaged.
pub fn get_row<T: BorshDeserialize>(
    store: &dyn Store,
    table: Table,
    key: &[u8],
) -> Result<Option<T>> {
    store.get(table, key)?.map(|bytes| decode(table, &bytes)).transpose()
}

/// All rows whose keys start with `prefix`, ascending.
///
/// # Errors
/// [`Error::Store`] if the store cannot be read or a row is damaged.
pub fn rows<T: BorshDeserialize>(
    store: &dyn Store,
    table: Table,
    prefix: &[u8],
) -> Result<Vec<(Vec<u8>, T)>> {
    let entries = store.scan(table, prefix, prefix, usize::MAX)?;
    entries.into_iter().map(|(key, value)| Ok((key, decode(table, &value)?))).collect()
}

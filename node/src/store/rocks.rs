//! The store on disk.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, Direction,
    IteratorMode, Options, WriteOptions,
};

use super::{Entry, Error, Result, Store, Table, WriteBatch};

/// RocksDB with one column family a table. Every write is synced before it returns.
pub struct RocksStore {
    db: DB,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("path", &self.db.path()).finish()
    }
}

impl RocksStore {
    /// Opens the store in the folder `path`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Store`] if the folder is damaged, cannot be written, or is open in another process.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // A write that was cut off by a crash ends the log and was never acknowledged; damage before
        // the end would lose rows that were, so the folder is refused instead.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        // One log for all families bounds replay after a kill.
        options.set_max_total_wal_size(64 << 20);
        options.set_keep_log_file_num(2);
        let families = Table::ALL.map(|t| ColumnFamilyDescriptor::new(t.name(), family_options()));
        let db = DB::open_cf_descriptors(&options, path, families)
            .map_err(|e| Error::Store(format!("{}: {e}", path.display())))?;
        Ok(Self { db })
    }

    /// Opens the store in the folder `path` to read what was written to it until now, also while a
    /// node has it open.
    ///
    /// # Errors
    /// [`Error::Store`] if there is none, it is damaged, or is of an older version without one of the
    /// tables.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let families = Table::ALL.map(|t| ColumnFamilyDescriptor::new(t.name(), family_options()));
        let db = DB::open_cf_descriptors_read_only(&Options::default(), path, families, false)
            .map_err(|e| Error::Store(format!("{}: {e}", path.display())))?;
        Ok(Self { db })
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.db.cf_handle(table.name()).expect("all families are opened with the store")
    }
}

/// Small memtables, because most tables hold few rows, and filters, because most reads are by key.
fn family_options() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(8 << 20);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&blocks);
    options
}

fn store_error(e: impl std::fmt::Display) -> Error {
    Error::Store(e.to_string())
}

impl Store for RocksStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(table), key).map_err(store_error)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>> {
        let start = IteratorMode::From(prefix.max(from), Direction::Forward);
        let mut entries = Vec::new();
        for entry in self.db.iterator_cf(self.family(table), start).take(limit) {
            let (key, value) = entry.map_err(store_error)?;
            if !key.starts_with(prefix) {
                break;
            }
            entries.push((key.into_vec(), value.into_vec()));
        }
        Ok(entries)
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>> {
        let end = end_of(prefix);
        let start = match &end {
            Some(end) => IteratorMode::From(end, Direction::Reverse),
            None => IteratorMode::End,
        };
        for entry in self.db.iterator_cf(self.family(table), start) {
            let (key, value) = entry.map_err(store_error)?;
            // The end itself may exist: it is the first key after the prefix.
            if end.as_deref() == Some(&*key) {
                continue;
            }
            let found = key.starts_with(prefix);
            return Ok(found.then(|| (key.into_vec(), value.into_vec())));
        }
        Ok(None)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        let mut writes = rocksdb::WriteBatch::default();
        for change in batch.changes() {
            let family = self.family(change.table);
            match &change.value {
                Some(value) => writes.put_cf(family, &change.key, value),
                None => writes.delete_cf(family, &change.key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(writes, &options).map_err(store_error)
    }
}

/// The least key greater than all keys that start with `prefix`; `None` if there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

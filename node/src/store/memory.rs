//! The store in memory, for tests and throw-away nodes.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use super::{Entry, Result, Store, Table, WriteBatch};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Tables in memory. Nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<BTreeMap<Table, Rows>>,
}

impl MemoryStore {
    fn with_rows<T>(&self, table: Table, read: impl FnOnce(&Rows) -> T) -> T {
        // A panic while the lock is held cannot leave half a batch that matters: a store in memory
        // dies with the process that panicked.
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        static EMPTY: Rows = BTreeMap::new();
        read(tables.get(&table).unwrap_or(&EMPTY))
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.with_rows(table, |rows| rows.get(key).cloned()))
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>> {
        let start = prefix.max(from).to_vec();
        Ok(self.with_rows(table, |rows| {
            rows.range(start..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        }))
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>> {
        Ok(self.with_rows(table, |rows| {
            rows.range(prefix.to_vec()..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .last()
                .map(|(key, value)| (key.clone(), value.clone()))
        }))
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in batch.changes {
            let rows = tables.entry(change.table).or_default();
            match change.value {
                Some(value) => rows.insert(change.key, value),
                None => rows.remove(&change.key),
            };
        }
        Ok(())
    }
}

//! Changes on top of the store, with what they replace.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Error, Result,
    store::{Store, Table, WriteBatch, decode, encode},
};

type Values = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// What a block replaced: (table number, key, value before).
#[derive(Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Undo(Vec<(u8, Vec<u8>, Option<Vec<u8>>)>);

impl Undo {
    /// The changes that put everything back.
    pub(super) fn into_batch(self) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        for (number, key, value) in self.0 {
            let table = Table::from_number(number)
                .ok_or_else(|| Error::Store(format!("undo record names table {number}")))?;
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
        }
        Ok(batch)
    }
}

/// Reads through to the store and collects writes.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    store: &'a dyn Store,
    after: Values,
    before: Values,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self { store, after: Values::new(), before: Values::new() }
    }

    pub(super) fn get<T: BorshDeserialize>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        let bytes = match self.after.get(&(table, key.to_vec())) {
            Some(value) => value.clone(),
            None => self.store.get(table, key)?,
        };
        bytes.map(|bytes| decode(table, &bytes)).transpose()
    }

    pub(super) fn put<T: BorshSerialize>(
        &mut self,
        table: Table,
        key: &[u8],
        row: &T,
    ) -> Result<()> {
        self.set(table, key, Some(encode(row)))
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.set(table, key, None)
    }

    /// Removes all keys that are not below `from`.
    pub(super) fn delete_from(&mut self, table: Table, from: &[u8]) -> Result<()> {
        for (key, _) in self.store.scan(table, &[], from, usize::MAX)? {
            self.delete(table, &key)?;
        }
        let start = (table, from.to_vec());
        for ((of, _), value) in self.after.range_mut(start..) {
            if *of == table {
                *value = None;
            }
        }
        Ok(())
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) -> Result<()> {
        let at = (table, key.to_vec());
        if !self.before.contains_key(&at) {
            self.before.insert(at.clone(), self.store.get(table, key)?);
        }
        self.after.insert(at, value);
        Ok(())
    }

    /// The collected writes, and how to undo them.
    pub(super) fn finish(self) -> (WriteBatch, Undo) {
        let mut batch = WriteBatch::default();
        for ((table, key), value) in self.after {
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
        }
        let undo = self.before.into_iter().map(|((table, key), value)| (table as u8, key, value));
        (batch, Undo(undo.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn all(store: &MemoryStore) -> Vec<(Vec<u8>, Vec<u8>)> {
        store.scan(Table::Rules, &[], &[], usize::MAX).unwrap()
    }

    #[test]
    fn undoing_restores_what_was_there() {
        let store = MemoryStore::default();
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Rules, [1], &1_u64);
        batch.put_row(Table::Rules, [2], &2_u64);
        store.write(batch).unwrap();
        let before = all(&store);

        let mut overlay = Overlay::new(&store);
        overlay.put(Table::Rules, &[1], &10_u64).unwrap();
        overlay.put(Table::Rules, &[1], &11_u64).unwrap();
        overlay.put(Table::Rules, &[3], &3_u64).unwrap();
        overlay.delete_from(Table::Rules, &[2]).unwrap();
        assert_eq!(overlay.get::<u64>(Table::Rules, &[1]).unwrap(), Some(11));
        assert_eq!(overlay.get::<u64>(Table::Rules, &[2]).unwrap(), None);
        assert_eq!(overlay.get::<u64>(Table::Rules, &[3]).unwrap(), None);
        let (batch, undo) = overlay.finish();
        store.write(batch).unwrap();
        assert_eq!(all(&store).len(), 1);

        store.write(undo.into_batch().unwrap()).unwrap();
        assert_eq!(all(&store), before);
    }
}

//! One suite that every store passes.

use node::store::{MemoryStore, RocksStore, Store, Table, WriteBatch};
use proptest::prelude::*;

fn conforms(store: &dyn Store) {
    missing_is_none(store);
    scans_are_ordered_and_bounded(store);
    last_is_of_the_prefix(store);
    batches_apply_in_order(store);
    tables_are_apart(store);
}

fn missing_is_none(store: &dyn Store) {
    assert_eq!(store.get(Table::Calls, b"nothing").unwrap(), None);
    assert_eq!(store.last(Table::Calls, &[]).unwrap(), None);
    assert!(store.scan(Table::Calls, &[], &[], usize::MAX).unwrap().is_empty());
}

fn scans_are_ordered_and_bounded(store: &dyn Store) {
    let mut batch = WriteBatch::default();
    for key in [[2, 0], [1, 9], [1, 0], [0, 5], [1, 255]] {
        batch.put(Table::Batches, key, key);
    }
    store.write(batch).unwrap();
    let keys = |prefix: &[u8], from: &[u8], limit| {
        let entries = store.scan(Table::Batches, prefix, from, limit).unwrap();
        entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&[], &[], 9), [[0, 5], [1, 0], [1, 9], [1, 255], [2, 0]]);
    assert_eq!(keys(&[1], &[], 9), [[1, 0], [1, 9], [1, 255]]);
    assert_eq!(keys(&[1], &[1, 9], 9), [[1, 9], [1, 255]]);
    assert_eq!(keys(&[], &[1, 1], 2), [[1, 9], [1, 255]]);
    assert!(keys(&[3], &[], 9).is_empty());
    assert!(keys(&[1], &[2], 9).is_empty());
}

fn last_is_of_the_prefix(store: &dyn Store) {
    let mut batch = WriteBatch::default();
    for key in [vec![7], vec![7, 255, 255], vec![8], vec![255, 255]] {
        batch.put(Table::Finals, key, [1]);
    }
    store.write(batch).unwrap();
    let last = |prefix: &[u8]| store.last(Table::Finals, prefix).unwrap().map(|(key, _)| key);
    assert_eq!(last(&[7]), Some(vec![7, 255, 255]));
    assert_eq!(last(&[7, 255]), Some(vec![7, 255, 255]));
    assert_eq!(last(&[8]), Some(vec![8]));
    assert_eq!(last(&[]), Some(vec![255, 255]));
    assert_eq!(last(&[255]), Some(vec![255, 255]));
    assert_eq!(last(&[6]), None);
    assert_eq!(last(&[9]), None);
}

fn batches_apply_in_order(store: &dyn Store) {
    let mut batch = WriteBatch::default();
    batch.put(Table::Meta, *b"a", [1]);
    batch.delete(Table::Meta, *b"a");
    batch.delete(Table::Meta, *b"b");
    batch.put(Table::Meta, *b"b", [2]);
    batch.put(Table::Meta, *b"b", [3]);
    store.write(batch).unwrap();
    assert_eq!(store.get(Table::Meta, b"a").unwrap(), None);
    assert_eq!(store.get(Table::Meta, b"b").unwrap(), Some(vec![3]));
}

fn tables_are_apart(store: &dyn Store) {
    let mut batch = WriteBatch::default();
    for table in Table::ALL {
        batch.put(table, *b"same key", table.name());
    }
    store.write(batch).unwrap();
    for table in Table::ALL {
        let value = store.get(table, b"same key").unwrap().unwrap();
        assert_eq!(value, table.name().as_bytes());
    }
}

#[test]
fn memory_conforms() {
    conforms(&MemoryStore::default());
}

#[test]
fn rocks_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&RocksStore::open(folder.path()).unwrap());
}

#[test]
fn rocks_keeps_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut batch = WriteBatch::default();
    batch.put(Table::Rows, *b"key", *b"value");
    RocksStore::open(folder.path()).unwrap().write(batch).unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(store.get(Table::Rows, b"key").unwrap(), Some(b"value".to_vec()));
}

#[test]
fn rocks_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let _open = RocksStore::open(folder.path()).unwrap();
    assert!(matches!(RocksStore::open(folder.path()), Err(node::Error::Store(_))));
}

type Operation = (u8, Vec<u8>, Option<Vec<u8>>);

fn operations() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    let key = prop::collection::vec(prop_oneof![Just(0), Just(1), Just(254), Just(255)], 0..4);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..4));
    prop::collection::vec(prop::collection::vec((0_u8..3, key, value), 0..6), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_answer_alike(batches in operations(), prefix in prop::collection::vec(254_u8.., 0..3)) {
        let folder = tempfile::tempdir().unwrap();
        let stores: [&dyn Store; 2] =
            [&MemoryStore::default(), &RocksStore::open(folder.path()).unwrap()];
        for operations in batches {
            let mut batch = WriteBatch::default();
            for (table, key, value) in operations {
                let table = Table::from_number(table).unwrap();
                match value {
                    Some(value) => batch.put(table, key, value),
                    None => batch.delete(table, key),
                }
            }
            for store in stores {
                store.write(batch.clone()).unwrap();
            }
        }
        for table in &Table::ALL[..3] {
            let [memory, rocks] = stores.map(|store| {
                let scan = |prefix: &[u8]| store.scan(*table, prefix, &[], usize::MAX).unwrap();
                let last = |prefix: &[u8]| store.last(*table, prefix).unwrap();
                (scan(&[]), scan(&prefix), last(&[]), last(&prefix))
            });
            prop_assert_eq!(memory, rocks);
        }
    }
}

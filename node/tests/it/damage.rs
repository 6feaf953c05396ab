//! Stores that were damaged on disk: an error that names what is wrong, never a panic.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::keccak256;
use node::{
    Error, Result,
    batcher::{Batcher, batches_after},
    recorder::{Admission, recorded},
    registry::Registry,
    store::{RocksStore, SharedStore, Store, Table, WriteBatch},
    voucher,
};

use crate::world::{
    EPOCH_SECONDS, MAX_FEE, MAX_SKEW, START, call, contracts, memory, model, operator, serve,
    set_time, sign, standing, start, weights,
};

/// What [`Error::Store`] says of a result that must be one.
fn complaint<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Store(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn write(store: &dyn Store, key: &str) {
    let mut batch = WriteBatch::default();
    batch.put(Table::Rows, key, [key.as_bytes(); 9].concat());
    store.write(batch).unwrap();
}

/// The one file of a folder whose name starts and ends so.
fn file(folder: &Path, start: &str, end: &str) -> PathBuf {
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(start) && name.ends_with(end)
    };
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(named);
    all.max().unwrap_or_else(|| panic!("no {start}*{end}"))
}

/// A folder with one row in a sorted file and two in the log.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&RocksStore::open(folder.path()).unwrap(), "sorted");
    // Opening again writes the log's rows to a sorted file.
    let store = RocksStore::open(folder.path()).unwrap();
    write(&store, "first");
    write(&store, "second");
    folder
}

#[test]
fn a_damaged_folder_is_refused_by_its_name() {
    for (start, end) in [("CURRENT", ""), ("MANIFEST", "")] {
        for content in [&b""[..], b"garbage", b"MANIFEST-999999\n", &[0xff; 4096]] {
            let folder = folder();
            fs::write(file(folder.path(), start, end), content).unwrap();
            let what = complaint(RocksStore::open(folder.path()));
            assert!(what.contains(folder.path().to_str().unwrap()), "{start}: {what}");
            assert!(what.len() > folder.path().to_str().unwrap().len() + 2, "{start}: {what}");
        }
    }
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let what = complaint(RocksStore::open(file.path()));
    assert!(what.contains(file.path().to_str().unwrap()), "{what}");
}

#[test]
fn damage_in_the_log_is_refused_and_a_cut_end_is_what_a_crash_leaves() {
    let folder = folder();
    let log = file(folder.path(), "", ".log");
    let whole = fs::read(&log).unwrap();
    let copy = |bytes: &[u8]| {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        fs::write(copy.path().join(log.file_name().unwrap()), bytes).unwrap();
        copy
    };
    let mut changed = whole.clone();
    changed[20] ^= 1;
    let damaged = copy(&changed);
    let what = complaint(RocksStore::open(damaged.path()));
    assert!(what.contains("Corruption"), "{what}");

    for cut in 1..40 {
        let torn = copy(&whole[..whole.len() - cut]);
        let store = RocksStore::open(torn.path()).unwrap();
        let has = |key: &str| store.get(Table::Rows, key.as_bytes()).unwrap().is_some();
        assert_eq!([has("sorted"), has("first"), has("second")], [true, true, false], "{cut}");
    }
}

#[test]
fn a_damaged_row_file_is_an_error_when_it_is_read() {
    let folder = folder();
    let path = file(folder.path(), "", ".sst");
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = match RocksStore::open(folder.path()) {
        Ok(store) => store,
        Err(error) => panic!("only the file's rows are damaged: {error}"),
    };
    let name = path.file_name().unwrap().to_str().unwrap();
    for what in [
        complaint(store.get(Table::Rows, b"sorted")),
        complaint(store.scan(Table::Rows, b"", b"", 9)),
        complaint(store.last(Table::Rows, b"so")),
    ] {
        assert!(what.contains("Corruption") && what.contains(name), "{what}");
    }
}

/// A store with a recorded and sealed call.
async fn served() -> (SharedStore, voucher::SignedVoucher) {
    let store = memory();
    let (registry, recorder) = start(&store);
    let voucher = sign(0, MAX_FEE, call(0, 1, START));
    let admission = recorder.admit(voucher.clone(), MAX_FEE).await.unwrap();
    let Admission::New(reservation) = admission else { panic!("{admission:?}") };
    recorder.record(reservation, serve(&voucher)).await.unwrap();
    set_time(&registry, START + EPOCH_SECONDS + MAX_SKEW);
    let standing = standing(&store, &registry);
    let batcher =
        Batcher::new(Arc::clone(&store), registry, recorder, standing, MAX_SKEW, weights());
    assert!(batcher.step().await.unwrap());
    (store, voucher)
}

/// Reads a row the way the node does.
type Read = Box<dyn Fn(&SharedStore) -> Result<()>>;

#[tokio::test]
async fn a_row_that_is_not_whole_is_an_error_that_names_its_table() {
    let (store, voucher) = served().await;
    let digest = voucher::digest(&voucher.voucher, &contracts().voucher_domain());
    let channel = voucher.voucher.channelId;
    let registry = |store: &SharedStore| Registry::new(Arc::clone(store), contracts());
    let reads: [(Table, Read); 8] = [
        (Table::Meta, Box::new(move |store| registry(store).map(drop))),
        (Table::Calls, Box::new(move |store| recorded(&**store, digest).map(drop))),
        (Table::Answers, Box::new(move |store| recorded(&**store, digest).map(drop))),
        (Table::Batches, Box::new(|store| batches_after(&**store, None).map(drop))),
        (Table::Models, Box::new(move |store| registry(store)?.model(model(0)).map(drop))),
        (Table::Rules, Box::new(move |store| registry(store)?.rules_at(START).map(drop))),
        (Table::Earners, Box::new(move |store| registry(store)?.earners().map(drop))),
        (Table::ChainChannels, Box::new(move |store| registry(store)?.channel(channel).map(drop))),
    ];
    for (table, read) in reads {
        read(&store).unwrap();
        let entries = store.scan(table, &[], &[], usize::MAX).unwrap();
        let lengths = entries.iter().map(|(_, value)| value.len()).max().unwrap();
        for cut in 0..lengths {
            let mut batch = WriteBatch::default();
            for (key, value) in &entries {
                batch.put(table, key.clone(), &value[..cut.min(value.len() - 1)]);
            }
            store.write(batch).unwrap();
            let what = complaint(read(&store));
            assert!(what.starts_with(&format!("table {}: damaged row", table.name())), "{what}");
        }
        // Any bytes at all may be wrong, but not a panic.
        for at in 0..lengths {
            let mut batch = WriteBatch::default();
            for (key, value) in &entries {
                let mut changed = value.clone();
                let place = at.min(value.len() - 1);
                changed[place] ^= 0xff;
                batch.put(table, key.clone(), changed);
            }
            store.write(batch).unwrap();
            let _ = read(&store);
        }
        let mut batch = WriteBatch::default();
        entries.into_iter().for_each(|(key, value)| batch.put(table, key, value));
        store.write(batch).unwrap();
        read(&store).unwrap();
    }
}

#[test]
fn a_key_of_another_length_is_an_error_that_names_its_table() {
    let store = memory();
    let view = store.last(Table::ChainChannels, &[]).unwrap().unwrap().1;
    let mut batch = WriteBatch::default();
    batch.put(Table::ChainChannels, *b"short", view);
    batch.put(Table::ModelNames, [keccak256("x").as_slice(), b"short"].concat(), []);
    store.write(batch).unwrap();
    let registry = Registry::new(store, contracts()).unwrap();
    for (what, table) in [
        (complaint(registry.channels_to(operator().address())), "chain_channels"),
        (complaint(registry.model_by_name("x")), "model_names"),
    ] {
        assert_eq!(what, format!("table {table}: damaged key of 5 bytes"));
    }
}

//! Builds that stop and go on, and builds that reuse an earlier version's rows.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use attribution::{
    Error,
    estimate::{IndexBuilder, InfluenceIndex, Projector, ProjectorConfig, SketchStore},
    settle::keccak,
};

use super::{
    index::{SHAPES, SKETCHES, builder, config, gradients, projector},
    source,
};

const IDENTITY: [u8; 32] = [7; 32];
const DIM: usize = 64;

/// A folder that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("attribution-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("sketches")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Result<SketchStore, Error> {
    SketchStore::open(path, IDENTITY, DIM)
}

/// An index of the first `n` rows without a store.
fn rebuilt(n: usize) -> InfluenceIndex {
    let mut builder = builder();
    for (i, gradient) in (0u32..).zip(&gradients(n, 1)) {
        builder.push(source(i, 2 + i % 3, i), &gradient.sites()).unwrap();
    }
    builder.finish(|_| {}).unwrap().0
}

/// The same through a store; also how many gradients it took. Stops before row `stop`.
fn through_store(path: &Path, n: usize, stop: usize) -> (Option<InfluenceIndex>, usize) {
    let mut builder = IndexBuilder::stored(projector(), config(), open(path).unwrap()).unwrap();
    let mut computed = 0;
    for (i, gradient) in (0u32..).zip(&gradients(n, 1)) {
        if i as usize == stop {
            return (None, computed);
        }
        let row = source(i, 2 + i % 3, i);
        if builder.push_known(row).unwrap().is_none() {
            builder.push(row, &gradient.sites()).unwrap();
            computed += 1;
        }
    }
    builder.sync().unwrap();
    (Some(builder.finish(|_| {}).unwrap().0), computed)
}

#[test]
fn a_later_version_costs_its_new_rows_and_equals_a_rebuild() {
    let folder = Folder::new("later");
    let path = folder.store();
    // Fewer rows than dimensions, as many, and more.
    let mut before = 0;
    for n in [20, 63, 64, 300, 700] {
        let (index, computed) = through_store(&path, n, n);
        assert_eq!(computed, n - before);
        let index = index.unwrap();
        assert_eq!(index.to_bytes(), rebuilt(n).to_bytes());
        before = n;
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no file is left behind");
}

#[test]
fn a_build_that_stopped_goes_on() {
    let folder = Folder::new("stopped");
    let path = folder.store();
    assert_eq!(through_store(&path, 100, 40).1, 40);
    // What a stop in the middle of a write leaves.
    let whole = fs::metadata(&path).unwrap().len();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[1; 100]).unwrap();
    assert_eq!(through_store(&path, 100, 70).1, 30);
    let record = (32 + 4 * DIM + 8) as u64;
    assert_eq!(fs::metadata(&path).unwrap().len(), whole + 30 * record);
    // A last record whose bytes did not all reach the disk.
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (index, computed) = through_store(&path, 100, 100);
    assert_eq!(computed, 31);
    assert_eq!(index.unwrap().to_bytes(), rebuilt(100).to_bytes());
}

#[test]
fn damaged_and_foreign_stores_are_refused_and_kept() {
    let folder = Folder::new("damaged");
    let path = folder.store();
    through_store(&path, 10, 10);
    let good = fs::read(&path).unwrap();
    let foreign = SketchStore::open(&path, [8; 32], DIM).unwrap_err();
    assert!(matches!(foreign, Error::Corrupt(_)), "{foreign}");
    assert!(matches!(SketchStore::open(&path, IDENTITY, 128), Err(Error::Corrupt(_))));
    assert!(matches!(SketchStore::open(&path, IDENTITY, 8), Err(Error::Setting { .. })));
    for (at, wanted) in [(0, "magic"), (9, "version"), (60, "damaged"), (46 + 32, "damaged")] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(wanted), "{at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
    // Cut inside the header, as by a stop at the start: an empty store.
    fs::write(&path, &good[..30]).unwrap();
    assert!(open(&path).unwrap().is_empty());
}

#[test]
fn bad_sketches_do_not_enter_a_store() {
    let folder = Folder::new("bad");
    let mut store = open(&folder.store()).unwrap();
    let row = keccak(&[b"row"]);
    assert!(matches!(store.add(row, &[1.0; 3]), Err(Error::Shape { .. })));
    assert!(matches!(store.add(row, &[f32::NAN; DIM]), Err(Error::NotFinite(_))));
    assert!(store.is_empty() && !store.contains(&row));
    store.add(row, &[1.0; DIM]).unwrap();
    store.add(row, &[2.0; DIM]).unwrap();
    assert_eq!((store.len(), store.contains(&row)), (1, true));
    let other = ProjectorConfig { dim: 128, ..SKETCHES };
    let other = Projector::new(&SHAPES, other).unwrap();
    assert!(matches!(IndexBuilder::stored(other, config(), store), Err(Error::Shape { .. })));
}

#[test]
fn rows_of_one_text_share_a_sketch() {
    let folder = Folder::new("same");
    let mut builder =
        IndexBuilder::stored(projector(), config(), open(&folder.store()).unwrap()).unwrap();
    let gradient = &gradients(1, 1)[0];
    let first = source(0, 2, 0);
    builder.push(first, &gradient.sites()).unwrap();
    let copy = attribution::estimate::RowSource { index: 1, ..first };
    assert_eq!(builder.push_known(copy).unwrap(), Some(1));
    let (index, _) = builder.finish(|_| {}).unwrap();
    assert_eq!(index.sketch(0), index.sketch(1));
}

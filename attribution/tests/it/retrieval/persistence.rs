use std::{
    fs,
    path::{Path, PathBuf},
};

use attribution::{
    Error,
    retrieval::{Library, VectorSpace},
    settle::keccak,
};

use super::{add, ask, edition, open, rows, space, vectors};

const TEXTS: [&str; 3] = ["one apple", "two pears", "three plums and a pear"];

fn build(dir: &Path) {
    let library = open(dir);
    add(&library, edition(1, 1), &rows(&TEXTS), &with_passages(3, 1));
    add(&library, edition(2, 1), &rows(&["four figs"]), &with_passages(1, 2));
}

/// Vectors of rows with one passage each.
fn with_passages(count: usize, seed: u64) -> Vec<Vec<i8>> {
    vectors(2 * count, seed).chunks(2).map(<[_]>::concat).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|end| end != "lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_library_opened_again_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let vector = vectors(1, 9).remove(0);
    build(dir.path());
    let before = ask(&open(dir.path()), "pear", &vector, 9);

    let library = open(dir.path());

    assert_eq!(ask(&library, "pear", &vector, 9), before);
    assert_eq!((library.rows(), before.len()), (4, 4));
    assert_eq!(library.editions(), [edition(1, 1), edition(2, 1)]);
}

#[test]
fn a_changed_byte_in_any_file_is_named_with_both_hashes() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let files = files(dir.path());
    assert!(files.len() > 12, "{files:?}");

    for path in files {
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            fs::write(&path, &damaged).unwrap();
            let error = Library::open(dir.path(), space()).unwrap_err();
            let Error::Damaged { path: named, expected, found } = &error else {
                panic!("{} gave {error}", path.display());
            };
            assert_eq!(*named, path.display().to_string());
            assert_ne!(expected, found);
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Library::open(dir.path(), space()).is_err(), "{}", path.display());
        fs::write(&path, bytes).unwrap();
    }
    open(dir.path());
}

#[test]
fn a_row_that_changes_while_the_library_is_open_is_not_returned() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let library = open(dir.path());
    let path = files(dir.path()).into_iter().find(|p| p.ends_with("rows")).unwrap();
    let text = fs::read(&path).unwrap();
    let changed = String::from_utf8_lossy(&text).replace("one apple", "one grape");
    assert_ne!(changed.as_bytes(), text);
    let mut damaged = text;
    let at = damaged.windows(9).position(|window| window == b"one apple").unwrap();
    damaged[at..at + 9].copy_from_slice(b"one grape");
    fs::write(&path, damaged).unwrap();

    let vector = vectors(1, 9).remove(0);
    let question = attribution::retrieval::Question {
        text: "apple",
        vector: &vector,
        versions: None,
        limit: 9,
    };
    let error = library.search(&question, &Default::default()).unwrap_err();

    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn a_shelf_that_was_not_finished_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let library = open(dir.path());
    let mut builder = library.begin(edition(3, 1)).unwrap();
    builder.push(&rows(&["five"])[0], &vectors(1, 3)[0]).unwrap();
    drop(builder);

    let library = open(dir.path());

    assert_eq!(library.editions().len(), 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    add(&library, edition(3, 1), &rows(&["five"]), &vectors(1, 3));
    assert_eq!(open(dir.path()).editions().len(), 3);
}

#[test]
fn vectors_of_another_encoder_and_strange_folders_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());

    let other = VectorSpace { encoder: [8; 32], ..space() };
    let error = Library::open(dir.path(), other).unwrap_err();
    assert!(error.to_string().contains("one space"), "{error}");

    let shelf = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    fs::rename(&shelf, dir.path().join("other")).unwrap();
    let error = Library::open(dir.path(), space()).unwrap_err();
    assert!(error.to_string().contains("its name"), "{error}");
}

#[test]
fn a_shelf_of_the_format_before_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let path = files(dir.path()).into_iter().find(|path| path.ends_with("shelf")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 32);
    assert_eq!(bytes[..8], *b"shelf\0\0\x02");
    bytes[7] = 1;
    let hash = keccak(&[&bytes]);
    bytes.extend(hash);
    fs::write(&path, bytes).unwrap();

    let error = Library::open(dir.path(), space()).unwrap_err().to_string();

    assert!(error.contains("not a shelf of version 2"), "{error}");
    assert!(error.contains(&path.display().to_string()), "{error}");
}

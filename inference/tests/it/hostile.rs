//! The loaders of `fuzz/` over the golden files, broken in random ways, and over what once broke
//! them.

#[expect(unreachable_pub, reason = "a package of its own when it fuzzes")]
#[path = "../../fuzz/src/loaders.rs"]
mod loaders;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use self::loaders::Entry;

/// Numbers at which sizes and counts go wrong.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0xffff, 1 << 31, u32::MAX as u64, 1 << 62, i64::MAX as u64, u64::MAX];
/// Texts that mean something in one of the formats.
const TEXTS: [&str; 12] = [
    "null",
    "-1",
    "1e308",
    "99999999999999999999",
    "{}",
    "[]",
    "\"\"",
    "{{",
    "{% for",
    "\u{0}",
    "true",
    "4294967296",
];

/// A change of a file; places are taken modulo its length.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Number(usize, usize, usize),
    Text(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..1usize << 20;
    prop_oneof![
        4 => (place.clone(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => place.clone().prop_map(Change::Cut),
        1 => (place.clone(), 1..64usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (place.clone(), 1..64usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        2 => (place.clone(), 0..EDGES.len(), prop_oneof![Just(1), Just(2), Just(4), Just(8)])
            .prop_map(|(at, edge, width)| Change::Number(at, edge, width)),
        2 => (place, 0..TEXTS.len()).prop_map(|(at, text)| Change::Text(at, text)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    match *change {
        Change::Flip(at, bits) => bytes[at % length] ^= bits,
        Change::Cut(at) => bytes.truncate(at % length),
        Change::Remove(at, count) => {
            let at = at % length;
            bytes.drain(at..(at + count).min(length));
        }
        Change::Repeat(at, count) => {
            let at = at % length;
            let part = bytes[at..(at + count).min(length)].to_vec();
            bytes.splice(at..at, part);
        }
        Change::Number(at, edge, width) => {
            let at = at % length;
            let end = (at + width).min(length);
            let number = EDGES[edge].to_le_bytes();
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        Change::Text(at, text) => {
            let (at, text) = (at % length, TEXTS[text].as_bytes());
            let end = (at + text.len()).min(length);
            bytes.splice(at..end, text.iter().copied());
        }
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Files of this name somewhere in the golden folders, in a fixed order.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    fn collect(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, name, found);
            } else if path.file_name().is_some_and(|own| own == name) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&here("tests/golden"), name, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no {name}");
    found.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn survives(target: &str, entry: Entry, seed: &str, cases: u32) {
    let broken_before = here("fuzz/regressions").join(target);
    for input in fs::read_dir(broken_before).into_iter().flatten() {
        entry(&fs::read(input.unwrap().path()).unwrap());
    }
    let seeds = seeds(seed);
    seeds.iter().for_each(|seed| entry(seed));
    entry(&[]);
    let damaged = (0..seeds.len(), prop::collection::vec(change(), 1..6));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let result = proptest::test_runner::TestRunner::new(config).run(&damaged, |(seed, changes)| {
        let mut bytes = seeds[seed].clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        entry(&bytes);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{target}: {error}"));
}

macro_rules! loaders {
    ($($target:ident $seed:literal $cases:literal),* $(,)?) => { $(
        #[test]
        fn $target() {
            survives(stringify!($target), loaders::$target, $seed, $cases);
        }
    )* };
}

loaders! {
    adapter_config "adapter_config.json" 512,
    adapter_weights "adapter_model.safetensors" 512,
    gguf "model.gguf" 256,
    model_config "config.json" 512,
    model_weights "model.safetensors" 256,
    tokenizer_config "tokenizer_config.json" 512,
    tokenizer_json "tokenizer.json" 256,
    tokenizer_model "tokenizer.model" 256,
}

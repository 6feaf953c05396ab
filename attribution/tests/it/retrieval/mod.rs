mod ablation;
mod citations;
mod library;
mod persistence;

use std::path::Path;

use attribution::{
    retrieval::{Caller, DatanetVersion, Edition, Hit, Library, Question, Row, VectorSpace},
    settle::{Hash, keccak},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Numbers of the tests' vectors.
pub(crate) const WIDTH: usize = 24;

pub(crate) const fn space() -> VectorSpace {
    VectorSpace { encoder: [7; 32], dimension: WIDTH as u32, scale: 127 }
}

pub(crate) const fn datanet(id: u8) -> Hash {
    [id; 32]
}

pub(crate) fn edition(id: u8, version: u32) -> Edition {
    Edition {
        version: DatanetVersion { datanet: datanet(id), version },
        registered: u64::from(id),
        private: false,
    }
}

pub(crate) fn row(index: u64, text: &str) -> Row {
    Row {
        index,
        contributor: [index as u8; 20],
        row_hash: keccak(&[text.as_bytes()]),
        source: format!("https://rows.example/{index}"),
        text: text.to_owned(),
    }
}

pub(crate) fn rows(texts: &[&str]) -> Vec<Row> {
    (0..).zip(texts).map(|(index, text)| row(index, text)).collect()
}

pub(crate) fn vectors(count: usize, seed: u64) -> Vec<Vec<i8>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..WIDTH).map(|_| random.random_range(-127..=127)).collect()).collect()
}

pub(crate) fn open(dir: &Path) -> Library {
    Library::open(dir, space()).unwrap()
}

pub(crate) fn add(library: &Library, edition: Edition, rows: &[Row], vectors: &[Vec<i8>]) {
    library.add(edition, rows.iter().zip(vectors.iter().map(Vec::as_slice))).unwrap();
}

/// Everything that anybody finds.
pub(crate) fn ask(library: &Library, text: &str, vector: &[i8], limit: usize) -> Vec<Hit> {
    library.search(&Question { text, vector, versions: None, limit }, &Caller::default()).unwrap()
}

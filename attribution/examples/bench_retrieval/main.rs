//! Recall and times of retrieval on two sets of questions; see `bench/retrieval/run.sh`.
//!
//! `bench_retrieval ENCODER SOURCES QUESTIONS PLANTED RESULTS`: rows of one set are the functions of
//! all Solidity files under `SOURCES`, cut as the node cuts Datanets, and `QUESTIONS` names for each
//! question the rows that answer it; those of the other are the facts of `PLANTED` among paragraphs
//! about anything else.

// The node's own cutter, which nothing here may depend on otherwise.
#[expect(unreachable_pub, reason = "it is public in the node")]
#[path = "../../../node/src/datanet/solidity.rs"]
mod solidity;

mod corpus;
mod intervals;
mod prose;
mod questions;
mod report;
mod vectors;

use std::{path::Path, time::Instant};

use attribution::{
    retrieval::{DatanetVersion, Edition, Library, Row, VectorSpace, passages},
    settle::keccak,
};
use inference::encoder::{Encoder, VECTOR_SCALE, quantise};
use questions::Asked;
use report::Sheet;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, encoder, sources, asked, planted, results] = &arguments[..] else {
        return Err("usage: bench_retrieval ENCODER SOURCES QUESTIONS PLANTED RESULTS".into());
    };
    let encoder = Encoder::load(Path::new(encoder))?;
    let mut sheet = Sheet::default();
    let (rows, questions) = prose::load(Path::new(planted))?;
    measure("prose", &encoder, &rows, &questions, &mut sheet)?;
    let rows = corpus::rows(Path::new(sources))?;
    let questions = questions::load(Path::new(asked), &rows)?;
    let rows: Vec<Row> = rows.into_iter().map(|row| row.row).collect();
    measure("code", &encoder, &rows, &questions, &mut sheet)?;
    sheet.write(Path::new(results))
}

/// Indexes the rows of one set and asks its questions.
fn measure(
    set: &str,
    encoder: &Encoder,
    rows: &[Row],
    questions: &[Asked],
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let hashes: Vec<u8> = rows.iter().flat_map(|row| row.row_hash).collect();
    let name = hex::encode(&keccak(&[&hashes])[..8]);
    sheet.note(format!("{set}: {} rows ({name}), {} questions", rows.len(), questions.len()));
    let started = Instant::now();
    let seen: Vec<Vec<String>> = rows
        .iter()
        .map(|row| core::iter::once(row.text.clone()).chain(passages(&row.text)).collect())
        .collect();
    let texts: Vec<&String> = seen.iter().flatten().collect();
    let mut floats = encoder.encode(&texts)?.into_iter();
    let floats: Vec<Vec<Vec<f32>>> =
        seen.iter().map(|texts| floats.by_ref().take(texts.len()).collect()).collect();
    let ints: Vec<Vec<i8>> =
        floats.iter().map(|row| row.iter().flat_map(|vector| quantise(vector)).collect()).collect();
    let encoding = started.elapsed().as_secs_f64();

    let dir = tempfile::tempdir()?;
    let dimension = u32::try_from(encoder.dimension())?;
    let space = VectorSpace { encoder: encoder.hash(), dimension, scale: VECTOR_SCALE };
    let library = Library::open(dir.path(), space)?;
    let version = DatanetVersion { datanet: [1; 32], version: 1 };
    let edition = Edition { version, registered: 1, private: false };
    let started = Instant::now();
    library.add(edition, rows.iter().zip(ints.iter().map(Vec::as_slice)))?;
    let indexing = started.elapsed().as_secs_f64();

    let outcome = questions::ask(&library, encoder, questions)?;
    sheet.outcome(set, questions, &outcome);
    let thousands = rows.len() as f64 / 1000.0;
    let name = format!("{set}: encode and index 1,000 rows");
    sheet.at_most(&name, (encoding + indexing) / thousands, "s", 60.0);
    sheet.value(&format!("{set}: of it indexing"), indexing / thousands, "s");
    sheet.value(
        &format!("{set}: passages per row"),
        texts.len() as f64 / rows.len() as f64 - 1.0,
        "",
    );
    sheet.value(
        &format!("{set}: index bytes per row"),
        library.bytes() as f64 / rows.len() as f64,
        "B",
    );
    vectors::compare(set, &floats, sheet);
    Ok(())
}

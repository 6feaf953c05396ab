//! Recall and times of retrieval on a planted question set; see `bench/retrieval/run.sh`.
//!
//! `bench_retrieval ENCODER SOURCES QUESTIONS RESULTS`: rows are the functions of all Solidity files
//! under `SOURCES`, cut as the node cuts Datanets; `QUESTIONS` names for each question the rows that
//! answer it.

// The node's own cutter, which nothing here may depend on otherwise.
#[expect(unreachable_pub, reason = "it is public in the node")]
#[path = "../../../node/src/datanet/solidity.rs"]
mod solidity;

mod corpus;
mod questions;
mod report;
mod vectors;

use std::{path::Path, time::Instant};

use attribution::retrieval::{Caller, DatanetVersion, Edition, Library, VectorSpace};
use inference::encoder::{Encoder, VECTOR_SCALE};
use report::Sheet;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, encoder, sources, asked, results] = &arguments[..] else {
        return Err("usage: bench_retrieval ENCODER SOURCES QUESTIONS RESULTS".into());
    };
    let encoder = Encoder::load(Path::new(encoder))?;
    let rows = corpus::rows(Path::new(sources))?;
    let questions = questions::load(Path::new(asked), &rows)?;
    let mut sheet = Sheet::default();
    sheet.note(format!("{} rows, {} questions", rows.len(), questions.len()));

    let started = Instant::now();
    let texts: Vec<&str> = rows.iter().map(|row| row.row.text.as_str()).collect();
    let floats = encoder.encode(&texts)?;
    let encoding = started.elapsed().as_secs_f64();
    let ints: Vec<Vec<i8>> =
        floats.iter().map(|vector| inference::encoder::quantise(vector)).collect();
    vectors::compare(&floats, &ints, &mut sheet);

    let dir = tempfile::tempdir()?;
    let space = VectorSpace {
        encoder: encoder.hash(),
        dimension: u32::try_from(encoder.dimension())?,
        scale: VECTOR_SCALE,
    };
    let library = Library::open(dir.path(), space)?;
    let version = DatanetVersion { datanet: [1; 32], version: 1 };
    let edition = Edition { version, registered: 1, private: false };
    let started = Instant::now();
    library.add(edition, rows.iter().map(|row| &row.row).zip(ints.iter().map(Vec::as_slice)))?;
    let indexing = started.elapsed().as_secs_f64();
    let thousands = rows.len() as f64 / 1000.0;
    sheet.at_most("encode and index 1,000 rows", (encoding + indexing) / thousands, "s", 60.0);
    sheet.value("of it indexing", indexing / thousands, "s");
    sheet.value("index bytes per row", library.bytes() as f64 / rows.len() as f64, "B");

    let caller = Caller::default();
    let outcome = questions::ask(&library, &encoder, &questions, &caller)?;
    outcome.report(&mut sheet);
    sheet.write(Path::new(results))?;
    Ok(())
}

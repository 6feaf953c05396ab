//! Measures the payout argument and its openings, each result checked, and reports them:
//!
//! - `bench_prover measure <folder> [g1.point]` writes `prover_times.json`, and proofs for the
//!   contracts' part in `prover_proofs.json`
//! - `bench_prover report <folder>` prints a table of that and of the files of gas that the tests of
//!   `test/bench` write, and writes `prover.json` and `prover.svg`

#[path = "../ledgers/mod.rs"]
mod ledgers;
mod measure;
mod merkle;
mod plot;
mod report;
#[path = "../ledgers/vector.rs"]
mod vector;

use std::path::Path;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["measure", folder] => measure::measure(Path::new(folder), None),
        ["measure", folder, powers] => measure::measure(Path::new(folder), Some(Path::new(powers))),
        ["report", folder] => report::report(Path::new(folder)),
        _ => Err("usage: bench_prover measure <folder> [g1.point] | report <folder>".into()),
    }
}

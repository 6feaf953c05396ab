//! Measures serving with adapters, and reports it: `bench_inference <part> <cache> <results>
//! [--quick] [--only TEXT] [--python PATH]`, where `<cache>` holds what `bench/inference/make_model.py` made.
//!
//! - `compare`: tokens per second, beside transformers with PEFT and llama.cpp, taking turns
//! - `registered`, `slots`, `memory`, `soak`: ten thousand adapters on a model of 1 M weights
//! - `switch`: how long an adapter takes to come
//! - `weights`: what quantised weights cost in perplexity, and in training on them
//! - `report`: prints the table of all parts, writes `inference.json` and the plots
//!
//! Run it from the repository's root. Each part writes `inference-<part>.json`; one process for each, so that memory is its own.

mod chart;
mod compare;
mod disk;
mod memory;
mod peer;
mod registered;
mod report;
mod serve;
mod sheet;
mod slots;
mod small;
mod soak;
mod switch;
mod weights;
mod zipf;

use std::path::PathBuf;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a run is told.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// Models, adapters.
    pub(crate) cache: PathBuf,
    /// Where results go.
    pub(crate) results: PathBuf,
    /// Fewer repeats, to see that everything works.
    pub(crate) quick: bool,
    /// Of the comparison, only cases whose name has this in it.
    pub(crate) only: Option<String>,
    /// Interpreter of the peers; without one they are left out.
    pub(crate) python: Option<PathBuf>,
}

const USAGE: &str = "usage: bench_inference compare|switch|registered|slots|memory|soak|weights|report \
                     <cache> <results> [--quick] [--only TEXT] [--python PATH]";

fn arguments() -> Result<(String, Arguments), Failure> {
    let mut given = std::env::args().skip(1);
    let mut next = || given.next().ok_or(USAGE);
    let (part, cache, results) = (next()?, next()?.into(), next()?.into());
    let mut arguments = Arguments { cache, results, quick: false, only: None, python: None };
    while let Some(option) = given.next() {
        match option.as_str() {
            "--quick" => arguments.quick = true,
            "--only" => arguments.only = Some(given.next().ok_or(USAGE)?),
            "--python" => arguments.python = Some(given.next().ok_or(USAGE)?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    Ok((part, arguments))
}

fn main() -> Result<(), Failure> {
    let (part, arguments) = arguments()?;
    std::fs::create_dir_all(&arguments.results)?;
    let sheet = match part.as_str() {
        "compare" => compare::measure(&arguments)?,
        "switch" => switch::measure(&arguments)?,
        "registered" => registered::measure(&arguments)?,
        "slots" => slots::measure(&arguments)?,
        "memory" => memory::measure(&arguments)?,
        "soak" => soak::measure(&arguments)?,
        "weights" => weights::measure(&arguments)?,
        "report" => return report::report(&arguments.results),
        _ => return Err(USAGE.into()),
    };
    sheet.write(&arguments.results, &part)
}

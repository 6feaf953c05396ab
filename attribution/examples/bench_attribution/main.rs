//! Measures attribution against retraining, beside its baselines and dattri's methods.
//!
//! ```text
//! bench_attribution plan FOLDER                            which rows each method would remove (drops.json)
//! bench_attribution measure FOLDER RESULTS                 figures of one task
//! bench_attribution speed FOLDER MODEL RESULTS [--quick]   times with the project's model
//! bench_attribution report RESULTS                         table, attribution.json, plots
//! ```

mod chart;
mod fixed_order;
mod methods;
mod payouts;
mod quality;
mod report;
mod sheet;
mod speed;
mod task;

use std::{env, error::Error, path::Path, process::ExitCode};

/// Whatever stops a run.
type Failure = Box<dyn Error + Send + Sync>;

fn run(arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        ["plan", folder] => quality::plan(Path::new(folder)),
        ["measure", folder, results] => quality::measure(Path::new(folder), Path::new(results)),
        ["speed", folder, model, results, rest @ ..] => {
            let [folder, model, results] = [folder, model, results].map(Path::new);
            speed::measure(folder, model, results, rest.contains(&"--quick"))
        }
        ["report", results] => report::report(Path::new(results)),
        _ => Err("usage: bench_attribution plan|measure|speed|report ...".into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

//! Prints how long batches take to prove and to verify, each checked, by rows: `cargo run -p prover
//! --example prove_batch [cache of the setup]`.

mod ledgers;

use std::{path::PathBuf, time::Instant};

use ledgers::Size;
use prover::{
    DEFAULT_PAGE_SIZE, Srs,
    argument::{PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts,
};

const CHAIN: u64 = 161_201;

/// Calls, contributors and scored contributors of ledgers of 1024, 16 384 and 65 536 rows.
const SIZES: [(u32, u32, u8); 3] = [(22, 64, 32), (380, 1_024, 32), (1_530, 4_096, 32)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::env::args().nth(1).map_or_else(|| folder.path().join("setup"), PathBuf::from);
    let srs = Srs::dev_cached(&path, CHAIN, b"timings", 1 << 19)?;
    let key = VerifierKey::new(&srs, DEFAULT_PAGE_SIZE)?;
    srs.prepare(DEFAULT_PAGE_SIZE)?;
    println!("{} threads, pages of {DEFAULT_PAGE_SIZE}", rayon::current_num_threads());
    for (calls, contributors, credits) in SIZES {
        let size = Size { calls, contributors, stride: 1, credits, channels: 8 };
        let ledger = ledgers::ledger(1, size);
        let start = Instant::now();
        let committed = commit_ledger(&srs, &ledger)?;
        let pages = commit_payouts(&srs, DEFAULT_PAGE_SIZE, ledger.payouts())?;
        let commitments = start.elapsed();
        let statement = PayoutStatement::of_ledger(&ledger, &committed, pages, [0xce; 32]);
        println!("{} rows, {} earners", committed.rows(), ledger.payouts().len());
        println!("  {:<36} {:>8.3} s", "ledger and payouts committed", commitments.as_secs_f64());
        let start = Instant::now();
        let mut last = start;
        let processor = processor_seconds();
        let proof =
            prove_payouts(&srs, &key, &statement, &committed, ledger.payouts(), |progress| {
                let stage =
                    format!("{} ({} of {})", progress.ended.name(), progress.done, progress.of);
                println!("  {stage:<36} {:>8.3} s", last.elapsed().as_secs_f64());
                last = Instant::now();
            })?;
        println!("  {:<36} {:>8.3} s", "proven", start.elapsed().as_secs_f64());
        println!(
            "  {:<36} {:>8.3} s",
            "processor time of the proof",
            processor_seconds() - processor
        );
        let start = Instant::now();
        assert!(key.verify(&statement, &proof), "an honest proof holds");
        println!("  {:<36} {:>8.3} s", "verified", start.elapsed().as_secs_f64());
        println!("  {:<36} {:>8} bytes", "proof", 32 * proof.to_words().len());
    }
    Ok(())
}

/// Time that all threads of this process have run, in seconds; zero where it is not told.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    // Ticks of a hundredth, as Linux counts on all of our machines.
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

//! Times and memory.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use attribution::settle::{EarnerIndex, Ledger};
use prover::{
    DEFAULT_PAGE_SIZE, EIGENDA_TAU_G2, EarningsPage, Srs,
    argument::{PayoutStatement, VerifierKey, prove_payouts},
    commit_ledger, commit_payouts,
};
use serde_json::{Value, json};

use super::{
    Failure,
    ledgers::{self, Size},
    merkle::Tree,
    vector::{g1, g2, statement_vector, with_proof},
};

const CHAIN: u64 = 161_201;

/// Names of ledgers, calls, contributors and scored contributors of a call. Of those of the last,
/// 4,092 are of use, so that it pays 4,096 earners: with them treasury, stakers and two owners.
const LEDGERS: [(&str, u32, u32, u8); 3] = [
    ("1,024 rows", 22, 64, 32),
    ("16,384 rows", 380, 1_024, 32),
    ("65,536 rows", 1_530, 4_300, 32),
];

/// Pages of small networks.
const SMALL_PAGE: u32 = 1 << 12;

/// What was measured, in order: name, value, unit.
struct Sheet(Vec<Value>);

impl Sheet {
    fn note(&mut self, name: &str, value: f64, unit: &str) {
        println!("  {name:<64} {value:>10.3} {unit}");
        self.0.push(json!({ "name": name, "value": value, "unit": unit }));
    }

    /// Notes the time that passes and the time that processors work.
    fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let (start, processors) = (Instant::now(), processor_seconds());
        let result = work();
        self.note(name, start.elapsed().as_secs_f64(), "s");
        self.note(&format!("{name}: processor time"), processor_seconds() - processors, "s");
        result
    }
}

pub(crate) fn measure(folder: &Path, powers: Option<&Path>) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let srs = match powers {
        Some(path) => Srs::eigenda(path, 1 << 19, EIGENDA_TAU_G2)?,
        None => Srs::dev(CHAIN, b"bench", 1 << 19)?,
    };
    srs.prepare(DEFAULT_PAGE_SIZE)?;
    srs.prepare(SMALL_PAGE)?;
    println!("{} threads", rayon::current_num_threads());
    let mut sheet = Sheet(Vec::new());
    let mut proofs = Vec::new();
    for (name, calls, contributors, credits) in LEDGERS {
        let size = Size { calls, contributors, stride: 1, credits, channels: 8 };
        let ledger = ledgers::ledger(1, size);
        proofs.push(prove(&srs, &mut sheet, name, &ledger, DEFAULT_PAGE_SIZE)?);
        sheet.note(&format!("{name}: most memory so far"), peak_mebibytes(), "MiB");
    }
    let (_, calls, contributors, credits) = LEDGERS[0];
    let size = Size { calls, contributors, stride: 1, credits, channels: 8 };
    prove(&srs, &mut sheet, "1,024 rows, page of 2^12", &ledgers::ledger(1, size), SMALL_PAGE)?;
    // The same calls, paid for by one payer and spread over two pages.
    let size = Size { channels: 1, ..size };
    let payer = ledgers::ledger(1, size);
    proofs.push(prove(&srs, &mut sheet, "1,024 rows, one payer", &payer, DEFAULT_PAGE_SIZE)?);
    let spread = ledgers::ledger(1, Size { stride: 2_000, ..size });
    proofs.push(prove(&srs, &mut sheet, "1,024 rows, two pages", &spread, DEFAULT_PAGE_SIZE)?);

    for page_size in [SMALL_PAGE, DEFAULT_PAGE_SIZE] {
        open(&srs, &mut sheet, page_size)?;
    }
    root(&mut sheet);
    let key = VerifierKey::new(&srs, DEFAULT_PAGE_SIZE)?;
    let proofs = json!({
        "tau_g2": g2(srs.tau_g2_evm()),
        "keys": [{ "page_size": DEFAULT_PAGE_SIZE, "identity": g1(key.identity().into()) }],
        "valid": proofs,
    });
    fs::write(folder.join("prover_proofs.json"), serde_json::to_string_pretty(&proofs)? + "\n")?;
    let times = json!({ "rows": sheet.0 });
    fs::write(folder.join("prover_times.json"), serde_json::to_string_pretty(&times)? + "\n")?;
    Ok(())
}

fn prove(
    srs: &Srs,
    sheet: &mut Sheet,
    name: &str,
    ledger: &Ledger,
    page_size: u32,
) -> Result<Value, Failure> {
    let key = VerifierKey::new(srs, page_size)?;
    let committed = commit_ledger(srs, ledger)?;
    let pages = commit_payouts(srs, page_size, ledger.payouts())?;
    let statement = PayoutStatement::of_ledger(ledger, &committed, pages, [0xce; 32]);
    sheet.note(&format!("{name}: rows"), committed.rows() as f64, "rows");
    sheet.note(&format!("{name}: earners paid"), ledger.payouts().len() as f64, "earners");
    let proof = sheet.time(&format!("{name}: proof"), || {
        prove_payouts(srs, &key, &statement, &committed, ledger.payouts(), |_| {})
    })?;
    let start = Instant::now();
    assert!(key.verify(&statement, &proof), "an honest proof holds");
    sheet.note(&format!("{name}: verified in Rust"), start.elapsed().as_secs_f64(), "s");
    Ok(with_proof(statement_vector(&key, &statement, name), &proof))
}

fn earnings(count: u32) -> BTreeMap<EarnerIndex, u64> {
    (1..=count).map(|i| (EarnerIndex(i), u64::from(i) * 1_000_000_007)).collect()
}

/// Openings of a page of which one earner in sixteen has earned something.
fn open(srs: &Srs, sheet: &mut Sheet, page_size: u32) -> Result<(), Failure> {
    let page = EarningsPage::new(page_size, 0, &earnings(page_size / 16))?;
    let name = format!("page of 2^{}", page_size.ilog2());
    let single = sheet.time(&format!("{name}: one opening"), || page.open(srs, EarnerIndex(16)))?;
    // What follows from the setup alone is not part of it.
    page.open_all(srs, |_| {})?;
    let all = sheet.time(&format!("{name}: all openings"), || page.open_all(srs, |_| {}))?;
    assert_eq!(all[16], single, "both ways give the same");
    Ok(())
}

/// A cumulative Merkle root of as many earners.
fn root(sheet: &mut Sheet) {
    let earnings = earnings(4_096);
    let tree = sheet.time("Merkle root of 4,096 earners", || Tree::new(&earnings));
    let (earner, proof) = (EarnerIndex(77), tree.proof(76));
    assert!(tree.holds(earner, earnings[&earner], 76, &proof), "the proof holds");
}

/// Time that all threads of this process have run, in seconds; zero where it is not told.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    // Ticks of a hundredth, as Linux counts.
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory that this process has had; zero where it is not told.
fn peak_mebibytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}

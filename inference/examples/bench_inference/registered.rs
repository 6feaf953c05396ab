//! Throughput against the number of registered adapters, which only memory and the disk can hold.

use inference::{
    adapter::{AdapterSet, StoreConfig},
    engine::{EngineConfig, EngineHandle, Request},
    scheduler::SchedulerConfig,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    Arguments, Failure,
    serve::{in_turn, request},
    sheet::{Row, Sheet, Target, paired},
    small::{ADAPTERS, Small},
    zipf::Zipf,
};

const CLIENTS: usize = 16;
const PROMPT: usize = 32;
const TOKENS: usize = 64;
const COUNTS: [usize; 3] = [1, 100, ADAPTERS];

fn name(count: usize) -> String {
    format!("{count} registered, Zipf, {CLIENTS} clients")
}

/// Room for some of the adapters: 64 in slots, about 700 as files in memory.
pub(crate) fn store() -> StoreConfig {
    StoreConfig { resident_slots: 64, host_bytes: 32 << 20, ..StoreConfig::default() }
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let small = Small::open(&arguments.cache)?;
    let (rounds, each) = if arguments.quick { (1, 2) } else { (7, 16) };
    let scheduler = SchedulerConfig { prefix_cache: false, ..SchedulerConfig::default() };
    let config = EngineConfig { scheduler, adapters: store(), ..EngineConfig::default() };
    let mut engines: Vec<(usize, EngineHandle, Vec<f64>)> = Vec::new();
    for count in COUNTS {
        let engine = small.engine(config.clone(), count)?;
        // Fills the tiers.
        let few = if arguments.quick { 32 } else { 1000 };
        in_turn(&engine, &requests(&small, count, few, 2, 0), CLIENTS)?;
        engines.push((count, engine, Vec::new()));
    }
    for round in 1..=rounds {
        for (count, engine, rates) in &mut engines {
            let requests = requests(&small, *count, each * CLIENTS, TOKENS, round);
            let (served, seconds) = in_turn(engine, &requests, CLIENTS)?;
            let tokens: usize = served.iter().map(|served| served.tokens.len()).sum();
            rates.push(tokens as f64 / seconds);
        }
    }
    let mut sheet = Sheet::default();
    let first = engines[0].2.clone();
    for (count, _, rates) in &engines {
        let mut row = Row::median(&name(*count), rates, "tokens/s");
        if *count > 1 {
            row.ratio = Some(paired(rates, &first));
            row.peer = Some(name(1));
            row.target = Some(Target::RatioAtLeast(0.85));
        }
        sheet.push(row);
    }
    Ok(sheet)
}

/// Requests that name adapters by popularity.
fn requests(
    small: &Small,
    adapters: usize,
    count: usize,
    tokens: usize,
    round: u64,
) -> Vec<Request> {
    let (zipf, mut rng) = (Zipf::new(adapters), ChaCha8Rng::seed_from_u64(round));
    let mut draw = |_| {
        let set = AdapterSet::one(small.hashes[zipf.draw(&mut rng)]);
        request(&small.prompt(&mut rng, PROMPT), set, tokens)
    };
    (0..count).map(&mut draw).collect()
}

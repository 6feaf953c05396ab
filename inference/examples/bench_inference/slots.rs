//! More adapters in use than slots: what that does to the time to the first token.

use std::time::Duration;

use inference::{
    adapter::{AdapterSet, StoreConfig},
    engine::{EngineConfig, EngineHandle, Request},
    scheduler::SchedulerConfig,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Arguments, Failure,
    serve::{at_times, in_turn, request},
    sheet::{Row, Sheet, Target, quantile},
    small::Small,
};

const SLOTS: usize = 8;
const PROMPT: usize = 32;
const TOKENS: usize = 16;
/// Part of the requests per second that 8 adapters in 8 slots serve to 16 clients who ask on and on.
const LOAD: f64 = 0.5;

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let small = Small::open(&arguments.cache)?;
    let (rounds, count) = if arguments.quick { (1, 100) } else { (5, 2_000) };
    let scheduler = SchedulerConfig { prefix_cache: false, ..SchedulerConfig::default() };
    let adapters = StoreConfig { resident_slots: SLOTS, ..StoreConfig::default() };
    let config = EngineConfig { scheduler, adapters, ..EngineConfig::default() };
    let few = small.engine(config.clone(), SLOTS)?;
    let many = small.engine(config, 64)?;
    let capacity = capacity(&small, &few, count / 4)?;
    in_turn(&many, &requests(&small, 64, count / 4, 1), 16)?;

    let (mut few_waits, mut many_waits) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (engine, hot, waits) in [(&few, 8, &mut few_waits), (&many, 64, &mut many_waits)] {
            let requests = requests(&small, hot, count, round);
            let mut rng = ChaCha8Rng::seed_from_u64(1_000 + round);
            let mut at = 0.0;
            // Times between arrivals of a Poisson process.
            let timed: Vec<(Duration, Request)> = requests
                .into_iter()
                .map(|request| {
                    at -= (1.0 - rng.random::<f64>()).ln() / (LOAD * capacity);
                    (Duration::from_secs_f64(at), request)
                })
                .collect();
            let firsts: Vec<f64> =
                at_times(engine, &timed)?.iter().map(|served| 1e3 * served.first).collect();
            waits.push((quantile(&firsts, 0.5), quantile(&firsts, 0.99)));
        }
    }
    let mut sheet = Sheet::default();
    sheet.push(Row::of("requests per second offered to 8 slots", LOAD * capacity, "1/s"));
    let of = |waits: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        waits.iter().map(which).collect()
    };
    for (hot, waits) in [(8, &few_waits), (64, &many_waits)] {
        let name = format!("{hot} hot adapters in 8 slots: median time to first token");
        sheet.push(Row::median(&name, &of(waits, |w| w.0), "ms"));
    }
    let (few, many) = (of(&few_waits, |w| w.1), of(&many_waits, |w| w.1));
    let peer = "8 hot adapters in 8 slots: p99 time to first token";
    let base = Row::median(peer, &few, "ms");
    let row = Row::median("64 hot adapters in 8 slots: p99 time to first token", &many, "ms");
    let row = row.against(peer, base.value, Target::RatioAtMost(3.0));
    sheet.push(base);
    sheet.push(row);
    Ok(sheet)
}

/// Requests per second at most.
fn capacity(small: &Small, engine: &EngineHandle, count: usize) -> Result<f64, Failure> {
    let requests = requests(small, SLOTS, count, 0);
    in_turn(engine, &requests, 16)?;
    let (_, seconds) = in_turn(engine, &requests, 16)?;
    Ok(count as f64 / seconds)
}

/// Requests to `hot` adapters, all equally popular.
fn requests(small: &Small, hot: usize, count: usize, round: u64) -> Vec<Request> {
    let mut rng = ChaCha8Rng::seed_from_u64(round);
    let mut draw = |_| {
        let set = AdapterSet::one(small.hashes[rng.random_range(0..hot)]);
        request(&small.prompt(&mut rng, PROMPT), set, TOKENS)
    };
    (0..count).map(&mut draw).collect()
}

//! Memory with ten thousand registered adapters, when every tier is full.

use inference::{
    adapter::{AdapterSet, StoreConfig},
    engine::{EngineConfig, Request},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Arguments, Failure,
    serve::{in_turn, request},
    sheet::{Row, Sheet, resident_mebibytes},
    small::{ADAPTERS, Small},
};

const MEBIBYTE: usize = 1 << 20;
/// Less than all adapters take: both tiers fill.
const RESIDENT: usize = 64 * MEBIBYTE;
const HOST: usize = 192 * MEBIBYTE;
const CLIENTS: usize = 16;
/// Keys and values take memory as they come into use; a small pool is in use as a whole from the start.
const KV_TOKENS: usize = 1 << 12;

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let small = Small::open(&arguments.cache)?;
    let adapters = StoreConfig {
        resident_slots: ADAPTERS,
        resident_bytes: RESIDENT,
        host_bytes: HOST,
        ..StoreConfig::default()
    };
    let config = EngineConfig { adapters, kv_tokens: KV_TOKENS, ..EngineConfig::default() };
    let engine = small.engine(config, 0)?;
    let count = if arguments.quick { 2_000 } else { 20_000 };
    // The same requests to the base: whatever fills with use is full.
    in_turn(&engine, &requests(&small, count.min(4_000), false), CLIENTS)?;
    let base = resident_mebibytes();
    small.register(&engine, ADAPTERS)?;
    let registered = resident_mebibytes();
    let mut most = registered;
    for requests in requests(&small, count, true).chunks(500) {
        in_turn(&engine, requests, CLIENTS)?;
        most = most.max(resident_mebibytes());
    }
    let tiers = engine.store().stats();
    let budget = ((RESIDENT + HOST) / MEBIBYTE) as f64;
    let mut sheet = Sheet::default();
    let part = |bytes: usize| bytes as f64 / MEBIBYTE as f64;
    sheet.push(Row::of("memory of the small model's engine, no adapter", base, "MiB"));
    sheet.push(Row::of("memory of 10,000 registrations", registered - base, "MiB"));
    sheet.push(Row::of("budget of both memory tiers", budget, "MiB"));
    let (resident, host) = (part(tiers.resident_bytes), part(tiers.host_bytes));
    sheet.push(Row::of("adapters in slots at the end", resident, "MiB"));
    sheet.push(Row::of("adapters' files in memory at the end", host, "MiB"));
    let row = Row::of("memory with 10,000 registered, tiers full", most, "MiB");
    sheet.push(row.at_most((base + budget) * 1.05));
    Ok(sheet)
}

/// Requests of the base model, or of all adapters alike.
fn requests(small: &Small, count: usize, adapters: bool) -> Vec<Request> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut draw = |_| {
        let hash = small.hashes[rng.random_range(0..ADAPTERS)];
        let set = if adapters { AdapterSet::one(hash) } else { AdapterSet::base() };
        request(&small.prompt(&mut rng, 16), set, 4)
    };
    (0..count).map(&mut draw).collect()
}

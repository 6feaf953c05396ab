//! How long an adapter takes to come: rank 16 at every projection of the model of 134 M weights.

use std::{path::PathBuf, sync::Arc, time::Instant};

use inference::{
    adapter::{AdapterHash, AdapterSet, AdapterStore, Registration, StoreConfig, WEIGHTS_FILE},
    engine::{Engine, EngineConfig, EngineHandle},
    model::{Decoder, Site},
    scheduler::SchedulerConfig,
    tokenizer::Tokenizer,
};

use super::{
    Arguments, Failure,
    compare::Workload,
    disk::forget,
    serve::{read, request},
    sheet::{Row, Sheet, quantile},
};

/// Where an adapter is when it is asked for: the tier, the store's bounds, the target in ms.
const TIERS: [(&str, Tier, Option<f64>); 4] = [
    ("resident", Tier::Slot, Some(1.0)),
    ("in host memory", Tier::Host, Some(5.0)),
    ("on disk, in the system's cache", Tier::Cached, None),
    ("cold on disk", Tier::Disk, Some(20.0)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Slot,
    Host,
    Cached,
    Disk,
}

impl Tier {
    /// A store that keeps adapters there, and none nearer but the one asked for last.
    fn config(self) -> StoreConfig {
        let (resident_slots, host_bytes) = match self {
            Self::Slot => (64, 1 << 30),
            Self::Host => (1, 1 << 30),
            Self::Cached | Self::Disk => (1, 0),
        };
        StoreConfig { resident_slots, host_bytes, ..StoreConfig::default() }
    }
}

/// The adapters' folders and hashes.
type Adapters = Vec<(PathBuf, AdapterHash)>;

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let workload = Workload::load(&arguments.cache)?;
    let rounds = if arguments.quick { 2 } else { 16 };
    let folder = arguments.cache.join("base");
    let decoder = Arc::new(Decoder::load(&folder)?);
    let tokenizer = Arc::new(Tokenizer::load(&folder)?);
    let mut sheet = Sheet::default();
    let place = |number| arguments.cache.join(format!("adapter-{number}"));
    let mut adapters = Adapters::new();
    let store = AdapterStore::new(decoder.sites().to_vec(), StoreConfig::default())?;
    for dir in (0..workload.adapters).map(place) {
        let hash = store.load(&dir)?.hash;
        adapters.push((dir, hash));
    }
    drop(store);
    for (name, tier, most) in TIERS {
        let times = leases(decoder.sites(), &adapters, tier, rounds)?;
        let p95 = quantile(&times, 0.95);
        let row = Row::median(&format!("{name}: median time to a lease"), &times, "ms");
        sheet.push(row);
        let row = Row::of(&format!("{name}: p95 time to a lease"), p95, "ms");
        sheet.push(most.map_or(row.clone(), |most| row.at_most(most)));
    }
    let prompt = &workload.prompts[0][..1];
    let engine = engine(&decoder, &tokenizer, StoreConfig::default())?;
    let base = firsts(&engine, prompt, rounds, None, false)?;
    let base = Row::median("time to first token of one prompt token, base", &base, "ms");
    let base_value = base.value;
    sheet.push(base);
    for (name, tier, _) in TIERS {
        let engine = self::engine(&decoder, &tokenizer, tier.config())?;
        register(engine.store(), &adapters)?;
        let times = firsts(&engine, prompt, rounds, Some(&adapters), tier == Tier::Disk)?;
        let over: Vec<f64> = times.iter().map(|time| time - base_value).collect();
        let row = format!("{name}: p95 time to first token, over the base's median");
        sheet.push(Row::of(&row, quantile(&over, 0.95), "ms"));
    }
    sheet.note("The switch targets are held against the time to a lease: from asking the store until the \
                adapter is pinned in its slot. The time to the first token has the adapter's own work in it.");
    Ok(sheet)
}

fn register(store: &AdapterStore, adapters: &Adapters) -> Result<(), Failure> {
    for (dir, hash) in adapters {
        let source = store.folder(dir);
        store.register(Registration { name: None, owner: None, source, hash: Some(*hash) })?;
    }
    Ok(())
}

/// Milliseconds until each adapter is leased, in turns.
fn leases(
    sites: &[Site],
    adapters: &Adapters,
    tier: Tier,
    rounds: usize,
) -> Result<Vec<f64>, Failure> {
    let store = AdapterStore::new(sites.to_vec(), tier.config())?;
    register(&store, adapters)?;
    // The first time, content is proven against its hash.
    for (_, hash) in adapters {
        store.acquire(&AdapterSet::one(*hash))?;
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        for (dir, hash) in adapters {
            if tier == Tier::Disk {
                forget(&dir.join(WEIGHTS_FILE))?;
            }
            let start = Instant::now();
            let leases = store.acquire(&AdapterSet::one(*hash))?;
            times.push(1e3 * start.elapsed().as_secs_f64());
            drop(leases);
        }
    }
    Ok(times)
}

fn engine(
    decoder: &Arc<Decoder>,
    tokenizer: &Arc<Tokenizer>,
    adapters: StoreConfig,
) -> Result<EngineHandle, Failure> {
    let scheduler = SchedulerConfig { prefix_cache: false, ..SchedulerConfig::default() };
    let config = EngineConfig { scheduler, adapters, ..EngineConfig::default() };
    Ok(Engine::start(Arc::clone(decoder), Arc::clone(tokenizer), config)?)
}

/// Milliseconds until the first token of requests one after another; with adapters, each with the next.
fn firsts(
    engine: &EngineHandle,
    prompt: &[u32],
    rounds: usize,
    adapters: Option<&Adapters>,
    cold: bool,
) -> Result<Vec<f64>, Failure> {
    let none = Adapters::new();
    let adapters = adapters.unwrap_or(&none);
    let mut times = Vec::new();
    for index in 0..(rounds + 1) * 16 {
        let next = adapters.get(index % adapters.len().max(1));
        if let Some((dir, _)) = next.filter(|_| cold) {
            forget(&dir.join(WEIGHTS_FILE))?;
        }
        let set = next.map_or_else(AdapterSet::base, |(_, hash)| AdapterSet::one(*hash));
        let since = Instant::now();
        let served = read(engine.submit(request(prompt, set, 1))?, since)?;
        // The first round brings adapters to their tier.
        if index >= 16 {
            times.push(1e3 * served.first);
        }
    }
    Ok(times)
}

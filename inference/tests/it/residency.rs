//! More adapters than slots, through the engine.

use std::time::{Duration, Instant};

use inference::{
    adapter::{AdapterHash, AdapterSet, StoreConfig},
    engine::{EngineConfig, EngineHandle, Request},
    sampler::Sampling,
    scheduler::SchedulerConfig,
};

use crate::fixture::{AdapterFiles, Answer, MODULES, answer, engine};

const ADAPTERS: usize = 9;

fn load(engine: &EngineHandle, dir: &std::path::Path) -> Vec<AdapterHash> {
    let load = |i: usize| {
        let folder = dir.join(i.to_string());
        AdapterFiles::random(engine.decoder(), i as u64, 1 + i % 5, &MODULES).write(&folder);
        engine.load_adapter(&folder).unwrap().hash
    };
    (0..ADAPTERS).map(load).collect()
}

fn requests(hashes: &[AdapterHash]) -> Vec<Request> {
    let request = |i: usize| {
        let one = hashes[i * 5 % ADAPTERS];
        let adapters = match i % 6 {
            0 => AdapterSet::base(),
            1 => AdapterSet::new(vec![(one, 0.5), (hashes[(i * 5 + 1) % ADAPTERS], 0.7)]).unwrap(),
            _ => AdapterSet::one(one),
        };
        let sampling = Sampling {
            temperature: 0.9,
            seed: i as u64,
            max_tokens: 3 + i % 7,
            ..Sampling::default()
        };
        let prompt = (0..5 + i as u32 % 20).map(|at| at * 11 % 250).collect();
        Request { prompt, adapters, sampling, tenant: i as u64 % 4, ..Request::default() }
    };
    (0..72).map(request).collect()
}

fn config(slots: usize) -> EngineConfig {
    let adapters = StoreConfig { resident_slots: slots, ..StoreConfig::default() };
    let scheduler = SchedulerConfig { max_running: 6, ..SchedulerConfig::default() };
    EngineConfig { scheduler, adapters, ..EngineConfig::default() }
}

/// Two and three slots for nine adapters: each request still gets its own adapters' answer.
#[test]
fn adapters_come_just_in_time_and_never_the_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let ample = engine(config(32));
    let hashes = load(&ample, dir.path());
    let expected: Vec<Answer> = requests(&hashes)
        .into_iter()
        .map(|request| answer(ample.submit(request).unwrap()))
        .collect();
    for slots in [2, 3] {
        let scarce = engine(config(slots));
        assert_eq!(load(&scarce, dir.path()), hashes);
        let running: Vec<_> =
            requests(&hashes).into_iter().map(|request| scarce.submit(request).unwrap()).collect();
        for (i, (events, expected)) in running.into_iter().zip(&expected).enumerate() {
            assert_eq!(&answer(events), expected, "request {i} over {slots} slots");
        }
        // The last step is counted after its answers are sent.
        let start = Instant::now();
        while scarce.stats().finished < 72 && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(scarce.stats().finished, 72);
        assert!(scarce.stats().most_adapters <= slots);
    }
}

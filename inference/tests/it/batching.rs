//! A request's answer does not depend on what else the engine does.

use std::{sync::Arc, time::Instant};

use inference::{
    Result,
    adapter::{Adapter, AdapterHash, AdapterSet},
    engine::{EngineConfig, EngineHandle, Request},
    kv::KvPool,
    layers::lora::{GroupedDelta, Sites},
    model::SiteWeights,
    sampler::Sampling,
    scheduler::{Adapters, NewSequence, Part, Readiness, Scheduler, SchedulerConfig, SequenceId},
    step::{SequenceSpan, SlotId, Step},
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::fixture::{AdapterFiles, Answer, MODULES, answer, decoder, engine, spec};

const RANKS: [usize; 4] = [1, 3, 8, 17];

/// Loads four adapters of different rank and sites, in this order.
fn load(engine: &EngineHandle, order: [usize; 4]) -> [AdapterHash; 4] {
    let dir = tempfile::tempdir().unwrap();
    let mut hashes = [AdapterHash([0; 32]); 4];
    for i in order {
        let projections = &MODULES[i % 2..7 - i];
        let files = AdapterFiles::random(engine.decoder(), i as u64, RANKS[i], projections);
        let folder = dir.path().join(i.to_string());
        files.write(&folder);
        hashes[i] = engine.load_adapter(&folder).unwrap().hash;
    }
    hashes
}

/// Base, single adapters and ensembles, of different lengths, greedy and sampled.
fn requests(hashes: [AdapterHash; 4]) -> Vec<Request> {
    let [a, b, c, d] = hashes;
    let sets = [
        AdapterSet::base(),
        AdapterSet::one(a),
        AdapterSet::one(b),
        AdapterSet::one(c),
        AdapterSet::one(d),
        AdapterSet::new(vec![(a, 0.5), (b, 0.5)]).unwrap(),
        AdapterSet::new(vec![(b, 1.5), (c, -0.25), (d, 0.75)]).unwrap(),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let request = |i: usize| {
        let length = [1, 2, 7, 33, 70][i % 5];
        let prompt = (0..length).map(|_| rng.random_range(2..258)).collect();
        let temperature = if i.is_multiple_of(3) { 0.0 } else { 0.9 };
        let top_k = if i.is_multiple_of(4) { 20 } else { 0 };
        let sampling = Sampling {
            temperature,
            top_k,
            top_p: 0.95,
            seed: i as u64,
            max_tokens: 4 + 5 * (i % 4),
            ..Sampling::default()
        };
        Request { prompt, adapters: sets[i % sets.len()].clone(), sampling, ..Request::default() }
    };
    (0..21).map(request).collect()
}

fn config(max_running: usize, step_tokens: usize, kv_tokens: usize) -> EngineConfig {
    let scheduler =
        SchedulerConfig { max_running, step_tokens, max_waiting: 64, ..SchedulerConfig::default() };
    EngineConfig { scheduler, kv_tokens, ..EngineConfig::default() }
}

#[test]
fn mixed_batch_equals_each_request_alone() {
    let alone = engine(config(1, 1000, 128));
    let requests_alone = requests(load(&alone, [0, 1, 2, 3]));
    let expected: Vec<Answer> =
        requests_alone.iter().map(|r| answer(alone.submit(r.clone()).unwrap())).collect();
    let distinct: std::collections::BTreeSet<_> = expected.iter().map(|a| &a.tokens).collect();
    assert!(distinct.len() > 15, "answers should differ between requests");

    let mut rng = ChaCha8Rng::seed_from_u64(4);
    // Batches of different sizes, prompts in different chunks, adapters in other slots, requests in
    // other orders.
    let orders = [[3, 1, 0, 2], [2, 3, 1, 0], [1, 0, 3, 2]];
    for (sizes, order) in [(21, 400, 1600), (5, 9, 640), (9, 10, 640)].into_iter().zip(orders) {
        let engine = engine(config(sizes.0, sizes.1, sizes.2));
        let requests = requests(load(&engine, order));
        // The second time finds the first's beginnings.
        for _ in 0..2 {
            let mut arrival: Vec<usize> = (0..requests.len()).collect();
            arrival.shuffle(&mut rng);
            let submit = |&i: &usize| {
                let tenant = i as u64 % 3;
                (i, engine.submit(Request { tenant, ..requests[i].clone() }).unwrap())
            };
            let running: Vec<_> = arrival.iter().map(submit).collect();
            for (i, events) in running {
                assert_eq!(answer(events), expected[i], "request {i} in a batch of {sizes:?}");
            }
        }
        let counters = engine.stats().scheduler;
        assert!(counters.shared_tokens > 0, "{counters:?} in {sizes:?}");
    }
}

/// Long answers of requests that begin alike, with room for two of six, with and without shared
/// beginnings: the seed alone decides the text.
#[test]
fn preempted_sequences_keep_their_answers() {
    let ask = |hashes: [AdapterHash; 4], i: usize| {
        let prompt = (0..20 + i as u32).map(|at| at * 7 % 250).collect();
        let adapters =
            if i.is_multiple_of(3) { AdapterSet::base() } else { AdapterSet::one(hashes[i % 3]) };
        let sampling = Sampling {
            temperature: 0.8,
            min_p: 0.01,
            repetition_penalty: 1.1,
            frequency_penalty: 0.2,
            seed: i as u64 / 3,
            max_tokens: 60,
            ..Sampling::default()
        };
        Request { prompt, adapters, sampling, ..Request::default() }
    };
    let alone = engine(config(1, 1000, 128));
    let hashes = load(&alone, [0, 1, 2, 3]);
    let expected: Vec<Answer> =
        (0..6).map(|i| answer(alone.submit(ask(hashes, i)).unwrap())).collect();
    assert_ne!(expected[1].tokens, expected[4].tokens);
    for prefix_cache in [false, true] {
        let mut config = config(6, 40, 176);
        config.scheduler.prefix_cache = prefix_cache;
        let engine = engine(config);
        let hashes = load(&engine, [2, 1, 0, 3]);
        let running: Vec<_> = (0..6).map(|i| engine.submit(ask(hashes, i)).unwrap()).collect();
        for (events, expected) in running.into_iter().zip(&expected) {
            assert_eq!(&answer(events), expected);
        }
        let counters = engine.stats().scheduler;
        assert!(counters.preemptions > 2, "{counters:?}");
        assert_eq!(counters.shared_tokens > 0, prefix_cache, "{counters:?}");
    }
}

/// Every adapter is in the slot that its hash tells.
struct InSlots;

impl Adapters for InSlots {
    fn request(&mut self, _: SequenceId, set: &AdapterSet) -> Result<Readiness> {
        let part = |(hash, scale): &(AdapterHash, f32)| {
            let slot = u32::from(hash.0[0]);
            Part { slot: SlotId(slot), rank: RANKS[slot as usize - 1], scale: *scale }
        };
        Ok(Readiness::Ready(set.parts().iter().map(part).collect()))
    }

    fn release(&mut self, _: SequenceId) {}

    fn prefetch(&mut self, _: &AdapterSet) {}
}

#[test]
fn logits_of_a_mixed_step_are_the_bits_of_each_sequence_alone() {
    let decoder = decoder(spec());
    let adapters: Vec<Arc<Sites>> = (0..4)
        .map(|i| {
            let files = AdapterFiles::random(&decoder, i as u64, RANKS[i], &MODULES);
            let dir = tempfile::tempdir().unwrap();
            files.write(dir.path());
            let adapter = Adapter::load(dir.path(), None, decoder.sites(), 1 << 20).unwrap();
            Arc::clone(adapter.sites())
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let sets: [&[(u32, f32)]; 6] =
        [&[], &[(1, 1.0)], &[(2, 1.0)], &[(1, 0.5), (3, 2.0)], &[(2, 0.3), (4, 1.0)], &[(3, 1.0)]];

    let mut pool = KvPool::new(decoder.kv_shape(), 1024);
    let config = SchedulerConfig {
        max_running: 12,
        step_tokens: 500,
        max_waiting: 12,
        ..SchedulerConfig::default()
    };
    let mut scheduler = Scheduler::new(config).unwrap();
    let mut prompts = Vec::new();
    for i in 0..12 {
        let prompt: Vec<u32> = (0..1 + 5 * i).map(|_| rng.random_range(0..258)).collect();
        let part = |&(slot, scale): &(u32, f32)| (AdapterHash([slot as u8; 32]), scale);
        let adapters = AdapterSet::new(sets[i % 6].iter().map(part).collect()).unwrap();
        let new = NewSequence {
            prompt: prompt.clone(),
            max_tokens: 1,
            adapters,
            ..NewSequence::default()
        };
        scheduler.submit(new).unwrap();
        prompts.push(prompt);
    }
    let planned = scheduler.plan(&mut pool, &mut InSlots, Instant::now());
    let plan = planned.plan.unwrap();
    let find = |slot: SlotId| adapters.get(slot.0 as usize - 1).cloned();
    let delta = GroupedDelta::new(&plan.step.segments, |s| find(s.slot)).unwrap();
    let together = decoder.forward(&plan.step, Some(&mut pool), &delta).unwrap();
    let together = decoder.logits(&together).unwrap().to_vec2::<f32>().unwrap();

    for (id, span) in plan.sequences.iter().zip(&plan.step.sequences) {
        let i = id.0 as usize;
        let mut pool = KvPool::new(decoder.kv_shape(), prompts[i].len().next_multiple_of(16));
        let lease = pool.reserve(prompts[i].len()).unwrap();
        let mut step = Step::whole([prompts[i].as_slice()]);
        step.sequences[0] = SequenceSpan { range: 0..prompts[i].len(), cache: lease.id() };
        let parts: Vec<_> =
            sets[i % 6].iter().map(|&(s, w)| (find(SlotId(s)).unwrap(), w)).collect();
        let delta = GroupedDelta::uniform(&parts, prompts[i].len());
        let alone = decoder.forward(&step, Some(&mut pool), &delta).unwrap();
        let alone = decoder.logits(&alone).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(alone, together[span.range.clone()], "sequence {i}");
    }
}

/// `sum_k w_k s_k B_k A_k` is one adapter whose ranks are stacked.
#[test]
fn ensemble_equals_the_sum_of_its_parts() {
    let decoder = decoder(spec());
    let load = |i: usize| {
        let files = AdapterFiles::random(&decoder, i as u64, RANKS[i], &MODULES);
        let dir = tempfile::tempdir().unwrap();
        files.write(dir.path());
        Adapter::load(dir.path(), None, decoder.sites(), 1 << 20).unwrap()
    };
    let (first, second) = (load(1), load(2));
    let stack = |(f, s): (SiteWeights, SiteWeights)| {
        let rank = f.rank + s.rank;
        let scaled = |w: &SiteWeights, weight: f32| -> Vec<Vec<f32>> {
            w.b.chunks(w.rank).map(|r| r.iter().map(|v| v * weight * w.scale).collect()).collect()
        };
        let rows = scaled(&f, 0.75).into_iter().zip(scaled(&s, -0.5));
        let b = rows.flat_map(|(f, s)| [f, s].concat()).collect();
        SiteWeights { rank, a: [f.a, s.a].concat(), b, scale: 1.0, ..s }
    };
    let sum: Vec<SiteWeights> =
        first.weights().into_iter().zip(second.weights()).map(stack).collect();
    let sum = Sites::new(&sum).unwrap();

    let tokens: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 258).collect();
    let step = Step::whole([tokens.as_slice()]);
    let logits = |parts: &[(Arc<Sites>, f32)]| {
        let hidden = decoder.forward(&step, None, &GroupedDelta::uniform(parts, 40)).unwrap();
        decoder.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let ensemble = logits(&[(Arc::clone(first.sites()), 0.75), (Arc::clone(second.sites()), -0.5)]);
    let stacked = logits(&[(Arc::new(sum), 1.0)]);
    let base = logits(&[]);
    let distance =
        |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0f32, f32::max);
    assert!(distance(&ensemble, &stacked) < 1e-4, "{}", distance(&ensemble, &stacked));
    assert!(distance(&ensemble, &base) > 0.5);
}

//! How fast the committed model serves.

use std::{path::Path, sync::Arc, time::Instant};

use inference::{
    adapter::AdapterSet,
    engine::{Engine, EngineConfig, Event, Request},
    model::Decoder,
    sampler::Sampling,
    tokenizer::Tokenizer,
};

use crate::fixture::{AdapterFiles, MODULES};

const PROMPT: usize = 64;
const TOKENS: usize = 96;

/// Tokens per second of 1 and 8 requests at once: on the base, on one rank-8 adapter, on eight.
#[test]
#[ignore = "measures, asserts only that everything is served"]
fn tokens_per_second() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    let decoder = Arc::new(Decoder::load(&model).unwrap());
    let tokenizer = Arc::new(Tokenizer::load(&model).unwrap());
    println!("{} weights, {PROMPT} prompt tokens", decoder.spec().parameter_count());
    let engine = Engine::start(Arc::clone(&decoder), tokenizer, EngineConfig::default()).unwrap();
    let mut sets = vec![AdapterSet::base()];
    let mut load_times = Vec::new();
    for seed in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        AdapterFiles::random(&decoder, seed, 8, &MODULES).write(dir.path());
        let start = Instant::now();
        sets.push(AdapterSet::one(engine.load_adapter(dir.path()).unwrap().hash));
        load_times.push(start.elapsed());
    }
    load_times.sort();
    println!("loading an adapter: median {:?}", load_times[4]);
    // Which set each request has; the base is the first.
    let cases: [(&str, &[usize]); 5] = [
        ("1 request, base", &[0]),
        ("1 request, adapter", &[1]),
        ("8 requests, base", &[0; 8]),
        ("8 requests, one adapter", &[1; 8]),
        ("8 requests, eight adapters", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ];
    for (name, chosen) in cases {
        let (mut total, cpu) = (0, cpu_seconds());
        let mut rates: Vec<f64> = (0..5)
            .map(|round| {
                let numbered = chosen.iter().enumerate();
                let requests =
                    numbered.map(|(i, set)| request(&decoder, round * 8 + i, &sets[*set]));
                let start = Instant::now();
                let running: Vec<_> = requests.map(|r| engine.submit(r).unwrap()).collect();
                let tokens: usize = running.into_iter().map(finished_tokens).sum();
                total += tokens;
                tokens as f64 / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let (low, median, high) = (rates[0], rates[2], rates[4]);
        let of_cpu = total as f64 / (cpu_seconds() - cpu);
        println!("{name}: {median:.0} tokens/s ({low:.0} to {high:.0}), {of_cpu:.0} a CPU second");
    }
}

/// Time of a step on a model so small that most of it is the engine's own.
#[test]
#[ignore = "measures, asserts only that everything is served"]
fn time_of_a_step() {
    for count in [1usize, 8, 32] {
        let engine = crate::fixture::engine(EngineConfig::default());
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let running: Vec<_> = (0..count)
            .map(|seed| {
                let sampling = Sampling {
                    temperature: 1.0,
                    seed: seed as u64,
                    max_tokens: 800,
                    ..Sampling::default()
                };
                let prompt = vec![3 + seed as u32; 4];
                engine.submit(Request { prompt, sampling, ..Request::default() }).unwrap()
            })
            .collect();
        let tokens: usize = running.into_iter().map(finished_tokens).sum();
        let (steps, seconds) = (engine.stats().steps, start.elapsed().as_secs_f64());
        let (step, cpu) =
            (1e6 * seconds / steps as f64, 1e6 * (cpu_seconds() - cpu) / steps as f64);
        println!("{count} sequences: {step:.0} us a step, {cpu:.0} us of CPU, {tokens} tokens");
    }
}

/// CPU time of this process, which says more than the clock on a machine that is shared.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

fn request(decoder: &Decoder, seed: usize, adapters: &AdapterSet) -> Request {
    let vocab = decoder.spec().vocab_size;
    let prompt = (0..PROMPT).map(|i| ((i * 31 + seed * 17) % vocab) as u32).collect();
    let (temperature, seed, max_tokens) = (1.0, seed as u64, TOKENS);
    let sampling = Sampling { temperature, seed, max_tokens, ..Sampling::default() };
    Request { prompt, adapters: adapters.clone(), sampling, ..Request::default() }
}

fn finished_tokens(mut events: tokio::sync::mpsc::Receiver<Event>) -> usize {
    loop {
        match events.blocking_recv() {
            Some(Event::Token { .. }) => {}
            Some(Event::Finished { answer, .. }) => return answer.completion.len(),
            other => panic!("not served: {other:?}"),
        }
    }
}

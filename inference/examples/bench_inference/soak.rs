//! A hundred thousand short requests over ten thousand adapters, some of them given up, each answer
//! held against what its adapter gives alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use inference::{
    adapter::AdapterSet,
    engine::{EngineConfig, EngineHandle, Event},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    Arguments, Failure,
    registered::store,
    serve::request,
    sheet::{Row, Sheet, resident_mebibytes},
    small::{ADAPTERS, Small},
    zipf::Zipf,
};

const CLIENTS: usize = 32;
/// Prompts; adapter `i` is always asked the prompt `i % PROMPTS`.
const PROMPTS: usize = 4;
const PROMPT: usize = 24;
const MOST_TOKENS: usize = 8;
/// Fewer than all clients could use at once, so that blocks run out as well.
const KV_TOKENS: usize = 768;
/// Part of the requests whose client goes away.
const GIVEN_UP: f64 = 0.05;

/// One request: its adapter, the length of its answer, and after how many events its client goes away.
#[derive(Clone, Copy, Debug)]
struct Asked {
    adapter: usize,
    tokens: usize,
    gives_up: Option<usize>,
}

/// What came of the requests.
#[derive(Debug, Default)]
struct Tally {
    right: AtomicUsize,
    given_up: AtomicUsize,
    /// Answers of something else than the adapter.
    wrong: AtomicUsize,
    /// Requests without an answer.
    failed: AtomicUsize,
    done: AtomicUsize,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let small = Small::open(&arguments.cache)?;
    let count = if arguments.quick { 2_000 } else { 100_000 };
    let asked = asked(count);
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let prompts: Vec<_> = (0..PROMPTS).map(|_| small.prompt(&mut rng, PROMPT)).collect();
    let numbers: BTreeSet<usize> = asked.iter().map(|asked| asked.adapter).collect();
    let numbers: Vec<usize> = numbers.into_iter().collect();
    println!("  {count} requests to {} adapters", numbers.len());
    let alone = |&number: &usize| {
        Ok((number, small.alone(number, &prompts[number % PROMPTS], MOST_TOKENS)?))
    };
    let expected: BTreeMap<usize, Vec<u32>> =
        numbers.par_iter().map(alone).collect::<Result<_, Failure>>()?;
    let different: BTreeSet<&Vec<u32>> = expected.values().collect();

    let config =
        EngineConfig { adapters: store(), kv_tokens: KV_TOKENS, ..EngineConfig::default() };
    let engine = small.engine(config, ADAPTERS)?;
    let (tally, start) = (Tally::default(), Instant::now());
    let next = AtomicUsize::new(0);
    let memory = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(asked) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let prompt = &prompts[asked.adapter % PROMPTS];
                    let set = AdapterSet::one(small.hashes[asked.adapter]);
                    let expected = &expected[&asked.adapter][..asked.tokens];
                    one(&engine, &tally, prompt, set, expected, asked.gives_up);
                }
            });
        }
        watch(&tally, count)
    });
    let seconds = start.elapsed().as_secs_f64();
    let left = left_behind(&engine);

    let mut sheet = Sheet::default();
    let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as f64;
    sheet.push(Row::of("soak: requests", count as f64, "requests"));
    sheet.push(Row::of("soak: requests per second", count as f64 / seconds, "1/s"));
    sheet.push(Row::of("soak: answers as the adapter gives alone", load(&tally.right), "requests"));
    sheet.push(Row::of("soak: given up by the client", load(&tally.given_up), "requests"));
    sheet.push(
        Row::of("soak: answers of another adapter", load(&tally.wrong), "requests").at_most(0.0),
    );
    sheet.push(Row::of("soak: errors", load(&tally.failed), "requests").at_most(0.0));
    let same = (expected.len() - different.len()) as f64 / expected.len() as f64;
    let name = "soak: adapters whose whole answer another one gives too";
    sheet.push(Row::of(name, 100.0 * same, "%"));
    let (early, late) = memory;
    sheet.push(Row::of("soak: most memory in the second quarter", early, "MiB"));
    let growth = Row::of("soak: most memory in the last quarter, over that", late - early, "MiB");
    sheet.push(growth.at_most(0.01 * early));
    let name = "soak: slots and KV blocks held when all is over";
    sheet.push(Row::of(name, left as f64, "").at_most(0.0));
    Ok(sheet)
}

fn asked(count: usize) -> Vec<Asked> {
    let (zipf, mut rng) = (Zipf::new(ADAPTERS), ChaCha8Rng::seed_from_u64(1612));
    let mut draw = |_| Asked {
        adapter: zipf.draw(&mut rng),
        tokens: rng.random_range(1..=MOST_TOKENS),
        gives_up: rng.random_bool(GIVEN_UP).then(|| rng.random_range(0..3)),
    };
    (0..count).map(&mut draw).collect()
}

/// One request and what came of it. `expected` is the whole answer.
fn one(
    engine: &EngineHandle,
    tally: &Tally,
    prompt: &[u32],
    set: AdapterSet,
    expected: &[u32],
    gives_up: Option<usize>,
) {
    let counter = match engine.submit(request(prompt, set, expected.len())) {
        Err(error) => {
            eprintln!("refused: {error}");
            &tally.failed
        }
        Ok(mut events) => {
            let mut seen = 0;
            loop {
                if gives_up == Some(seen) {
                    break &tally.given_up;
                }
                match events.blocking_recv() {
                    Some(Event::Token { id, .. }) if expected.get(seen) == Some(&id) => seen += 1,
                    Some(Event::Finished { answer, .. }) if answer.completion == expected => {
                        break &tally.right;
                    }
                    Some(Event::Token { .. } | Event::Finished { .. }) => break &tally.wrong,
                    other => {
                        eprintln!("not served: {other:?}");
                        break &tally.failed;
                    }
                }
            }
        }
    };
    counter.fetch_add(1, Ordering::Relaxed);
    tally.done.fetch_add(1, Ordering::Relaxed);
}

/// Shows progress until all is done. Returns the most memory in the second and the last quarter.
fn watch(tally: &Tally, count: usize) -> (f64, f64) {
    let style =
        ProgressStyle::with_template("  {bar:30} {pos}/{len} {elapsed}<{eta} {per_sec} {msg}");
    let bar = ProgressBar::new(count as u64).with_style(style.expect("the template is valid"));
    let (mut early, mut late) = (0.0f64, 0.0f64);
    loop {
        let done = tally.done.load(Ordering::Relaxed);
        let memory = resident_mebibytes();
        match 4 * done / count {
            1 => early = early.max(memory),
            3 | 4 => late = late.max(memory),
            _ => {}
        }
        bar.set_position(done as u64);
        bar.set_message(format!("{memory:.1} MiB"));
        if done >= count {
            bar.finish();
            return (early, late);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Leases of slots, and blocks of running sequences, a moment after the last request.
fn left_behind(engine: &EngineHandle) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let stats = engine.stats();
        let held: usize = engine.adapters().iter().map(|info| info.in_flight).sum();
        let left = held + stats.blocks - stats.free_blocks + stats.running + stats.waiting;
        if left == 0 || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

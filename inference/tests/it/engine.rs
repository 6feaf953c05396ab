//! The engine's life: seeds, stopping, cancelling, queues, shutdown.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use inference::{
    Error,
    adapter::{AdapterHash, AdapterSet, BankConfig},
    config::{LlamaSizes, ModelSpec},
    engine::{Engine, EngineConfig, EngineHandle, Event, FinishReason, Request},
    sampler::Sampling,
    scheduler::SchedulerConfig,
};

use crate::fixture::{AdapterFiles, EOS, MODULES, answer, decoder, engine, sizes, spec, tokenizer};

/// Longer than any test may take: such a request ends by being cancelled.
const ENDLESS: usize = 60_000;

fn request(max_tokens: usize) -> Request {
    let sampling = Sampling { temperature: 1.0, seed: 7, max_tokens, ..Sampling::default() };
    Request { prompt: vec![0, 50, 60, 70], adapters: AdapterSet::base(), sampling }
}

fn one_at_a_time(max_waiting: usize) -> EngineConfig {
    let scheduler = SchedulerConfig { max_running: 1, step_tokens: 64, max_waiting };
    EngineConfig { scheduler, kv_tokens: 1 << 16, adapters: BankConfig::default() }
}

fn load(engine: &EngineHandle) -> AdapterHash {
    let dir = tempfile::tempdir().unwrap();
    AdapterFiles::random(engine.decoder(), 1, 4, &MODULES).write(dir.path());
    engine.load_adapter(dir.path()).unwrap().hash
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_seed_gives_the_same_answer_after_a_restart_and_another_seed_another() {
    let run = |seed| {
        let mut request = request(30);
        request.sampling.seed = seed;
        answer(engine(EngineConfig::default()).submit(request).unwrap())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).tokens, run(2).tokens);
    assert_eq!(run(1).reason, FinishReason::Length);
    assert_eq!(run(1).tokens.len(), 30);
}

#[test]
fn answers_end_at_end_tokens_and_before_stop_strings() {
    let free = answer(engine(EngineConfig::default()).submit(request(60)).unwrap());
    // A stop string from the middle of the answer, in plain ASCII so that it is surely text.
    let ascii = free.text.bytes().position(|byte| byte.is_ascii_graphic()).unwrap();
    let stop = free.text[ascii..].chars().next().unwrap().to_string();
    let mut stopping = request(60);
    stopping.sampling.stop = vec!["never to be seen".into(), stop.clone()];
    let stopped = answer(engine(EngineConfig::default()).submit(stopping).unwrap());
    assert_eq!(stopped.reason, FinishReason::StopString);
    assert_eq!(stopped.text, free.text[..free.text.find(&stop).unwrap()]);
    assert_eq!(stopped.tokens[..], free.tokens[..stopped.tokens.len()]);

    // The same model with one of its own tokens as end token.
    let end = free.tokens[20].0;
    let model = decoder(ModelSpec { eos: vec![end, EOS], ..spec() });
    let engine = Engine::start(model, tokenizer(), EngineConfig::default()).unwrap();
    let ended = answer(engine.submit(request(60)).unwrap());
    assert_eq!(ended.reason, FinishReason::EndOfText);
    let first = free.tokens.iter().position(|(id, _)| *id == end).unwrap();
    assert_eq!(ended.tokens[..], free.tokens[..=first]);
}

#[test]
fn bad_requests_are_refused_before_they_are_queued() {
    let engine = engine(EngineConfig { kv_tokens: 100, ..EngineConfig::default() });
    let change = |f: &dyn Fn(&mut Request)| {
        let mut request = request(10);
        f(&mut request);
        engine.submit(request).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(change(&|r| r.prompt.clear()).contains("empty"));
    assert!(change(&|r| r.prompt[1] = 258).contains("token 258"));
    assert!(change(&|r| r.prompt = vec![5; 91]).contains("91 prompt tokens"));
    assert!(change(&|r| r.sampling.max_tokens = usize::MAX).contains("more than 100"));
    assert!(change(&|r| r.sampling.max_tokens = 0).contains("max_tokens"));
    assert!(change(&|r| r.sampling.temperature = 3.0).contains("temperature"));
    assert!(change(&|r| r.sampling.top_p = f32::NAN).contains("top_p"));
    let unknown = AdapterSet::one(AdapterHash([9; 32]));
    let missing = engine.submit(Request { adapters: unknown, ..request(10) });
    assert!(matches!(missing, Err(Error::UnknownAdapter(hash)) if hash.starts_with("0x0909")));
    assert_eq!(change(&|_| ()), "");
}

#[test]
fn a_full_queue_is_busy_and_recovers() {
    let engine = engine(one_at_a_time(2));
    let mut running = engine.submit(request(ENDLESS)).unwrap();
    assert!(matches!(running.blocking_recv(), Some(Event::Token { .. })));
    let waiting: Vec<_> = (0..2).map(|_| engine.submit(request(3)).unwrap()).collect();
    assert!(matches!(engine.submit(request(3)), Err(Error::Busy(2))));
    drop(running);
    for events in waiting {
        assert_eq!(answer(events).tokens.len(), 3);
    }
    assert_eq!(answer(engine.submit(request(3)).unwrap()).tokens.len(), 3);
}

#[test]
fn a_dropped_receiver_frees_slot_and_cache_and_adapter() {
    let engine = engine(one_at_a_time(8));
    let adapter = load(&engine);
    let with_adapter =
        |max_tokens| Request { adapters: AdapterSet::one(adapter), ..request(max_tokens) };
    let mut running = engine.submit(with_adapter(ENDLESS)).unwrap();
    running.blocking_recv().unwrap();
    let waiting = engine.submit(with_adapter(ENDLESS)).unwrap();
    assert_eq!(engine.adapters()[0].in_flight, 2);
    // One that waits and one that runs.
    drop(waiting);
    drop(running);
    wait_until("both are cancelled", || engine.adapters()[0].in_flight == 0);
    assert_eq!(answer(engine.submit(request(5)).unwrap()).tokens.len(), 5);
}

#[test]
fn an_unloaded_adapter_finishes_what_it_began() {
    let engine = engine(EngineConfig::default());
    let adapter = load(&engine);
    let asked = Request { adapters: AdapterSet::one(adapter), ..request(300) };
    let expected = answer(engine.submit(asked.clone()).unwrap());
    assert_ne!(expected.tokens, answer(engine.submit(request(300)).unwrap()).tokens);

    let events = engine.submit(asked.clone()).unwrap();
    engine.unload_adapter(adapter).unwrap();
    assert!(matches!(engine.submit(asked), Err(Error::UnknownAdapter(_))));
    // Another adapter must not take over the slot while it is in use.
    let dir = tempfile::tempdir().unwrap();
    AdapterFiles::random(engine.decoder(), 2, 4, &MODULES).write(dir.path());
    engine.load_adapter(dir.path()).unwrap();
    assert_eq!(answer(events), expected);
}

#[test]
fn an_adapter_that_overflows_fails_its_own_request_only() {
    let engine = engine(EngineConfig::default());
    let expected = answer(engine.submit(request(60)).unwrap());
    let mut files = AdapterFiles::random(engine.decoder(), 1, 4, &MODULES);
    files.tensors.iter_mut().flat_map(|(_, _, values)| values).for_each(|v| *v *= 1e38);
    let dir = tempfile::tempdir().unwrap();
    files.write(dir.path());
    let adapters = AdapterSet::one(engine.load_adapter(dir.path()).unwrap().hash);
    let sound = engine.submit(request(60)).unwrap();
    let mut broken = engine.submit(Request { adapters, ..request(60) }).unwrap();
    assert!(
        matches!(broken.blocking_recv(), Some(Event::Failed { reason }) if reason.contains("logit"))
    );
    assert_eq!(answer(sound), expected);
}

#[test]
fn shutdown_finishes_what_runs_and_fails_what_waits() {
    let engine = engine(one_at_a_time(8));
    let mut running = engine.submit(request(1500)).unwrap();
    running.blocking_recv().unwrap();
    let mut waiting = engine.submit(request(1500)).unwrap();
    engine.shutdown();
    assert!(matches!(waiting.blocking_recv(), Some(Event::Failed { .. })));
    let mut events = std::iter::from_fn(|| running.blocking_recv());
    assert!(
        matches!(events.by_ref().last(), Some(Event::Finished { completion, .. }) if completion.len() == 1500)
    );
    assert!(matches!(engine.submit(request(1)), Err(Error::Stopped)));
}

#[test]
fn the_last_handle_ends_the_engine_after_its_requests() {
    let engine = engine(EngineConfig::default());
    let model = Arc::clone(engine.decoder());
    let mut events = engine.submit(request(40)).unwrap();
    events.blocking_recv().unwrap();
    drop(engine);
    assert!(matches!(
        std::iter::from_fn(|| events.blocking_recv()).last(),
        Some(Event::Finished { .. })
    ));
    wait_until("the thread has let go of the model", || Arc::strong_count(&model) == 1);
}

#[test]
fn contradicting_bounds_and_foreign_tokenizers_are_refused() {
    let mut config = EngineConfig::default();
    config.scheduler.step_tokens = config.scheduler.max_running;
    assert!(Engine::start(decoder(spec()), tokenizer(), config).is_err());
    let small = decoder(LlamaSizes { vocab_size: 100, ..sizes() }.spec().unwrap());
    assert!(matches!(
        Engine::start(small, tokenizer(), EngineConfig::default()),
        Err(Error::Tokenizer(_))
    ));
}

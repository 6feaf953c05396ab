//! The engine's life: seeds, stopping, cancelling, queues, shutdown.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use inference::{
    Error,
    adapter::{AdapterHash, AdapterSet},
    config::{LlamaSizes, ModelSpec},
    engine::{Engine, EngineConfig, EngineHandle, Event, FinishReason, Request},
    kv::{CacheId, KvCache},
    model::{Decoder, NoAdapter},
    sampler::{Sampling, TokenMask},
    scheduler::SchedulerConfig,
    step::{SequenceSpan, Step},
};

use crate::fixture::{AdapterFiles, EOS, MODULES, answer, decoder, engine, sizes, spec, tokenizer};

/// Longer than any test may take: such a request ends by being cancelled.
const ENDLESS: usize = 60_000;

fn request(max_tokens: usize) -> Request {
    let sampling = Sampling { temperature: 1.0, seed: 7, max_tokens, ..Sampling::default() };
    Request { prompt: vec![0, 50, 60, 70], sampling, ..Request::default() }
}

fn one_at_a_time(max_waiting: usize) -> EngineConfig {
    let scheduler = SchedulerConfig {
        max_running: 1,
        step_tokens: 64,
        max_waiting,
        ..SchedulerConfig::default()
    };
    EngineConfig { scheduler, kv_tokens: 1 << 16, ..EngineConfig::default() }
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
    let engine = engine(EngineConfig { kv_tokens: 111, ..EngineConfig::default() });
    let change = |f: &dyn Fn(&mut Request)| {
        let mut request = request(10);
        f(&mut request);
        engine.submit(request).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(change(&|r| r.prompt.clear()).contains("empty"));
    assert!(change(&|r| r.prompt[1] = 258).contains("token 258"));
    assert!(change(&|r| r.prompt = vec![5; 87]).contains("87 prompt tokens"));
    assert!(change(&|r| r.sampling.max_tokens = usize::MAX).contains("more than 96"));
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
    assert!(matches!(engine.submit(request(3)), Err(Error::Busy { waiting: 2, retry_after: 1.. })));
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
    // One that runs; the other gets its adapter when it starts.
    assert_eq!(engine.adapters()[0].in_flight, 1);
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
    wait_until("it has started", || engine.stats().running == 1);
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
        matches!(events.by_ref().last(), Some(Event::Finished { answer, .. }) if answer.completion.len() == 1500)
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
fn a_deadline_ends_what_runs_and_what_waits() {
    let engine = engine(one_at_a_time(8));
    let soon = |millis| Some(Instant::now() + Duration::from_millis(millis));
    let mut running = engine.submit(Request { deadline: soon(300), ..request(ENDLESS) }).unwrap();
    let mut waiting = engine.submit(Request { deadline: soon(100), ..request(10) }).unwrap();
    let late = engine.submit(Request { deadline: soon(60_000), ..request(10) }).unwrap();
    let Some(Event::Expired { answer: nothing }) = waiting.blocking_recv() else {
        panic!("what waits expires");
    };
    assert_eq!((nothing.prompt_tokens, nothing.completion.len()), (4, 0));
    let events: Vec<Event> = std::iter::from_fn(|| running.blocking_recv()).collect();
    let tokens = events.iter().filter(|event| matches!(event, Event::Token { .. })).count();
    let Some(Event::Expired { answer: part }) = events.last() else {
        panic!("what runs expires");
    };
    assert!(tokens > 0 && tokens == part.completion.len());
    assert_eq!(answer(late).tokens.len(), 10);
    assert_eq!(engine.stats().expired, 2);
}

#[test]
fn a_tenant_does_not_wait_for_another_s_queue() {
    let engine = engine(one_at_a_time(100));
    let hog: Vec<_> =
        (0..30).map(|_| engine.submit(Request { tenant: 1, ..request(40) }).unwrap()).collect();
    let other = engine.submit(Request { tenant: 2, ..request(5) }).unwrap();
    assert_eq!(answer(other).tokens.len(), 5);
    let finished = engine.stats().finished;
    assert!(finished <= 5, "{finished} of the other tenant's went first");
    hog.into_iter().for_each(|events| drop(answer(events)));
}

#[test]
fn stop_tokens_end_the_answer_and_are_not_shown() {
    let engine = engine(EngineConfig::default());
    let free = answer(engine.submit(request(60)).unwrap());
    let stop = free.tokens[30].0;
    let mut stopping = request(60);
    stopping.sampling.stop_tokens = vec![EOS, stop];
    let stopped = answer(engine.submit(stopping).unwrap());
    let first = free.tokens.iter().position(|(id, _)| *id == stop).unwrap();
    assert_eq!(stopped.reason, FinishReason::EndOfText);
    assert_eq!(stopped.tokens[..], free.tokens[..=first]);
    assert!(free.text.starts_with(stopped.text.trim_end_matches('\u{fffd}')));
}

/// Allows even ids only.
struct Even;

impl TokenMask for Even {
    fn allow(&mut self, logits: &mut [f32]) {
        logits.iter_mut().skip(1).step_by(2).for_each(|logit| *logit = f32::NEG_INFINITY);
    }

    fn commit(&mut self, token: u32) {
        assert_eq!(token % 2, 0);
    }
}

#[test]
fn a_mask_restricts_an_answer_and_logprobs_are_told() {
    let engine = engine(EngineConfig::default());
    let mut asked = request(40);
    asked.sampling.top_logprobs = 3;
    let mut events = engine.submit_masked(asked, Box::new(Even)).unwrap();
    let mut count = 0;
    while let Some(Event::Token { id, logprob, top, .. }) = events.blocking_recv() {
        assert_eq!((id % 2, top.len()), (0, 3));
        assert!(top.is_sorted_by(|a, b| a.1 >= b.1) && top[0].1 >= logprob);
        assert!(top.iter().all(|(other, theirs)| *other != id || *theirs == logprob));
        count += 1;
    }
    assert_eq!(count, 40);
}

#[test]
fn what_an_engine_tells_about_itself_adds_up() {
    let engine = engine(EngineConfig::default());
    let prompt: Vec<u32> = (0..40).collect();
    let asked = Request { prompt, ..request(10) };
    let first = answer(engine.submit(asked.clone()).unwrap());
    let mut events = engine.submit(asked).unwrap();
    let Some(Event::Finished { answer: second, .. }) =
        std::iter::from_fn(|| events.blocking_recv()).last()
    else {
        panic!("it finishes");
    };
    assert_eq!(second.completion, first.tokens.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    assert_eq!((second.prompt_tokens, second.cached_tokens), (40, 32));
    wait_until("the last step is counted", || engine.stats().running == 0);
    let stats = engine.stats();
    // Forty and eight of the prompt, and all answers but their last tokens.
    assert_eq!((stats.tokens, stats.generated, stats.finished), (40 + 8 + 18, 20, 2));
    assert_eq!((stats.scheduler.known_tokens, stats.scheduler.shared_tokens), (80, 32));
    assert_eq!((stats.time_to_first_token.count(), stats.queue_time.count()), (2, 2));
    assert_eq!(stats.time_between_tokens.count(), 18);
    assert_eq!((stats.waiting, stats.free_blocks), (0, stats.blocks));
    assert_eq!(stats.shared_blocks, 3);
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

#[test]
fn answers_to_one_prompt_share_its_computation_and_have_seeds_of_their_own() {
    let prompt: Vec<u32> = (0..40).map(|i| 2 + i * 5 % 250).collect();
    let asked = Request { prompt, ..request(12) };
    let alone = |seed| {
        let mut request = asked.clone();
        request.sampling.seed = seed;
        answer(engine(EngineConfig::default()).submit(request).unwrap())
    };
    for prefix_cache in [true, false] {
        let scheduler = SchedulerConfig { prefix_cache, ..SchedulerConfig::default() };
        let engine = engine(EngineConfig { scheduler, ..EngineConfig::default() });
        let receivers = engine.submit_n(asked.clone(), 4).unwrap();
        let answers: Vec<_> = receivers.into_iter().map(answer).collect();
        for (index, answer) in answers.iter().enumerate() {
            assert_eq!(*answer, alone(7 + index as u64), "answer {index}");
        }
        assert_ne!(answers[0].tokens, answers[1].tokens);
        wait_until("the last step is counted", || engine.stats().running == 0);
        let stats = engine.stats();
        // The prompt once, its last token for each of the others, all answers but their last tokens.
        assert_eq!((stats.tokens, stats.generated), (40 + 3 + 4 * 11, 48));
        assert_eq!((stats.finished, stats.free_blocks), (4, stats.blocks));
    }
}

#[test]
fn each_of_several_answers_is_masked_and_cancelled_by_itself_and_counts_in_the_queue() {
    let engine = engine(one_at_a_time(4));
    let masks = || -> Vec<Box<dyn TokenMask>> { vec![Box::new(Even), Box::new(Even)] };
    let mut receivers = engine.submit_n_masked(request(20), masks()).unwrap();
    drop(receivers.remove(0));
    let left = answer(receivers.remove(0));
    assert!(left.tokens.len() == 20 && left.tokens.iter().all(|(id, _)| id % 2 == 0));
    assert!(matches!(engine.submit_n(request(20), 5), Err(Error::Busy { .. })));
    assert!(matches!(engine.submit_n(request(20), usize::MAX), Err(Error::Busy { .. })));
    assert!(matches!(engine.submit_n(request(20), 0), Err(Error::Request(_))));
    let all = engine.submit_n(request(20), 4).unwrap();
    all.into_iter().for_each(|events| assert_eq!(answer(events).tokens.len(), 20));
}

/// A model whose layers all have a window.
fn windowed(window: usize) -> Arc<Decoder> {
    let mut config = spec().source;
    config.insert("model_type".into(), "mistral".into());
    config.insert("architectures".into(), serde_json::json!(["MistralForCausalLM"]));
    config.insert("sliding_window".into(), window.into());
    for name in ["attention_bias", "mlp_bias", "rope_scaling"] {
        config.remove(name);
    }
    decoder(ModelSpec::parse(&serde_json::Value::Object(config).to_string()).unwrap())
}

#[test]
fn blocks_behind_every_window_are_free_and_answers_are_unchanged() {
    let model = windowed(20);
    let prompt: Vec<u32> = (0..70).map(|i| 2 + i * 7 % 250).collect();
    let sampling = Sampling { max_tokens: 100, ..Sampling::default() };
    let asked = Request { prompt: prompt.clone(), sampling, ..Request::default() };
    // Greedy, with a cache that keeps everything.
    let mut cache = KvCache::default();
    let (mut tokens, mut computed) = (prompt, 0);
    while tokens.len() < 170 {
        let range = 0..tokens.len() - computed;
        let step = Step {
            tokens: tokens[computed..].to_vec(),
            positions: (computed as u32..tokens.len() as u32).collect(),
            sequences: vec![SequenceSpan { range, cache: CacheId(0) }],
            ..Step::default()
        };
        let hidden = model.forward(&step, Some(&mut cache), &NoAdapter).unwrap();
        computed = tokens.len();
        let logits = model.logits(&hidden).unwrap().to_vec2::<f32>().unwrap();
        let row = logits.last().unwrap();
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)));
        tokens.push(best.unwrap() as u32);
    }
    for prefix_cache in [false, true] {
        let scheduler =
            SchedulerConfig { prefix_cache, step_tokens: 33, ..SchedulerConfig::default() };
        let config = EngineConfig { scheduler, kv_tokens: 512, ..EngineConfig::default() };
        let engine = Engine::start(Arc::clone(&model), tokenizer(), config).unwrap();
        let mut receivers = engine.submit_n(asked.clone(), 2).unwrap();
        let second = receivers.pop().unwrap();
        let mut events = receivers.pop().unwrap();
        let mut count = 0;
        while count < 95 {
            assert!(matches!(events.blocking_recv(), Some(Event::Token { .. })));
            count += 1;
        }
        // Of ten blocks for 165 tokens each sequence holds those of 20 tokens, and one that is
        // registered.
        let stats = engine.stats();
        let (held, most) = (stats.blocks - stats.free_blocks, 2 * 4);
        assert!(held <= most, "{held} blocks are held, not {most}");
        for mut rest in [events, second] {
            let last = std::iter::from_fn(|| rest.blocking_recv()).last();
            let Some(Event::Finished { answer, .. }) = last else { panic!("it finishes") };
            assert_eq!(answer.completion, tokens[70..]);
        }
        wait_until("everything is free", || engine.stats().free_blocks == 32);
    }
}

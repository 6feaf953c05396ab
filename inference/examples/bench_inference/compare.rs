//! Tokens per second on the model of 134 M weights: ours and the peers in turns, so that what disturbs
//! the machine for a while disturbs all.

use std::{cell::RefCell, collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use inference::{
    adapter::AdapterSet,
    engine::{Engine, EngineConfig, EngineHandle},
    kernels::WeightFormat,
    model::{Decoder, LoadOptions},
    scheduler::SchedulerConfig,
    tokenizer::Tokenizer,
};
use serde::Deserialize;

use super::{
    Arguments, Failure,
    peer::Peer,
    serve::{request, together},
    sheet::{Row, Sheet, Target, paired, processor_seconds},
};

/// What `make_model.py` wrote beside the model.
#[derive(Debug, Deserialize)]
pub(crate) struct Workload {
    pub(crate) parameters: usize,
    pub(crate) adapters: usize,
    pub(crate) new_tokens: usize,
    pub(crate) prompts: Vec<Vec<u32>>,
}

impl Workload {
    pub(crate) fn load(cache: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(cache.join("workload.json"))?)?)
    }
}

const ONE_F32: &str = "one stream, f32";
const ONE_STORED: &str = "one stream, bf16 weights";
const ONE_Q8: &str = "one stream, Q8_0";
const ONE_PEER: &str = "one stream, transformers f32";
const ONE_LLAMA: &str = "one stream, llama.cpp Q8_0";
const BASE: &str = "16 requests, no adapter";
const BASE_Q8: &str = "16 requests, no adapter, Q8_0";
const MIXED_Q8: &str = "16 requests, 16 adapters, Q8_0";
const BASE_PEER: &str = "16 requests, no adapter, transformers f32";
const MIXED_PEER: &str = "16 requests, 16 adapters, transformers + PEFT f32";

fn mixed(adapters: usize) -> String {
    format!("16 requests, {adapters} adapter{}", if adapters == 1 { "" } else { "s" })
}

/// An engine with the benchmark's model in a weight format, and its adapters.
struct Ours {
    engine: EngineHandle,
    adapters: Vec<AdapterSet>,
}

impl Ours {
    fn start(cache: &Path, weights: WeightFormat, adapters: usize) -> Result<Self, Failure> {
        let folder = cache.join("base");
        let decoder = Arc::new(Decoder::load_with(&folder, &LoadOptions { weights })?);
        let tokenizer = Arc::new(Tokenizer::load(&folder)?);
        // Prompts come again in every round; no peer keeps them either.
        let scheduler = SchedulerConfig { prefix_cache: false, ..SchedulerConfig::default() };
        let config = EngineConfig { scheduler, ..EngineConfig::default() };
        let engine = Engine::start(decoder, tokenizer, config)?;
        let load = |number| {
            let info = engine.load_adapter(&cache.join(format!("adapter-{number}")))?;
            Ok(AdapterSet::one(info.hash))
        };
        let adapters = (0..adapters).map(load).collect::<Result<_, Failure>>()?;
        Ok(Self { engine, adapters })
    }

    /// Tokens per second, and the answers.
    fn run(&self, prompts: &[Vec<u32>], adapters: usize, tokens: usize) -> Result<Run, Failure> {
        let set = |i: usize| match adapters {
            0 => AdapterSet::base(),
            _ => self.adapters[i % adapters].clone(),
        };
        let numbered = prompts.iter().enumerate();
        let requests = numbered.map(|(i, prompt)| request(prompt, set(i), tokens)).collect();
        let (served, seconds) = together(&self.engine, requests)?;
        let answers: Vec<Vec<u32>> = served.into_iter().map(|served| served.tokens).collect();
        Ok((answers.iter().map(Vec::len).sum::<usize>() as f64 / seconds, answers))
    }
}

/// Tokens per second, and the answers.
type Run = (f64, Vec<Vec<u32>>);

/// Everything that is measured: its name, who does it, and what.
struct Case<'a> {
    name: String,
    runner: Runner<'a>,
}

enum Runner<'a> {
    /// Prompts, and among how many adapters they are shared out.
    Ours(&'a Ours, &'a [Vec<u32>], usize),
    /// One of the peer's cases.
    Peer(&'a RefCell<Peer>, &'static str),
}

impl Runner<'_> {
    fn run(&self, tokens: usize) -> Result<Run, Failure> {
        match self {
            Self::Ours(ours, prompts, adapters) => ours.run(prompts, *adapters, tokens),
            Self::Peer(peer, case) => {
                let ran = peer.borrow_mut().run(case, tokens)?;
                Ok((ran.rate, ran.answers))
            }
        }
    }
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let workload = Workload::load(&arguments.cache)?;
    let (rounds, tokens) = if arguments.quick { (1, 32) } else { (3, workload.new_tokens) };
    let threads = rayon::current_num_threads();
    println!("  {} weights, {threads} threads, {rounds} rounds", workload.parameters);
    let start = |format, adapters| Ours::start(&arguments.cache, format, adapters);
    let wide = start(WeightFormat::F32, 0)?;
    let stored = start(WeightFormat::AsStored, workload.adapters)?;
    let narrow = start(WeightFormat::Q8_0, workload.adapters)?;
    let peer = |script| Peer::start(arguments, script, threads).map(RefCell::new);
    let (transformers, llama) = (peer("peer_transformers.py"), peer("peer_llama_cpp.py"));

    let (all, one) = (workload.prompts.as_slice(), &workload.prompts[..1]);
    let mut ours = vec![
        (ONE_F32.to_owned(), &wide, one, 0),
        (ONE_STORED.to_owned(), &stored, one, 0),
        (ONE_Q8.to_owned(), &narrow, one, 0),
        (BASE.to_owned(), &stored, all, 0),
        (BASE_Q8.to_owned(), &narrow, all, 0),
        (MIXED_Q8.to_owned(), &narrow, all, 16),
    ];
    ours.extend([1, 2, 4, 8, 16].map(|adapters| (mixed(adapters), &stored, all, adapters)));
    let ours = ours.into_iter().map(|(name, engine, prompts, adapters)| Case {
        name,
        runner: Runner::Ours(engine, prompts, adapters),
    });
    let peers = [
        (ONE_PEER, &transformers, "one"),
        (ONE_LLAMA, &llama, "one"),
        (BASE_PEER, &transformers, "base"),
        (MIXED_PEER, &transformers, "mixed"),
    ];
    let peers = peers.into_iter().filter_map(|(name, peer, case)| {
        let runner = Runner::Peer(peer.as_ref()?, case);
        Some(Case { name: name.to_owned(), runner })
    });
    let mut cases: Vec<Case<'_>> = ours.chain(peers).collect();
    if let Some(only) = &arguments.only {
        cases.retain(|case| case.name.contains(only));
    }
    let measured = in_rounds(&cases, rounds, tokens)?;
    let mut sheet = Sheet::default();
    rows(&mut sheet, &measured);
    agreement(&mut sheet, &measured);
    Ok(sheet)
}

/// Rates of all rounds and the last round's answers, by case.
type Measured = BTreeMap<String, (Vec<f64>, Vec<Vec<u32>>)>;

fn in_rounds(cases: &[Case<'_>], rounds: usize, tokens: usize) -> Result<Measured, Failure> {
    let mut measured = Measured::new();
    for Case { runner, .. } in cases {
        runner.run(4)?;
    }
    for round in 1..=rounds {
        for Case { name, runner } in cases {
            // Threads of the one before have gone to sleep by then.
            std::thread::sleep(Duration::from_millis(300));
            let processors = processor_seconds();
            let (rate, answers) = runner.run(tokens)?;
            // What tells more than the clock where a machine is shared; peers have processes of their own.
            let of_ours = match runner {
                Runner::Ours(..) => {
                    let tokens: usize = answers.iter().map(Vec::len).sum();
                    let seconds = processor_seconds() - processors;
                    format!(", {:.1} in a second of a processor", tokens as f64 / seconds)
                }
                Runner::Peer(..) => String::new(),
            };
            println!("  round {round}: {name}: {rate:.1} tokens/s{of_ours}");
            let entry = measured.entry(name.clone()).or_default();
            entry.0.push(rate);
            entry.1 = answers;
        }
    }
    Ok(measured)
}

/// Names of a row and its peer, and the target of their ratio; the peer's own row has none.
fn targets() -> Vec<(String, Option<(String, Target)>)> {
    let at_least = |name: &str, peer: &str, least| {
        (name.to_owned(), Some((peer.to_owned(), Target::RatioAtLeast(least))))
    };
    let alone = |name: &str| (name.to_owned(), None);
    let first = mixed(1);
    vec![
        at_least(&mixed(16), MIXED_PEER, 3.0),
        at_least(&mixed(16), BASE, 0.85),
        at_least(ONE_F32, ONE_PEER, 1.0),
        at_least(ONE_STORED, ONE_PEER, 1.0),
        at_least(ONE_Q8, ONE_PEER, 2.0),
        at_least(ONE_Q8, ONE_LLAMA, 0.8),
        alone(BASE),
        alone(&first),
        at_least(&mixed(2), &first, 0.85),
        at_least(&mixed(4), &first, 0.85),
        at_least(&mixed(8), &first, 0.85),
        at_least(&mixed(16), &first, 0.85),
        alone(BASE_Q8),
        alone(MIXED_Q8),
        alone(ONE_PEER),
        alone(ONE_LLAMA),
        alone(BASE_PEER),
        alone(MIXED_PEER),
    ]
}

fn rows(sheet: &mut Sheet, measured: &Measured) {
    for (name, comparison) in targets() {
        let Some((rates, _)) = measured.get(&name) else { continue };
        let mut row = Row::median(&name, rates, "tokens/s");
        if let Some((peer, target)) = comparison {
            (row.target, row.peer) = (Some(target), Some(peer.clone()));
            row.ratio = measured.get(&peer).map(|(peers, _)| paired(rates, peers));
        }
        sheet.push(row);
    }
}

/// In how many tokens answers agree with the peer's before they part for the first time.
fn agreement(sheet: &mut Sheet, measured: &Measured) {
    for (ours, peer) in
        [(ONE_F32, ONE_PEER), (ONE_STORED, ONE_PEER), (BASE, BASE_PEER), (&*mixed(16), MIXED_PEER)]
    {
        let (Some((_, ours_answers)), Some((_, answers))) =
            (measured.get(ours), measured.get(peer))
        else {
            continue;
        };
        let same: usize = ours_answers.iter().zip(answers).map(|(a, b)| common(a, b)).sum();
        let all: usize = answers.iter().map(Vec::len).sum();
        let name = format!("{ours}: tokens as the peer gives them");
        let row = Row::of(&name, same as f64, "tokens");
        sheet.push(row.against(peer, all as f64, Target::RatioAtLeast(0.9)));
    }
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

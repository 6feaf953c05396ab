//! Times with the project's model: an answer's attribution against its generation, and the index's size and build.

use std::{fs, path::Path, sync::Arc, time::Instant};

use attribution::{
    estimate::{
        IndexBuilder, IndexConfig, InfluenceIndex, Projector, RowSource, SiteGradient, SiteShape,
        basis_rows,
    },
    settle::{EarnerIndex, keccak},
};
use inference::{
    adapter::AdapterSet,
    engine::{Engine, EngineConfig, EngineHandle, Event, Request},
    gradient::{SiteGradient as Gradient, row_gradient, row_gradients},
    model::Decoder,
    sampler::Sampling,
    scheduler::SchedulerConfig,
    tokenizer::Tokenizer,
    train::{AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer},
};

use crate::{
    Failure, fixed_order,
    methods::{PAID_DIM, projector},
    sheet::{Row, Sheet, Target},
};

const CONTRIBUTORS: u32 = 1000;
const ANSWER: usize = 64;
const PROMPT: usize = 24;
const BATCH: usize = 8;
const REPEATS: usize = 9;

/// The project's model with an adapter trained for one epoch.
struct Model {
    decoder: Arc<Decoder>,
    tokenizer: Arc<Tokenizer>,
    lora: TrainableLora,
    examples: Vec<Example>,
    epoch: f64,
}

/// Writes the figures. `folder` is the Solidity task's, for its texts.
pub(crate) fn measure(
    folder: &Path,
    model: &Path,
    results: &Path,
    quick: bool,
) -> Result<(), Failure> {
    let mut sheet = Sheet::default();
    let model = Model::train(folder, model)?;
    let (sketches, projector) = build(&model, &mut sheet)?;
    // With at least half as many rows as d, whitening is a whole matrix, as it is with 10,000.
    let rows = if quick { PAID_DIM / 2 } else { 10_000 };
    let index = index_of(&projector, &sketches, rows)?;
    size(&index, &mut sheet);
    answer(&model, &index, folder, &mut sheet)?;
    fixed_order::measure(&model.lora.weights()?, PROMPT + ANSWER, &mut sheet)?;
    sheet.write(results, "speed")
}

impl Model {
    fn train(folder: &Path, model: &Path) -> Result<Self, Failure> {
        let (decoder, tokenizer) = (Decoder::load(model)?, Tokenizer::load(model)?);
        let about: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("task.json"))?)?;
        let texts = about["texts"]["rows"].as_array().ok_or("task.json must have texts")?;
        let example = |text: &serde_json::Value| {
            Ok(Example::whole(tokenizer.encode_prompt(text.as_str().unwrap_or_default())?))
        };
        let examples = texts.iter().map(example).collect::<Result<Vec<_>, Failure>>()?;
        let lora = TrainableLora::new(&decoder, &LoraConfig::default(), 1)?;
        let steps = examples.len().div_ceil(BATCH) as u64;
        let settings = Settings {
            schedule: Schedule { peak: 2e-3, floor: 0.1, warmup: 0, steps },
            optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
            clip: 1.0,
            batch: BATCH,
            seed: 1,
        };
        let start = Instant::now();
        Trainer::new(lora.variables(), settings)?.run(&decoder, &lora, &examples, |_, _| Ok(()))?;
        let epoch = start.elapsed().as_secs_f64();
        let (decoder, tokenizer) = (Arc::new(decoder), Arc::new(tokenizer));
        Ok(Self { decoder, tokenizer, lora, examples, epoch })
    }

    /// Gradients of the rows at these places, several from one backward pass.
    fn gradients(&self, places: &[usize]) -> Result<Vec<Vec<Gradient>>, Failure> {
        let mut found = Vec::with_capacity(places.len());
        for places in places.chunks(BATCH) {
            let examples: Vec<Example> =
                places.iter().map(|&place| self.examples[place].clone()).collect();
            found.extend(row_gradients(&self.decoder, &self.lora, &examples)?);
        }
        Ok(found)
    }

    fn shapes(&self) -> Result<Vec<SiteShape>, Failure> {
        let shape = |w: inference::model::SiteWeights| SiteShape {
            rank: w.rank,
            d_in: w.d_in,
            d_out: w.d_out,
        };
        Ok(self.lora.weights()?.into_iter().map(shape).collect())
    }
}

fn sites(gradients: &[Gradient]) -> Vec<SiteGradient<'_>> {
    gradients.iter().map(site).collect()
}

fn site(gradient: &Gradient) -> SiteGradient<'_> {
    let Gradient { rank, d_in, d_out, a, b, .. } = gradient;
    SiteGradient { a, b, rank: *rank, d_in: *d_in, d_out: *d_out }
}

fn source(place: u32) -> RowSource {
    let hash = keccak(&[&place.to_be_bytes()]);
    let earner = EarnerIndex(1 + place % CONTRIBUTORS);
    RowSource { datanet: 0, index: place.into(), hash, earner, cluster: place }
}

/// Builds an index of the rows, against one epoch of training on them, as the node does: gradients of
/// the rows that the basis is learned from are held until it is. Returns raw sketches and what made
/// them.
fn build(model: &Model, sheet: &mut Sheet) -> Result<(Vec<Vec<f32>>, Projector), Failure> {
    let (shapes, config) = (model.shapes()?, projector(PAID_DIM));
    let start = Instant::now();
    let hashes = (0..u32::try_from(model.examples.len())?).map(|place| source(place).hash);
    let sample = basis_rows(&config.seed, hashes);
    let held = model.gradients(&sample)?;
    let taught = held.iter().map(|gradients| sites(gradients));
    let projector = Projector::learned(&shapes, config, taught)?;
    let mut sketches = vec![vec![]; model.examples.len()];
    for (place, gradients) in sample.iter().zip(held) {
        sketches[*place] = projector.project(&sites(&gradients))?;
    }
    let others: Vec<usize> = (0..sketches.len()).filter(|at| sketches[*at].is_empty()).collect();
    for places in others.chunks(BATCH) {
        for (place, gradients) in places.iter().zip(model.gradients(places)?) {
            sketches[*place] = projector.project(&sites(&gradients))?;
        }
    }
    let mut builder = IndexBuilder::new(projector.clone(), IndexConfig::default())?;
    for (place, sketch) in (0u32..).zip(&sketches) {
        builder.push_sketch(source(place), sketch)?;
    }
    builder.finish(|_| {})?;
    let built = start.elapsed().as_secs_f64();
    let rows = model.examples.len();
    let title = format!("index build, {rows} rows, d = {PAID_DIM}, in epochs of training");
    sheet.push(Row::of(title, built / model.epoch, "epochs").target(Target::AtMost(2.0)));
    sheet.push(Row::of(format!("one epoch of training, {rows} rows"), model.epoch, "s"));
    Ok((sketches, projector))
}

/// An index of many rows: sums of two rows' sketches, because times do not depend on what rows say.
fn index_of(
    projector: &Projector,
    sketches: &[Vec<f32>],
    rows: usize,
) -> Result<InfluenceIndex, Failure> {
    let dim = projector.config().dim;
    let mut builder = IndexBuilder::new(projector.clone(), IndexConfig::default())?;
    for place in 0..u32::try_from(rows)? {
        let at = place as usize;
        let (a, b) =
            (&sketches[at % sketches.len()], &sketches[at / sketches.len() % sketches.len()]);
        // A little of something that no two rows share keeps the Fisher matrix's rank at the rows'.
        let mut row: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + 0.5 * b).collect();
        row[at % dim] += 1e-2;
        builder.push_sketch(source(place), &row)?;
    }
    Ok(builder.finish(|_| {})?.0)
}

fn size(index: &InfluenceIndex, sheet: &mut Sheet) {
    let rows = index.rows().len();
    let basis = index.projector().basis().map_or(0, |basis| basis.to_bytes().len());
    let once = basis + index.whitening().bytes();
    let each = index.to_bytes().len().saturating_sub(once) as f64 / rows as f64;
    let title = format!("index bytes per row, {rows} rows, d = {PAID_DIM}");
    sheet.push(Row::of(title, each, "bytes").target(Target::AtMost((PAID_DIM + 64) as f64)));
    let once = once as f64 / f64::from(1 << 20);
    sheet.push(Row::of("basis and whitening, once per model", once, "MiB"));
}

/// One answer of 64 tokens: generation, then attribution.
fn answer(
    model: &Model,
    index: &InfluenceIndex,
    folder: &Path,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let adapter = folder.join("adapter");
    model.lora.save(&adapter, &LoraConfig::default(), "openledger-tiny")?;
    let scheduler = SchedulerConfig { prefix_cache: false, ..SchedulerConfig::default() };
    let config = EngineConfig { scheduler, ..EngineConfig::default() };
    let engine = Engine::start(Arc::clone(&model.decoder), Arc::clone(&model.tokenizer), config)?;
    let set = AdapterSet::one(engine.load_adapter(&adapter)?.hash);
    let (mut generated, mut attributed, mut scored) = (Vec::new(), Vec::new(), Vec::new());
    let (mut differentiated, mut sketched) = (Vec::new(), Vec::new());
    for example in &model.examples {
        let prompt = &example.tokens[..example.tokens.len().min(PROMPT)];
        let start = Instant::now();
        let answer = generate(&engine, prompt, &set)?;
        let generation = start.elapsed().as_secs_f64();
        if answer.len() < ANSWER {
            continue;
        }
        let tokens = [prompt, &answer].concat();
        let start = Instant::now();
        let gradient = row_gradient(&model.decoder, &model.lora, &tokens, prompt.len())?;
        differentiated.push(start.elapsed().as_secs_f64());
        let sketching = Instant::now();
        let query = index.query(&sites(&gradient))?;
        sketched.push(1e3 * sketching.elapsed().as_secs_f64());
        let scoring = Instant::now();
        let (contributors, rows) = (index.score_contributors(&query)?, index.score_rows(&query)?);
        scored.push(1e3 * scoring.elapsed().as_secs_f64());
        assert_eq!(
            contributors.iter().sum::<i64>(),
            rows.iter().map(|s| i64::from(*s)).sum::<i64>()
        );
        attributed.push(start.elapsed().as_secs_f64());
        generated.push(generation);
        if generated.len() == REPEATS {
            break;
        }
    }
    engine.shutdown();
    if generated.is_empty() {
        return Err(format!("no answer had {ANSWER} tokens").into());
    }
    let what = format!("{} rows, {} contributors", index.rows().len(), index.contributors().len());
    let ratios: Vec<f64> = attributed.iter().zip(&generated).map(|(a, g)| a / g).collect();
    let title = format!(
        "attribution of an answer of {ANSWER} tokens against {what}, in its generation's time"
    );
    sheet.push(median(&title, &ratios, "").target(Target::AtMost(1.0)));
    sheet.push(median(&format!("generation of {ANSWER} tokens"), &generated, "s"));
    sheet.push(median("attribution of it", &attributed, "s"));
    sheet.push(median("its gradient, of that", &differentiated, "s"));
    sheet.push(median("its sketch, of that", &sketched, "ms"));
    let title = format!("scoring alone, {what}, d = {PAID_DIM}");
    sheet.push(median(&title, &scored, "ms").target(Target::AtMost(20.0)));
    Ok(())
}

/// A greedy answer; the end of text counts as a token like others.
fn generate(engine: &EngineHandle, prompt: &[u32], set: &AdapterSet) -> Result<Vec<u32>, Failure> {
    let sampling = Sampling { max_tokens: ANSWER, ..Sampling::default() };
    let request =
        Request { prompt: prompt.to_vec(), adapters: set.clone(), sampling, ..Request::default() };
    let mut events = engine.submit(request)?;
    loop {
        match events.blocking_recv() {
            Some(Event::Finished { answer, .. }) => return Ok(answer.completion),
            Some(Event::Token { .. }) => {}
            other => return Err(format!("not served: {other:?}").into()),
        }
    }
}

pub(crate) fn median(name: &str, values: &[f64], unit: &str) -> Row {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let interval = sorted.first().copied().zip(sorted.last().copied());
    Row { interval, ..Row::of(name, sorted[sorted.len() / 2], unit) }
}

//! Trains the committed base model: `pretrain <corpus> <work> <model> [steps]`.
//!
//! - `<corpus>`: folder with `train.jsonl` and `held_out.jsonl`, as `models/pretrain/corpus.py` writes
//! - `<work>`: folder for the tokenizer's and trainer's checkpoints; a run goes on from them
//! - `<model>`: where the model folder is written, after every checkpoint and at the end
//!
//! The result depends on the corpus and the number of steps only.

mod text;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use inference::{
    Error, Result,
    config::{LlamaSizes, ModelSpec},
    eval::{Unigram, model_loss},
    model::{Decoder, NoAdapter},
    tokenizer::Tokenizer,
    train::{AdamWConfig, Example, Schedule, Settings, Trainer, vocabulary::train_tokenizer},
    weights::{Storage, save, write_atomically},
};

const SEED: u64 = 1612;
const VOCABULARY: usize = 4096;
/// Most of the run sees short rows, which cost less; the last part teaches the longer positions.
const SHORT_ROW: usize = 256;
const LONG_ROW: usize = 512;
const LONG_PART: f64 = 0.06;
const ROWS_PER_STEP: usize = 8;
const DEFAULT_STEPS: u64 = 2000;
const CHECKPOINT_EVERY: u64 = 200;
const LOG_EVERY: u64 = 10;

fn spec() -> inference::Result<ModelSpec> {
    let sizes = LlamaSizes {
        vocab_size: VOCABULARY,
        hidden_size: 192,
        intermediate_size: 512,
        layers: 6,
        heads: 6,
        kv_heads: 3,
        head_dim: 32,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_positions: LONG_ROW,
        tied_embeddings: true,
        bos: Some(1),
        eos: vec![2, 7],
        pad: Some(3),
    };
    sizes.spec()
}

fn settings(steps: u64) -> Settings {
    Settings {
        schedule: Schedule { peak: 3e-3, warmup: (steps / 20).max(1), steps, floor: 0.05 },
        optimizer: AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() },
        clip: 1.0,
        batch: ROWS_PER_STEP,
        seed: SEED,
    }
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let run = || {
        let [corpus, work, model, rest @ ..] = arguments.as_slice() else {
            return Err(Error::Training("usage: pretrain <corpus> <work> <model> [steps]".into()));
        };
        let steps = match rest {
            [] => DEFAULT_STEPS,
            [steps, ..] => steps.parse().map_err(|_| Error::Training("steps: a number".into()))?,
        };
        pretrain(Path::new(corpus), Path::new(work), Path::new(model), steps)
    };
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn pretrain(corpus: &Path, work: &Path, model: &Path, steps: u64) -> Result<()> {
    for dir in [work, model] {
        std::fs::create_dir_all(dir)
            .map_err(|source| Error::Io { path: dir.to_owned(), source })?;
    }
    let documents = text::read(&corpus.join("train.jsonl"))?;
    let tokenizer = tokenizer(&documents, model)?;
    let stream = text::stream(&tokenizer, &documents, SEED)?;
    println!("{} documents, {} tokens", documents.len(), stream.len());
    let (short, long) = (text::rows(&stream, SHORT_ROW), text::rows(&stream, LONG_ROW));
    let held_out = text::read(&corpus.join("held_out.jsonl"))?;
    let held_out = text::rows(&text::stream(&tokenizer, &held_out, SEED)?, SHORT_ROW);

    let decoder = Decoder::random(spec()?, SEED)?;
    write_atomically(&model.join("config.json"), spec()?.to_json().as_bytes())?;
    export(&decoder, model)?;
    let untrained = model_loss(&decoder, &NoAdapter, &held_out)?;
    let unigram = Unigram::fit(&short, VOCABULARY)?.loss(&held_out)?;
    println!("held-out perplexity: untrained {:.1}", untrained.perplexity());
    println!("held-out perplexity: unigram   {:.1}", unigram.perplexity());

    let mut trainer = Trainer::new(decoder.variables().to_vec(), settings(steps))?;
    let checkpoint = work.join("checkpoint.safetensors");
    if checkpoint.exists() {
        trainer.resume(&checkpoint)?;
        println!("going on after step {}", trainer.steps_done());
    }
    train(&mut trainer, &decoder, [&short, &long], &held_out, &checkpoint, model)?;

    export(&decoder, model)?;
    let trained = model_loss(&Decoder::load(model)?, &NoAdapter, &held_out)?;
    println!("held-out perplexity: trained   {:.2} (as stored, in bf16)", trained.perplexity());
    let report = serde_json::json!({
        "parameters": spec()?.parameter_count(),
        "training_tokens": stream.len(),
        "steps": steps,
        "held_out_tokens": held_out.len() * (SHORT_ROW - 1),
        "perplexity": {
            "trained": trained.perplexity(),
            "unigram": unigram.perplexity(),
            "untrained": untrained.perplexity(),
        },
    });
    write_atomically(&model.join("perplexity.json"), format!("{report:#}\n").as_bytes())
}

/// Trains the tokenizer, or takes the one that the model folder already has.
fn tokenizer(documents: &[String], model: &Path) -> Result<Tokenizer> {
    let path: PathBuf = model.join("tokenizer.json");
    if !path.exists() {
        let start = Instant::now();
        let json = train_tokenizer(documents.iter().map(String::as_str), VOCABULARY)?;
        write_atomically(&path, json.as_bytes())?;
        println!("tokenizer trained in {:.0} s", start.elapsed().as_secs_f64());
    }
    let config = text::tokenizer_config(LONG_ROW);
    write_atomically(&model.join("tokenizer_config.json"), config.as_bytes())?;
    Tokenizer::load(model)
}

fn train(
    trainer: &mut Trainer,
    decoder: &Decoder,
    [short, long]: [&[Example]; 2],
    held_out: &[Example],
    checkpoint: &Path,
    model: &Path,
) -> Result<()> {
    let steps = trainer.settings().schedule.steps;
    let long_from = steps - (steps as f64 * LONG_PART) as u64;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}<{eta} {msg}")
        .expect("the template is valid");
    let bar = ProgressBar::new(steps).with_position(trainer.steps_done()).with_style(style);
    // A spread of held-out rows is enough to watch.
    let watched: Vec<Example> =
        held_out.iter().step_by(held_out.len().div_ceil(48)).cloned().collect();
    while trainer.steps_done() < steps {
        let rows = if trainer.steps_done() < long_from { short } else { long };
        let batch = trainer.next_batch(rows.len());
        let progress = trainer.step(decoder, &NoAdapter, batch.iter().map(|&i| &rows[i]))?;
        bar.inc(1);
        bar.set_message(format!(
            "loss {:.3} rate {:.1e} norm {:.2} {:.0} tokens/s",
            progress.loss, progress.rate, progress.gradient_norm, progress.tokens_per_second
        ));
        // The bar is hidden where there is no terminal.
        if bar.is_hidden() && progress.step % LOG_EVERY == 0 {
            println!("step {}: {}", progress.step, bar.message());
        }
        if progress.step % CHECKPOINT_EVERY == 0 || progress.step == steps {
            trainer.save(checkpoint)?;
            export(decoder, model)?;
            let loss = model_loss(decoder, &NoAdapter, &watched)?;
            println!(
                "step {}: loss {:.3}, held-out perplexity {:.1}, {:.0} tokens/s",
                progress.step,
                progress.loss,
                loss.perplexity(),
                progress.tokens_per_second
            );
        }
    }
    bar.finish();
    Ok(())
}

fn export(decoder: &Decoder, model: &Path) -> Result<()> {
    // Readers of the Hugging Face format ask for this key.
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let path = model.join("model.safetensors");
    save(&path, &decoder.export()?, Storage::Bf16, Some(metadata))
}

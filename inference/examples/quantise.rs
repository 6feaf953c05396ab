//! Prints what each weight format costs a model in perplexity and memory.
//!
//! `quantise <model folder> <text file>...`: rows of 256 tokens of the texts, one after another.

use std::{path::Path, process::ExitCode};

use inference::{
    Error, Result,
    eval::{perplexity, rows},
    kernels::WeightFormat,
    model::{Decoder, LoadOptions},
    tokenizer::Tokenizer,
};

const ROW: usize = 256;
const FORMATS: [(&str, WeightFormat); 6] = [
    ("as stored", WeightFormat::AsStored),
    ("f32", WeightFormat::F32),
    ("Q8_0", WeightFormat::Q8_0),
    ("Q6_K", WeightFormat::Q6K),
    ("Q4_K", WeightFormat::Q4K),
    ("FP8 E4M3", WeightFormat::F8E4M3),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [model, texts @ ..] = arguments else {
        return Err(Error::Training("usage: quantise <model folder> <text file>...".into()));
    };
    let model = Path::new(model);
    let tokenizer = Tokenizer::load(model)?;
    let mut tokens = Vec::new();
    for text in texts {
        let read = std::fs::read_to_string(text);
        let text = read.map_err(|source| Error::Io { path: text.into(), source })?;
        tokens.extend(tokenizer.encode_prompt(&text)?);
    }
    let rows = rows(&tokens, ROW)?;
    println!("{} tokens in rows of {ROW}", rows.len() * ROW);
    println!("{:<10} {:>10} {:>8} {:>12} {:>8}", "weights", "MiB", "of f16", "perplexity", "rise");
    let mut base = None;
    for (name, weights) in FORMATS {
        let decoder = Decoder::load_with(model, &LoadOptions { weights })?;
        let found = perplexity(&decoder, &rows)?;
        let base = *base.get_or_insert(found);
        let bytes = decoder.weight_bytes() as f64;
        println!(
            "{name:<10} {:>10.2} {:>7.1}% {found:>12.4} {:>7.3}%",
            bytes / f64::from(1 << 20),
            100.0 * bytes / weights_in_f16(model)?,
            100.0 * (found / base - 1.0),
        );
    }
    Ok(())
}

/// Bytes of the same weights with 16 bits each.
fn weights_in_f16(model: &Path) -> Result<f64> {
    let wide = LoadOptions { weights: WeightFormat::F32 };
    Ok(Decoder::load_with(model, &wide)?.weight_bytes() as f64 / 2.0)
}

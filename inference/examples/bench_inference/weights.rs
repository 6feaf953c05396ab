//! The project's own model with its weights in other formats: held-out perplexity, memory, and LoRA
//! training on them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use inference::{
    eval::{perplexity, rows},
    kernels::WeightFormat,
    model::{Decoder, LoadOptions},
    tokenizer::Tokenizer,
    train::{
        AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer,
        held_out_loss, shuffled,
    },
};

use super::{
    Arguments, Failure,
    sheet::{Row, Sheet, Target},
};

/// Seed and row length of the model's training, which the held-out text is cut by.
const SEED: u64 = 1612;
const ROW: usize = 256;
/// Machine-made files of the held-out text that were left out.
const GENERATED: [&str; 2] = ["console.sol", "safeconsole.sol"];
/// Name, format, and how much perplexity may rise.
const FORMATS: [(&str, WeightFormat, Option<f64>); 5] = [
    ("f32", WeightFormat::F32, None),
    ("Q8_0", WeightFormat::Q8_0, Some(1.005)),
    ("Q6_K", WeightFormat::Q6K, None),
    ("Q4_K", WeightFormat::Q4K, Some(1.03)),
    ("FP8 E4M3", WeightFormat::F8E4M3, None),
];

fn model() -> &'static Path {
    Path::new("models/openledger-tiny")
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Sheet, Failure> {
    let text = held_out()?;
    let text = if arguments.quick { &text[..24] } else { &text[..] };
    let mut sheet = Sheet::default();
    sheet.push(Row::of("held-out tokens", (text.len() * (ROW - 1)) as f64, "tokens"));
    let mut base: Option<Row> = None;
    for (name, weights, rise) in FORMATS {
        let decoder = Decoder::load_with(model(), &LoadOptions { weights })?;
        let row = Row::of(&format!("perplexity, {name}"), perplexity(&decoder, text)?, "");
        let bytes = decoder.weight_bytes() as f64 / f64::from(1 << 20);
        match &base {
            None => {
                sheet.push(row.clone());
                base = Some(row);
            }
            Some(base) => {
                let target = Target::RatioAtMost(rise.unwrap_or(f64::INFINITY));
                let mut row = row.against(&base.name, base.value, target);
                row.target = rise.map(Target::RatioAtMost);
                sheet.push(row);
            }
        }
        sheet.push(Row::of(&format!("weights, {name}"), bytes, "MiB"));
    }
    training(&mut sheet, text)?;
    Ok(sheet)
}

/// The text that the model was never trained on, as `models/pretrain` puts it together.
fn held_out() -> Result<Vec<Example>, Failure> {
    let folder = Path::new("node_modules/@layerzerolabs/toolbox-foundry/lib/forge-std");
    let mut files = Vec::new();
    solidity(folder, &mut files)?;
    files.sort_by_key(|file| file.to_string_lossy().into_owned());
    let tokenizer = Tokenizer::load(model())?;
    let missing = "<s> or </s> is missing";
    let (bos, eos) = (tokenizer.bos_id().ok_or(missing)?, tokenizer.eos_id().ok_or(missing)?);
    let mut tokens = Vec::new();
    for index in shuffled(files.len(), SEED, 0) {
        let text = String::from_utf8(fs::read(&files[index])?).unwrap_or_default();
        tokens.push(bos);
        tokens.extend(tokenizer.encode(&text.replace("\r\n", "\n"))?);
        tokens.push(eos);
    }
    Ok(rows(&tokens, ROW)?)
}

fn solidity(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            solidity(&path, files)?;
        } else if name.ends_with(".sol") && !GENERATED.contains(&&*name) {
            files.push(path);
        }
    }
    Ok(())
}

/// LoRA on the model as it is and on quantised weights: loss on the rows that it is trained on.
fn training(sheet: &mut Sheet, text: &[Example]) -> Result<(), Failure> {
    let task = rows(&text[..8].iter().flat_map(|row| row.tokens.clone()).collect::<Vec<_>>(), 64)?;
    let mut base: Option<Row> = None;
    for (name, weights) in [
        ("LoRA", WeightFormat::AsStored),
        ("QLoRA on Q8_0", WeightFormat::Q8_0),
        ("QLoRA on Q4_K", WeightFormat::Q4K),
    ] {
        let decoder = Decoder::load_with(model(), &LoadOptions { weights })?;
        let bytes = decoder.weight_bytes() as f64 / f64::from(1 << 20);
        let values = decoder.export()?;
        let loss = trained(&decoder, &task)?;
        if decoder.export()? != values {
            return Err(format!("{name} changed the base").into());
        }
        let row = Row::of(&format!("{name}: loss after training"), loss, "nats");
        match &base {
            None => {
                sheet.push(row.clone());
                base = Some(row);
            }
            Some(base) => {
                sheet.push(row.against(&base.name, base.value, Target::RatioAtMost(1.05)));
            }
        }
        sheet.push(Row::of(
            &format!("{name}: base weights, the same after training"),
            bytes,
            "MiB",
        ));
    }
    Ok(())
}

fn trained(decoder: &Decoder, task: &[Example]) -> Result<f64, Failure> {
    let config = LoraConfig { rank: 8, alpha: 16.0, ..LoraConfig::default() };
    let adapter = TrainableLora::new(decoder, &config, 1)?;
    let settings = Settings {
        schedule: Schedule { peak: 5e-3, warmup: 4, steps: 40, floor: 0.1 },
        optimizer: AdamWConfig::default(),
        clip: 1.0,
        batch: 4,
        seed: 3,
    };
    let mut trainer = Trainer::new(adapter.variables(), settings)?;
    trainer.run(decoder, &adapter, task, |_, _| Ok(()))?;
    Ok(held_out_loss(decoder, &adapter, task)?)
}

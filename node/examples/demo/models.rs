//! The base model's worth, and the two adapters: trained and indexed.

use std::path::Path;

use eyre::{Result, ensure};
use inference::{
    eval::{Unigram, model_loss},
    model::{Decoder, NoAdapter},
    tokenizer::Tokenizer,
    train::Example,
};
use node::{
    datanet::{Datanet, cut},
    factory::{
        EarnerMap, IndexSettings, RegisterSettings, TrainReport, TrainSettings, build_index, train,
    },
};

use crate::story::{Story, bar};

/// Solidity that the base model was never trained on.
const HELD_OUT: &str = "node_modules/@layerzerolabs/toolbox-foundry/lib/forge-std";
/// Files of it that a program wrote, which would make it look easier than it is.
const MACHINE_MADE: [&str; 2] = ["console.sol", "safeconsole.sol"];
const HELD_OUT_EXAMPLES: usize = 40;
const ROW_TOKENS: usize = 128;
const TRAIN_STEPS: u64 = 150;

/// Perplexity on held-out Solidity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Perplexity {
    pub(crate) trained: f64,
    /// A unigram model fitted on that very text, the best that any unigram model can be.
    pub(crate) unigram: f64,
    pub(crate) untrained: f64,
}

/// Compares the base model with a unigram and an untrained one.
pub(crate) fn perplexity(base: &Path) -> Result<Perplexity> {
    let (decoder, tokenizer) = (Decoder::load(base)?, Tokenizer::load(base)?);
    let count = |text: &str| tokenizer.encode(text).map_or(usize::MAX, |tokens| tokens.len());
    let mut pieces = cut(Path::new(HELD_OUT), 2 * ROW_TOKENS, &count)?;
    pieces.retain(|(source, _)| !MACHINE_MADE.contains(&source.as_str()));
    let step = (pieces.len() / HELD_OUT_EXAMPLES).max(1);
    let examples = pieces
        .iter()
        .step_by(step)
        .take(HELD_OUT_EXAMPLES)
        .map(|(_, text)| Ok(Example::whole(tokenizer.encode_prompt(text)?)))
        .collect::<Result<Vec<_>>>()?;
    let untrained = Decoder::random(decoder.spec().clone(), 1)?;
    let unigram = Unigram::fit(&examples, decoder.spec().vocab_size)?;
    Ok(Perplexity {
        trained: model_loss(&decoder, &NoAdapter, &examples)?.perplexity(),
        unigram: unigram.loss(&examples)?.perplexity(),
        untrained: model_loss(&untrained, &NoAdapter, &examples)?.perplexity(),
    })
}

/// Trains one adapter with a bar.
pub(crate) fn fine_tune(base: &Path, datanet: &Datanet, out: &Path) -> Result<TrainReport> {
    let bar = bar(TRAIN_STEPS, &format!("{:<22}", datanet.manifest.name));
    let settings = TrainSettings {
        steps: TRAIN_STEPS,
        max_tokens: ROW_TOKENS,
        rate: 2e-3,
        ..TrainSettings::default()
    };
    let report = train(base, datanet, out, &settings, &mut |step| {
        bar.set_position(step.step);
        bar.set_message(format!("loss {:.3}  {:.0} tokens/s", step.loss, step.tokens_per_second));
    })?;
    bar.finish_and_clear();
    let (before, after) = (report.loss_before.unwrap_or(0.0), report.loss_after.unwrap_or(0.0));
    ensure!(after < before, "fine-tuning did not lower the held-out loss: {before} to {after}");
    Ok(report)
}

/// Builds the influence index of an adapter with a bar.
pub(crate) fn index(
    story: &Story,
    base: &Path,
    datanet: &Datanet,
    earners: &EarnerMap,
    dir: &Path,
) -> Result<()> {
    let name = &datanet.manifest.name;
    let bar = bar(datanet.rows.len() as u64, &format!("{name:<22}"));
    let settings = IndexSettings { max_tokens: ROW_TOKENS, ..IndexSettings::default() };
    let built =
        build_index(base, dir, std::slice::from_ref(datanet), earners, &settings, &mut |step| {
            bar.set_message(step.stage);
            bar.set_position(step.done as u64);
        })?;
    bar.finish_and_clear();
    story.say(format!(
        "{name}: {} rows indexed ({} count), {} KiB, root {:.10}…",
        built.stats.rows,
        built.stats.accepted_rows,
        built.bytes / 1024,
        built.root.to_string(),
    ));
    Ok(())
}

/// Prices of every model in the demo: 0.02 and 0.06 OPEN per 1000 tokens and 0.0008 per call.
pub(crate) fn price(name: &str) -> RegisterSettings {
    RegisterSettings {
        name: name.to_owned(),
        input_rate: 20_000_000,
        output_rate: 60_000_000,
        platform_fee: 800_000,
    }
}

/// Beginnings of functions to be completed: the first lines of rows, in row order.
pub(crate) fn prompts(base: &Path, datanet: &Datanet, wanted: usize) -> Result<Vec<String>> {
    let tokenizer = Tokenizer::load(base)?;
    let begin = |text: &String| -> Option<String> {
        let lines: Vec<&str> = text.lines().collect();
        let text = lines[..lines.len() / 2].join("\n");
        let tokens = tokenizer.encode(&text).ok()?.len();
        (8..=64).contains(&tokens).then_some(text)
    };
    let honest = datanet.rows.iter().filter(|row| row.source.contains('/'));
    let found: Vec<String> = honest.filter_map(|row| begin(&row.text)).collect();
    let step = (found.len() / wanted).max(1);
    Ok(found.into_iter().step_by(step).take(wanted).collect())
}

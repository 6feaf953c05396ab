//! The committed base model with its weights in every format: what that costs in perplexity and
//! memory, and LoRA training on it.

use std::path::PathBuf;

use inference::{
    eval::{perplexity, rows},
    kernels::WeightFormat,
    model::{Decoder, LoadOptions, NoAdapter},
    step::Step,
    tokenizer::Tokenizer,
    train::{
        AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer, held_out_loss,
    },
};

/// Contracts of this repository, none of which is in the model's training text.
const TEXTS: [&str; 3] = [
    include_str!("../../../contracts/settlement/Settlement.sol"),
    include_str!("../../../contracts/interfaces/ISettlement.sol"),
    include_str!("../../../contracts/settlement/SketchVotes.sol"),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny")
}

fn load(weights: WeightFormat) -> Decoder {
    Decoder::load_with(&folder(), &LoadOptions { weights }).unwrap()
}

fn examples(length: usize) -> Vec<Example> {
    let tokenizer = Tokenizer::load(&folder()).unwrap();
    let tokens: Vec<u32> =
        TEXTS.iter().flat_map(|text| tokenizer.encode_prompt(text).unwrap()).collect();
    rows(&tokens, length).unwrap()
}

fn logit_bits(decoder: &Decoder, tokens: &[u32]) -> Vec<u32> {
    let hidden = decoder.forward(&Step::whole([tokens]), None, &NoAdapter).unwrap();
    let logits = decoder.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    logits.into_iter().map(f32::to_bits).collect()
}

#[test]
fn stored_bf16_gives_the_bits_of_f32_in_half_the_memory() {
    let (stored, wide) = (load(WeightFormat::AsStored), load(WeightFormat::F32));
    let tokens = &examples(64)[0].tokens;
    assert_eq!(logit_bits(&stored, tokens), logit_bits(&wide, tokens));
    assert_eq!(2 * stored.weight_bytes(), wide.weight_bytes());
    // 4 bytes for each of the 3.2 million weights but the 13 norms.
    assert_eq!(wide.weight_bytes(), 4 * (stored.spec().parameter_count() - 13 * 192));
}

#[test]
fn quantised_models_stay_close_in_perplexity() {
    let rows = &examples(128)[..24];
    let base = load(WeightFormat::AsStored);
    let expected = perplexity(&base, rows).unwrap();
    for (format, rise, share) in [
        (WeightFormat::Q8_0, 0.005, 0.54),
        (WeightFormat::Q6K, 0.01, 0.42),
        (WeightFormat::Q4K, 0.03, 0.30),
        (WeightFormat::F8E4M3, 0.02, 0.53),
    ] {
        let decoder = load(format);
        let found = perplexity(&decoder, rows).unwrap();
        assert!(found != expected, "{format:?} changes nothing");
        assert!(found < expected * (1.0 + rise), "{format:?}: {found} for {expected}");
        let bytes = decoder.weight_bytes() as f64 / base.weight_bytes() as f64;
        assert!(bytes <= share, "{format:?}: {bytes} of 16 bits");
    }
}

/// Trains an adapter on 16 rows and gives its loss on them.
fn train(decoder: &Decoder, rows: &[Example]) -> f64 {
    let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
    let adapter = TrainableLora::new(decoder, &config, 1).unwrap();
    let settings = Settings {
        schedule: Schedule { peak: 5e-3, warmup: 2, steps: 24, floor: 0.1 },
        optimizer: AdamWConfig::default(),
        clip: 1.0,
        batch: 4,
        seed: 3,
    };
    let mut trainer = Trainer::new(adapter.variables(), settings).unwrap();
    trainer.run(decoder, &adapter, rows, |_, _| Ok(())).unwrap();
    held_out_loss(decoder, &adapter, rows).unwrap()
}

#[test]
fn training_on_a_quantised_base_is_as_good_and_leaves_the_base_alone() {
    let rows = &examples(64)[..16];
    let base = load(WeightFormat::AsStored);
    let untrained = held_out_loss(&base, &NoAdapter, rows).unwrap();
    let expected = train(&base, rows);
    assert!(expected < 0.8 * untrained, "from {untrained} to {expected}");
    for format in [WeightFormat::Q8_0, WeightFormat::Q4K] {
        let decoder = load(format);
        let (before, bytes) = (logit_bits(&decoder, &rows[0].tokens), decoder.weight_bytes());
        let values = decoder.export().unwrap();
        let loss = train(&decoder, rows);
        assert!((loss - expected).abs() < 0.05 * expected, "{format:?}: {loss} for {expected}");
        assert_eq!(logit_bits(&decoder, &rows[0].tokens), before);
        assert_eq!(decoder.export().unwrap(), values);
        assert_eq!(decoder.weight_bytes(), bytes, "no second copy");
    }
}

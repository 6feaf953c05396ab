//! Every family can be trained, saved and loaded again, and keeps sequences apart.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::Tensor;
use inference::{
    adapter::Adapter,
    config::ModelSpec,
    gradient::row_gradient,
    layers::lora::{GroupedDelta, Sites},
    model::{AdapterDelta, Decoder, NoAdapter, SiteWeights},
    step::{Segment, SlotId, Step},
    train::{
        AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer, held_out_loss,
    },
    weights::{Storage, save},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOKENS: [u32; 14] = [1, 9, 4, 33, 7, 7, 12, 60, 2, 5, 41, 3, 90, 17];

fn base(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(family).join("base")
}

fn examples() -> Vec<Example> {
    let shifted = |by: u32| TOKENS.iter().map(|token| (token + by) % 96).collect();
    (0..3).map(|row| Example::whole(shifted(5 * row))).collect()
}

fn settings(steps: u64) -> Settings {
    Settings {
        schedule: Schedule { peak: 1e-2, warmup: 1, steps, floor: 0.1 },
        optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        clip: 1.0,
        batch: 3,
        seed: 7,
    }
}

fn logits(decoder: &Decoder, delta: &dyn AdapterDelta) -> Vec<f32> {
    let hidden = decoder.forward(&Step::whole([&TOKENS[..]]), None, delta).unwrap();
    flat(&decoder.logits(&hidden).unwrap())
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Ten steps on every linear projection lower the loss, and the saved folder is the same adapter.
fn lora_trains_and_reloads(family: &str) {
    let decoder = Decoder::load(&base(family)).unwrap();
    let config = LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() };
    let adapter = TrainableLora::new(&decoder, &config, 3).unwrap();
    let before = held_out_loss(&decoder, &adapter, &examples()).unwrap();
    let mut trainer = Trainer::new(adapter.variables(), settings(10)).unwrap();
    trainer.run(&decoder, &adapter, &examples(), |_, _| Ok(())).unwrap();
    let after = held_out_loss(&decoder, &adapter, &examples()).unwrap();
    println!("{family}: adapter {before:.3} -> {after:.3}");
    assert!(after < before - 0.1, "{family}: {before} -> {after}");

    let dir = tempfile::tempdir().unwrap();
    adapter.save(dir.path(), &config, family).unwrap();
    let loaded = Adapter::load(dir.path(), None, decoder.sites(), 1 << 24).unwrap();
    assert_eq!(loaded.weights(), adapter.weights().unwrap());
    let served = GroupedDelta::uniform(&[(loaded.sites().clone(), 1.0)], TOKENS.len());
    let (served, trained) = (logits(&decoder, &served), logits(&decoder, &adapter));
    let worst = served.iter().zip(&trained).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst < 1e-4, "{family}: served and trained differ by {worst}");
}

/// Training all weights lowers the loss, and the saved folder is the same model.
fn model_trains_and_reloads(family: &str) {
    let decoder = Decoder::load_trainable(&base(family)).unwrap();
    let before = held_out_loss(&decoder, &NoAdapter, &examples()).unwrap();
    let mut trainer = Trainer::new(decoder.variables().to_vec(), settings(10)).unwrap();
    trainer.run(&decoder, &NoAdapter, &examples(), |_, _| Ok(())).unwrap();
    let after = held_out_loss(&decoder, &NoAdapter, &examples()).unwrap();
    println!("{family}: model {before:.3} -> {after:.3}");
    assert!(after < before - 0.5, "{family}: {before} -> {after}");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), decoder.spec().to_json()).unwrap();
    let tensors = decoder.export().unwrap();
    save(&dir.path().join("model.safetensors"), &tensors, Storage::F32, None).unwrap();
    assert_eq!(&ModelSpec::load(dir.path()).unwrap().attention, &decoder.spec().attention);
    let loaded = Decoder::load(dir.path()).unwrap();
    assert_eq!(logits(&loaded, &NoAdapter), logits(&decoder, &NoAdapter));
    assert_eq!(loaded.export().unwrap(), tensors);
}

/// Gradients at a site of every kind equal differences of the log-likelihood.
fn gradients_equal_differences(family: &str) {
    const STEP: f32 = 5e-3;
    let decoder = Decoder::load(&base(family)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut draw = |count: usize, size: f32| -> Vec<f32> {
        (0..count).map(|_| rng.random_range(-size..size)).collect()
    };
    let weights: Vec<SiteWeights> = decoder
        .sites()
        .iter()
        .map(|site| SiteWeights {
            site: site.id,
            rank: 2,
            d_in: site.d_in,
            d_out: site.d_out,
            a: draw(2 * site.d_in, 0.1),
            b: draw(2 * site.d_out, 0.1),
            scale: 1.0,
        })
        .collect();
    let adapter = TrainableLora::from_weights(&decoder, &weights).unwrap();
    let gradients = row_gradient(&decoder, &adapter, &TOKENS, 4).unwrap();
    let counted = (TOKENS.len() - 4) as f64;
    let log_likelihood = |weights: &[SiteWeights]| {
        let adapter = TrainableLora::from_weights(&decoder, weights).unwrap();
        let example = Example { tokens: TOKENS.to_vec(), loss_from: 4 };
        -held_out_loss(&decoder, &adapter, &[example]).unwrap() * counted
    };
    let mut seen = std::collections::BTreeSet::new();
    for (index, site) in decoder.sites().iter().enumerate() {
        if !seen.insert(&site.module) {
            continue;
        }
        // The entry that matters most: small ones drown in rounding.
        let gradient = &gradients[index].b;
        let entry = (0..gradient.len())
            .max_by(|x, y| gradient[*x].abs().total_cmp(&gradient[*y].abs()))
            .unwrap();
        let at = |offset: f32| {
            let mut moved = weights.clone();
            moved[index].b[entry] += offset;
            log_likelihood(&moved)
        };
        let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
        let error = (f64::from(gradient[entry]) - expected).abs();
        assert!(
            error < 5e-3 + 2e-2 * expected.abs(),
            "{family} {}: {} but difference {expected}",
            site.path,
            gradient[entry]
        );
    }
}

/// A token's bits do not depend on the batch, on other adapters in it, or on the threads.
fn bits_are_those_of_each_sequence_alone(family: &str) {
    let decoder = Decoder::load(&base(family)).unwrap();
    let config = LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() };
    let fresh = TrainableLora::new(&decoder, &config, 3).unwrap();
    let mut weights = fresh.weights().unwrap();
    weights.iter_mut().flat_map(|site| &mut site.b).enumerate().for_each(|(i, b)| {
        *b = ((i % 7) as f32 - 3.0) / 20.0;
    });
    let sites = Arc::new(Sites::new(&weights).unwrap());
    let rows: [&[u32]; 3] = [&TOKENS[..5], &TOKENS[3..], &TOKENS[1..2]];
    let segment = |range| Segment { range, slot: SlotId(1), rank: 2, scale: 1.0, part: 0 };
    let run = |sequences: &[&[u32]], adapted: Option<std::ops::Range<usize>>| {
        let segments: Vec<Segment> = adapted.into_iter().map(segment).collect();
        let delta = GroupedDelta::new(&segments, |_| Some(Arc::clone(&sites))).unwrap();
        let hidden = decoder.forward(&Step::whole(sequences.iter().copied()), None, &delta);
        decoder.logits(&hidden.unwrap()).unwrap().to_vec2::<f32>().unwrap()
    };
    // The second sequence has the adapter, the others the base.
    let alone = [run(&rows[..1], None), run(&rows[1..2], Some(0..11)), run(&rows[2..], None)];
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let together = pool.install(|| run(&rows, Some(5..16)));
        assert_eq!(together, alone.concat(), "{family} on {threads} threads");
    }
}

/// In a short batch most experts have no token.
#[test]
fn experts_without_tokens_do_not_stop_training() {
    let decoder = Decoder::load(&base("deepseek_v2_lite")).unwrap();
    let config = LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() };
    let adapter = TrainableLora::new(&decoder, &config, 3).unwrap();
    let mut trainer = Trainer::new(adapter.variables(), settings(2)).unwrap();
    let short = [Example::whole(TOKENS[..2].to_vec())];
    trainer.run(&decoder, &adapter, &short, |_, _| Ok(())).unwrap();
    let gradients = row_gradient(&decoder, &adapter, &TOKENS[..2], 1).unwrap();
    assert_eq!(gradients.len(), decoder.sites().len());
    let pairs = decoder.sites().iter().zip(&gradients);
    let experts = pairs.filter(|(site, _)| site.path.contains(".experts."));
    let idle = experts.filter(|(_, g)| g.a.iter().all(|value| *value == 0.0)).count();
    // In each of two layers four of six experts, of three projections, do not see the only token
    // that counts.
    assert_eq!(idle, 2 * 4 * 3);
}

macro_rules! families {
    ($($family:ident),* $(,)?) => { $(
        mod $family {
            #[test]
            fn lora_trains_and_reloads() {
                super::lora_trains_and_reloads(stringify!($family));
            }

            #[test]
            fn model_trains_and_reloads() {
                super::model_trains_and_reloads(stringify!($family));
            }

            #[test]
            fn bits_are_those_of_each_sequence_alone() {
                super::bits_are_those_of_each_sequence_alone(stringify!($family));
            }

            #[test]
            fn gradients_equal_differences() {
                super::gradients_equal_differences(stringify!($family));
            }
        }
    )* };
}

families! {
    llama,
    llama3,
    llama_linear,
    llama_yarn,
    mistral,
    qwen2,
    qwen3,
    glm,
    glm4,
    deepseek_v2_lite,
    deepseek_v2,
    gemma,
    gemma2,
    gemma3,
    falcon_7b,
    falcon_40b,
    falcon_11b,
    falcon_rw,
    bloom,
    gpt2,
}

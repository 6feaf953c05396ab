//! Training on a model small enough to train in a test.

use candle_core::Var;

use super::{
    AdamWConfig, Example, LoraConfig, Progress, Schedule, Settings, TrainableLora, Trainer,
    held_out_loss,
};
use crate::{
    Error,
    model::{AdapterDelta, Decoder, NoAdapter, fixture},
    step::Step,
};

fn settings(steps: u64) -> Settings {
    Settings {
        schedule: Schedule { peak: 1e-2, warmup: 2, steps, floor: 0.1 },
        optimizer: AdamWConfig::default(),
        clip: 1.0,
        batch: 3,
        seed: 11,
    }
}

/// Rows that repeat short patterns, so that there is something to learn.
fn examples() -> Vec<Example> {
    (0..8u32)
        .map(|row| Example::whole((0..16).map(|at| 8 + (row % 4) * 5 + at % 3).collect()))
        .collect()
}

fn run(
    decoder: &Decoder,
    delta: &dyn AdapterDelta,
    variables: Vec<(String, Var)>,
) -> Vec<Progress> {
    let mut trainer = Trainer::new(variables, settings(24)).unwrap();
    let mut reports = Vec::new();
    let report = |_: &Trainer, progress| {
        reports.push(progress);
        Ok(())
    };
    trainer.run(decoder, delta, &examples(), report).unwrap();
    reports
}

fn values(variables: &[(String, Var)]) -> Vec<Vec<f32>> {
    let flat = |(_, v): &(String, Var)| v.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    variables.iter().map(flat).collect()
}

#[test]
fn full_training_lowers_the_loss_and_repeats_to_the_bit() {
    let train = || {
        let decoder = fixture::trainable(1);
        let before = held_out_loss(&decoder, &NoAdapter, &examples()).unwrap();
        let reports = run(&decoder, &NoAdapter, decoder.variables().to_vec());
        let after = held_out_loss(&decoder, &NoAdapter, &examples()).unwrap();
        assert!(after < before - 1.0, "{before} {after}");
        assert_eq!(reports.last().unwrap().step, 24);
        assert!(reports.iter().all(|r| r.loss.is_finite() && r.tokens_per_second > 0.0));
        values(decoder.variables())
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(train(), pool.install(train));
}

#[test]
fn lora_training_lowers_the_loss_and_leaves_the_base_alone() {
    let decoder = fixture::frozen(1);
    let before = decoder.export().unwrap();
    let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
    let train = |seed| {
        let adapter = TrainableLora::new(&decoder, &config, seed).unwrap();
        let start = held_out_loss(&decoder, &adapter, &examples()).unwrap();
        assert_eq!(start, held_out_loss(&decoder, &NoAdapter, &examples()).unwrap());
        run(&decoder, &adapter, adapter.variables());
        let end = held_out_loss(&decoder, &adapter, &examples()).unwrap();
        assert!(end < start - 0.5, "{start} {end}");
        let dir = tempfile::tempdir().unwrap();
        adapter.save(dir.path(), &config, "base").unwrap();
        std::fs::read(dir.path().join("adapter_model.safetensors")).unwrap()
    };
    assert_eq!(train(5), train(5));
    assert_ne!(train(5), train(6));
    assert_eq!(decoder.export().unwrap(), before);
}

#[test]
fn parameter_count_is_rank_times_both_widths() {
    let decoder = fixture::frozen(1);
    let modules = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let config =
        LoraConfig { rank: 3, alpha: 6.0, target_modules: modules(&["q_proj", "up_proj"]) };
    let adapter = TrainableLora::new(&decoder, &config, 0).unwrap();
    // Two layers of q (24 -> 24) and up (24 -> 40).
    assert_eq!(adapter.parameter_count(), 2 * 3 * ((24 + 24) + (24 + 40)));
    for bad in [&[][..], &["lm_head"], &["q_proj", "query"]] {
        let config = LoraConfig { target_modules: modules(bad), ..config.clone() };
        assert!(matches!(TrainableLora::new(&decoder, &config, 0), Err(Error::Adapter(_))));
    }
    assert!(TrainableLora::new(&decoder, &LoraConfig { rank: 0, ..config }, 0).is_err());
}

#[test]
fn adapter_adds_scaled_b_a_x() {
    let decoder = fixture::frozen(1);
    let adapter = fixture::adapter(&decoder, 2, 9);
    let weights = adapter.weights().unwrap();
    let sites = decoder.sites();
    // Merged into the base weights, the adapter must give the same logits.
    let merged = Decoder::with_values(decoder.spec().clone(), false, |parameter| {
        let mut values = decoder
            .export()?
            .into_iter()
            .find(|(name, ..)| *name == parameter.name)
            .map(|(_, _, values)| values)
            .unwrap();
        let site = weights
            .iter()
            .find(|w| parameter.name == sites[w.site.0 as usize].path.clone() + ".weight");
        if let Some(w) = site {
            for out in 0..w.d_out {
                for r in 0..w.rank {
                    for i in 0..w.d_in {
                        values[out * w.d_in + i] +=
                            w.scale * w.b[out * w.rank + r] * w.a[r * w.d_in + i];
                    }
                }
            }
        }
        Ok(values)
    })
    .unwrap();
    let step = Step::whole([&[1u32, 7, 30, 2][..]]);
    let logits = |decoder: &Decoder, delta: &dyn AdapterDelta| {
        let hidden = decoder.forward(&step, None, delta).unwrap();
        decoder.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (ours, expected) = (logits(&decoder, &adapter), logits(&merged, &NoAdapter));
    assert_ne!(ours, logits(&decoder, &NoAdapter));
    assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3));
}

#[test]
fn resumed_run_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let start = || {
        let decoder = fixture::trainable(1);
        let trainer = Trainer::new(decoder.variables().to_vec(), settings(9)).unwrap();
        (decoder, trainer)
    };
    let (decoder, mut trainer) = start();
    let report = |trainer: &Trainer, progress: Progress| {
        if progress.step == 5 { trainer.save(&path) } else { Ok(()) }
    };
    trainer.run(&decoder, &NoAdapter, &examples(), report).unwrap();
    let expected = values(decoder.variables());

    let (decoder, mut trainer) = start();
    trainer.resume(&path).unwrap();
    assert_eq!(trainer.steps_done(), 5);
    trainer.run(&decoder, &NoAdapter, &examples(), |_, _| Ok(())).unwrap();
    assert_eq!(values(decoder.variables()), expected);
    let over = trainer.step(&decoder, &NoAdapter, &examples()[..1]);
    assert!(matches!(over, Err(Error::Training(_))));
}

#[test]
fn checkpoint_of_another_run_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let decoder = fixture::trainable(1);
    let trainer = Trainer::new(decoder.variables().to_vec(), settings(9)).unwrap();
    trainer.save(&path).unwrap();

    let other = fixture::trainable(2);
    let before = values(other.variables());
    let mut longer = Trainer::new(other.variables().to_vec(), settings(10)).unwrap();
    assert!(matches!(longer.resume(&path), Err(Error::Training(_))));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 100);
    std::fs::write(&path, bytes).unwrap();
    let mut same = Trainer::new(other.variables().to_vec(), settings(9)).unwrap();
    assert!(matches!(same.resume(&path), Err(Error::Training(_))));
    assert_eq!((same.steps_done(), values(other.variables())), (0, before));
}

#[test]
fn bad_settings_and_examples_are_errors() {
    let decoder = fixture::trainable(1);
    let variables = || decoder.variables().to_vec();
    assert!(Trainer::new(Vec::new(), settings(1)).is_err());
    assert!(Trainer::new(variables(), Settings { batch: 0, ..settings(9) }).is_err());
    assert!(Trainer::new(variables(), Settings { clip: 0.0, ..settings(9) }).is_err());
    let mut trainer = Trainer::new(variables(), settings(9)).unwrap();
    assert!(trainer.run(&decoder, &NoAdapter, &[], |_, _| Ok(())).is_err());
    let long = Example::whole(vec![5; 49]);
    assert!(matches!(trainer.step(&decoder, &NoAdapter, [&long]), Err(Error::Request(_))));
    assert_eq!(trainer.steps_done(), 0);
}

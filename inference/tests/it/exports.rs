//! Adapters that training saved load in PEFT, and give there the logits that they give here.
//!
//! `tests/golden/exports` holds adapters that these tests wrote when OPENLEDGER_WRITE_EXPORTS was set,
//! and the logits of PEFT with them (`tests/golden/make.sh exports`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{Device, safetensors::load};
use inference::{
    adapter::Adapter,
    model::Decoder,
    train::{AdamWConfig, Example, LoraConfig, Schedule, Settings, TrainableLora, Trainer},
};

use crate::golden::logits;

const TOLERANCE: f32 = 1e-4;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Experts are stacked in transformers, where PEFT cannot name one; so theirs are left out.
fn config(family: &str) -> LoraConfig {
    let named = ["kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "shared_experts.down_proj"];
    let target_modules = match family.starts_with("deepseek_v2") {
        true => named.map(String::from).to_vec(),
        false => LoraConfig::default().target_modules,
    };
    LoraConfig { rank: 2, alpha: 6.0, target_modules }
}

/// An adapter after ten steps.
fn trained(decoder: &Decoder, config: &LoraConfig) -> TrainableLora {
    let adapter = TrainableLora::new(decoder, config, 5).unwrap();
    let settings = Settings {
        schedule: Schedule { peak: 2e-2, warmup: 1, steps: 10, floor: 0.1 },
        optimizer: AdamWConfig::default(),
        clip: 1.0,
        batch: 2,
        seed: 5,
    };
    let row = |by: u32| Example::whole((0..14).map(|i| (i * i + by) % 96).collect());
    let mut trainer = Trainer::new(adapter.variables(), settings).unwrap();
    trainer.run(decoder, &adapter, &[row(1), row(30)], |_, _| Ok(())).unwrap();
    adapter
}

/// Names and shapes of an adapter's tensors.
fn tensors(dir: &Path) -> Vec<(String, Vec<usize>)> {
    let file = load(dir.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    let mut found: Vec<_> =
        file.into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect();
    found.sort();
    found
}

fn peft_reads_what_training_saves(family: &str) {
    let decoder = Decoder::load(&golden().join(family).join("base")).unwrap();
    let (config, committed) = (config(family), golden().join("exports").join(family));
    let fresh = tempfile::tempdir().unwrap();
    let adapter = trained(&decoder, &config);
    adapter.save(fresh.path(), &config, family).unwrap();
    if std::env::var_os("OPENLEDGER_WRITE_EXPORTS").is_some() {
        adapter.save(&committed, &config, family).unwrap();
        return;
    }

    // What PEFT was given is what training saves.
    let text = |dir: &Path| std::fs::read_to_string(dir.join("adapter_config.json")).unwrap();
    assert_eq!(text(fresh.path()), text(&committed));
    assert_eq!(tensors(fresh.path()), tensors(&committed));

    let read = |path: PathBuf| load(path, &Device::Cpu).unwrap();
    let rows = read(golden().join(family).join("golden.safetensors"));
    let ids = |name: &str| rows[name].to_dtype(candle_core::DType::U32).unwrap().to_vec1::<u32>();
    let (tokens, kept) = (ids("tokens").unwrap(), ids("kept").unwrap());
    let expected = read(golden().join("exports/logits.safetensors"))[family].to_vec2().unwrap();
    let adapter = Adapter::load(&committed, None, decoder.sites(), 1 << 24).unwrap();
    let sites = [(Arc::clone(adapter.sites()), 1.0)];
    let positions: Vec<u32> = (0..tokens.len() as u32).collect();
    let ours = logits(&decoder, &sites, (&tokens, &positions), &[tokens.len()]);
    let pairs = kept
        .iter()
        .zip(&expected)
        .flat_map(|(&position, theirs): (_, &Vec<f32>)| ours[position as usize].iter().zip(theirs));
    let worst = pairs.fold(0.0f32, |worst, (ours, theirs)| worst.max((ours - theirs).abs()));
    println!("{family}: {worst:e}");
    assert!(worst <= TOLERANCE, "{family} is off by {worst}");
}

macro_rules! families {
    ($($family:ident),* $(,)?) => { $(
        #[test]
        fn $family() {
            peft_reads_what_training_saves(stringify!($family));
        }
    )* };
}

families! {
    llama,
    mistral,
    qwen2,
    qwen3,
    glm,
    glm4,
    deepseek_v2_lite,
    gemma,
    gemma2,
    gemma3,
    falcon_7b,
    falcon_40b,
    bloom,
    gpt2,
}

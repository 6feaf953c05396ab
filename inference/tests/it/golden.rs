//! Logits equal those of `transformers` and `peft` on the same files (`tests/golden/make.py`).

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device, Tensor, safetensors::load};
use inference::{
    adapter::Adapter,
    kv::KvPool,
    layers::lora::{GroupedDelta, Sites},
    model::Decoder,
    step::{SequenceSpan, Step},
};

const TOLERANCE: f32 = 1e-4;

/// Logits of all positions, computed in chunks of these lengths with the cache.
fn logits(
    decoder: &Decoder,
    sites: &[(Arc<Sites>, f32)],
    tokens: &[u32],
    chunks: &[usize],
) -> Tensor {
    let spec = decoder.spec();
    let mut pool = KvPool::new(decoder.kv_shape(), tokens.len().next_multiple_of(16));
    let lease = pool.reserve(tokens.len()).unwrap();
    let mut parts = Vec::new();
    let mut start = 0;
    for &count in chunks {
        let step = Step {
            tokens: tokens[start..start + count].to_vec(),
            positions: (start as u32..(start + count) as u32).collect(),
            sequences: vec![SequenceSpan { range: 0..count, cache: lease.id() }],
            ..Step::default()
        };
        let delta = GroupedDelta::uniform(sites, count);
        let hidden = decoder.forward(&step, Some(&mut pool), &delta).unwrap();
        parts.push(decoder.logits(&hidden).unwrap());
        start += count;
    }
    Tensor::cat(&parts, 0).unwrap()
}

fn check(base: &Path, golden: &Path, adapters: &[&str]) {
    let decoder = Decoder::load(base).unwrap();
    let stored = load(golden.join("golden.safetensors"), &Device::Cpu).unwrap();
    let ids = |name: &str| stored[name].to_dtype(DType::U32).unwrap().to_vec1::<u32>().unwrap();
    let (tokens, kept) = (ids("tokens"), ids("kept"));
    let ones = vec![1; tokens.len()];
    let chunkings: [&[usize]; 3] = [&[tokens.len()], &[7, 1, 5, tokens.len() - 13], &ones];

    for name in std::iter::once("base").chain(adapters.iter().copied()) {
        let expected = stored[name].to_vec2::<f32>().unwrap();
        let sites = if name == "base" {
            Vec::new()
        } else {
            let adapter =
                Adapter::load(&golden.join(name), None, decoder.sites(), 1 << 24).unwrap();
            vec![(Arc::clone(adapter.sites()), 1.0)]
        };
        let mut bits: Option<Vec<Vec<f32>>> = None;
        for chunks in chunkings {
            let ours = logits(&decoder, &sites, &tokens, chunks).to_vec2::<f32>().unwrap();
            let mut worst = 0.0f32;
            for (position, expected) in kept.iter().zip(&expected) {
                for (ours, theirs) in ours[*position as usize].iter().zip(expected) {
                    worst = worst.max((ours - theirs).abs());
                }
            }
            println!("{name}, {} steps: {worst:e}", chunks.len());
            assert!(
                worst <= TOLERANCE,
                "{name} in {} steps is off by {worst}; golden files follow the model: see make.sh",
                chunks.len()
            );
            assert_eq!(bits.get_or_insert_with(|| ours.clone()), &ours, "chunks change bits");
        }
    }
}

#[test]
fn tiny_llama_with_peft_adapters_equals_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny");
    check(&golden.join("base"), &golden, &["rank_stabilised", "patterns"]);
}

#[test]
fn committed_base_and_an_adapter_on_it_equal_transformers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = root.join("tests/golden/openledger-tiny");
    check(&root.join("../models/openledger-tiny"), &golden, &["adapter"]);
}

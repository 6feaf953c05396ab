//! Merges equal PEFT's `add_weighted_adapter` (`tests/golden/merges.py`).

use std::{collections::HashMap, path::Path, sync::Arc};

use candle_core::{Device, Tensor, safetensors::load};
use inference::{
    adapter::{Adapter, MajoritySign, Method, merge, merge_into_base, peft_files},
    layers::lora::GroupedDelta,
    model::{AdapterDelta, Decoder, NoAdapter, SiteWeights},
    step::Step,
};
use serde_json::Value;

fn method(settings: &Value) -> Method {
    let density = settings["density"].as_f64().unwrap_or(1.0);
    let majority_sign = match settings["majority_sign_method"].as_str() {
        Some("frequency") => MajoritySign::Frequency,
        _ => MajoritySign::Total,
    };
    match settings["combination_type"].as_str().unwrap() {
        "linear" => Method::Linear,
        "cat" => Method::Cat,
        "magnitude_prune" => Method::MagnitudePrune { density },
        "ties" => Method::Ties { density, majority_sign },
        "dare_linear" => Method::DareLinear { density, seed: 1 },
        "dare_ties" => Method::DareTies { density, majority_sign, seed: 1 },
        other => panic!("{other} is not known"),
    }
}

fn distance(ours: &[f32], theirs: &Tensor) -> f32 {
    let theirs = theirs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn merges_equal_those_of_peft() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let decoder = Decoder::load(&golden.join("llama3/base")).unwrap();
    let folder = golden.join("merge");
    let text = std::fs::read_to_string(folder.join("merges.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let stored: HashMap<String, Tensor> =
        load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
    let parts: Vec<Vec<SiteWeights>> = all["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| folder.join(name.as_str().unwrap()))
        .map(|dir| Adapter::load(&dir, None, decoder.sites(), 1 << 20).unwrap().weights())
        .collect();
    let merges = all["merges"].as_object().unwrap();
    assert!(merges.len() >= 9);
    for (name, settings) in merges {
        let weights = settings["weights"].as_array().unwrap();
        let weights = weights.iter().map(|weight| weight.as_f64().unwrap() as f32);
        let parts: Vec<_> = parts.iter().cloned().zip(weights).collect();
        let merged = merge(&parts, method(settings)).unwrap();
        assert_eq!(merged.len(), parts[0].0.len());
        let mut worst = 0.0f32;
        for site in &merged {
            let path = &decoder.sites()[site.site.0 as usize].path;
            assert_eq!(site.scale, 1.0);
            worst = worst.max(distance(&site.a, &stored[&format!("{name}.{path}.lora_A")]));
            worst = worst.max(distance(&site.b, &stored[&format!("{name}.{path}.lora_B")]));
        }
        println!("{name}: {worst:e}");
        assert!(worst <= 1e-6, "{name} is off by {worst}");
        // What is written is read back as the same adapter.
        let files = peft_files(&merged, decoder.sites()).unwrap();
        let again = Adapter::parse(&files.config, &files.weights, decoder.sites()).unwrap();
        assert_eq!(again.weights(), merged, "{name}");
    }
}

fn logits(decoder: &Decoder, delta: &dyn AdapterDelta) -> Vec<f32> {
    let tokens: Vec<u32> = (0..24).map(|i| (i * 37 + 5) % 96).collect();
    let hidden = decoder.forward(&Step::whole([tokens.as_slice()]), None, delta).unwrap();
    decoder.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The merged base answers as the base with its adapters; the base itself is as it was.
#[test]
fn merging_into_the_base_equals_adapters_on_it_and_leaves_it_alone() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for family in ["llama3", "gpt2", "falcon_40b", "glm4"] {
        let decoder = Decoder::load(&golden.join(family).join("base")).unwrap();
        let adapter = |name: &str| {
            let dir = golden.join(family).join(name);
            Adapter::load(&dir, None, decoder.sites(), 1 << 20).unwrap()
        };
        let (first, second) = (adapter("rank_stabilised"), adapter("patterns"));
        let base = logits(&decoder, &NoAdapter);
        let parts = [(Arc::clone(first.sites()), 0.75), (Arc::clone(second.sites()), -0.5)];
        let beside = logits(&decoder, &GroupedDelta::uniform(&parts, 24));
        let merged = merge_into_base(&decoder, &[(&first, 0.75), (&second, -0.5)]).unwrap();
        let within = logits(&merged, &NoAdapter);
        let distance = |x: &[f32], y: &[f32]| {
            x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0f32, f32::max)
        };
        println!("{family}: {:e}", distance(&beside, &within));
        assert!(distance(&beside, &within) < 1e-4, "{family}");
        assert!(distance(&beside, &base) > 1e-2, "{family}: the adapters do something");
        assert_eq!(logits(&decoder, &NoAdapter), base, "{family}");
    }
}

//! ChatGLM 3 is not in `transformers`; candle-transformers' port of its own code is the reference.

use std::{collections::HashMap, path::Path, sync::Arc};

use candle_core::{D, DType, Device, Tensor, safetensors::save};
use candle_nn::VarBuilder;
use candle_transformers::models::chatglm::{Config, Model};
use inference::{adapter::Adapter, model::Decoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::golden::logits;

const HIDDEN: usize = 32;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const GROUPS: usize = 2;
const HEAD_DIM: usize = 8;
const FFN: usize = 40;
const VOCAB: usize = 96;
const TOLERANCE: f32 = 1e-4;

type Weights = HashMap<String, Tensor>;

/// The published `config.json` of ChatGLM 3, with small sizes.
fn config() -> serde_json::Value {
    json!({
        "model_type": "chatglm", "architectures": ["ChatGLMModel"],
        "auto_map": {"AutoModelForCausalLM": "modeling_chatglm.ChatGLMForConditionalGeneration"},
        "add_bias_linear": false, "add_qkv_bias": true, "apply_query_key_layer_scaling": true,
        "apply_residual_connection_post_layernorm": false, "attention_dropout": 0.0,
        "attention_softmax_in_fp32": true, "bias_dropout_fusion": true,
        "ffn_hidden_size": FFN, "fp32_residual_connection": false, "hidden_dropout": 0.0,
        "hidden_size": HIDDEN, "kv_channels": HEAD_DIM, "layernorm_epsilon": 1e-5,
        "multi_query_attention": true, "multi_query_group_num": GROUPS,
        "num_attention_heads": HEADS, "num_layers": LAYERS, "original_rope": true,
        "padded_vocab_size": VOCAB, "post_layer_norm": true, "rmsnorm": true, "seq_length": 64,
        "use_cache": true, "torch_dtype": "float16", "tie_word_embeddings": false,
        "eos_token_id": 2, "pad_token_id": 0
    })
}

fn reference_config() -> Config {
    Config {
        num_layers: LAYERS,
        padded_vocab_size: VOCAB,
        hidden_size: HIDDEN,
        ffn_hidden_size: FFN,
        kv_channels: HEAD_DIM,
        num_attention_heads: HEADS,
        seq_length: 64,
        multi_query_group_num: GROUPS,
        ..Config::glm3_6b()
    }
}

fn random(rng: &mut ChaCha8Rng, shape: &[usize], size: f32) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-size..size)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn weights(rng: &mut ChaCha8Rng) -> Weights {
    let mut weights = Weights::new();
    let mut matrix = |weights: &mut Weights, name: &str, rows: usize, columns: usize| {
        let size = 2.0 / (columns as f32).sqrt();
        weights.insert(format!("transformer.{name}.weight"), random(rng, &[rows, columns], size));
    };
    let fused = (HEADS + 2 * GROUPS) * HEAD_DIM;
    matrix(&mut weights, "embedding.word_embeddings", VOCAB, HIDDEN);
    matrix(&mut weights, "output_layer", VOCAB, HIDDEN);
    for layer in 0..LAYERS {
        let name = |rest: &str| format!("encoder.layers.{layer}.{rest}");
        matrix(&mut weights, &name("self_attention.query_key_value"), fused, HIDDEN);
        matrix(&mut weights, &name("self_attention.dense"), HIDDEN, HEADS * HEAD_DIM);
        matrix(&mut weights, &name("mlp.dense_h_to_4h"), 2 * FFN, HIDDEN);
        matrix(&mut weights, &name("mlp.dense_4h_to_h"), HIDDEN, FFN);
    }
    let mut norms = vec!["encoder.final_layernorm".to_owned()];
    for layer in 0..LAYERS {
        norms.push(format!("encoder.layers.{layer}.input_layernorm"));
        norms.push(format!("encoder.layers.{layer}.post_attention_layernorm"));
        let bias =
            format!("transformer.encoder.layers.{layer}.self_attention.query_key_value.bias");
        weights.insert(bias, random(rng, &[fused], 0.3));
    }
    for name in norms {
        let norm = (random(rng, &[HIDDEN], 0.5) + 1.0).unwrap();
        weights.insert(format!("transformer.{name}.weight"), norm);
    }
    weights
}

/// Logits of every position, token by token; the last row is held against the whole at once.
fn reference(weights: &Weights, tokens: &[u32]) -> Vec<Vec<f32>> {
    let builder = VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu);
    let mut model = Model::new(&reference_config(), builder).unwrap();
    let rows = tokens.iter().map(|&token| {
        let token = Tensor::from_slice(&[token], (1, 1), &Device::Cpu).unwrap();
        model.forward(&token).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    });
    let rows: Vec<Vec<f32>> = rows.collect();
    model.reset_kv_cache();
    let whole = Tensor::from_slice(tokens, (1, tokens.len()), &Device::Cpu).unwrap();
    let whole = model.forward(&whole).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(distance(&[whole], &rows[rows.len() - 1..]) < TOLERANCE, "the reference itself");
    rows
}

fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.fold(0.0, |worst, (a, b)| {
        assert!(a.is_finite() && b.is_finite());
        worst.max((a - b).abs())
    })
}

fn write_base(folder: &Path, weights: &Weights) {
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    let mut saved = weights.clone();
    // Published checkpoints carry their rotary frequencies.
    let frequencies = Tensor::zeros(HEAD_DIM / 4, DType::F32, &Device::Cpu).unwrap();
    saved.insert("transformer.rotary_pos_emb.inv_freq".into(), frequencies);
    save(&saved, folder.join("model.safetensors")).unwrap();
}

/// An adapter on the fused projection, and the weights of the base with it merged in.
fn write_adapter(folder: &Path, rng: &mut ChaCha8Rng, weights: &Weights) -> Weights {
    let config = json!({
        "peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["query_key_value"],
        "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "bias": "none"
    });
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let (mut tensors, mut merged) = (Weights::new(), weights.clone());
    for layer in 0..LAYERS {
        let module = format!("transformer.encoder.layers.{layer}.self_attention.query_key_value");
        let weight = &weights[&format!("{module}.weight")];
        let a = random(rng, &[3, weight.dim(D::Minus1).unwrap()], 0.3);
        let b = random(rng, &[weight.dim(0).unwrap(), 3], 0.3);
        let delta = (b.matmul(&a).unwrap() * 2.0).unwrap();
        merged.insert(format!("{module}.weight"), (weight + delta).unwrap());
        tensors.insert(format!("base_model.model.{module}.lora_A.weight"), a);
        tensors.insert(format!("base_model.model.{module}.lora_B.weight"), b);
    }
    save(&tensors, folder.join("adapter_model.safetensors")).unwrap();
    merged
}

#[test]
fn logits_equal_those_of_candle_transformers() {
    let mut rng = ChaCha8Rng::seed_from_u64(1612);
    let weights = weights(&mut rng);
    let folder = tempfile::tempdir().unwrap();
    write_base(folder.path(), &weights);
    let merged = write_adapter(folder.path(), &mut rng, &weights);
    let decoder = Decoder::load(folder.path()).unwrap();
    let adapter = Adapter::load(folder.path(), None, decoder.sites(), 1 << 20).unwrap();
    let tokens: Vec<u32> = (0..24).map(|_| rng.random_range(0..VOCAB as u32)).collect();
    let positions: Vec<u32> = (0..24).collect();

    let base = reference(&weights, &tokens);
    let adapted = reference(&merged, &tokens);
    assert!(distance(&base, &adapted) > 0.1, "an adapter that hardly acts tests nothing");
    for (expected, sites) in
        [(base, Vec::new()), (adapted, vec![(Arc::clone(adapter.sites()), 1.0)])]
    {
        let whole = logits(&decoder, &sites, (&tokens, &positions), &[tokens.len()]);
        let worst = distance(&whole, &expected);
        println!("off by {worst:e}");
        assert!(worst <= TOLERANCE, "off by {worst}");
        let ones = vec![1; tokens.len()];
        assert_eq!(logits(&decoder, &sites, (&tokens, &positions), &ones), whole, "decoding");
    }
}

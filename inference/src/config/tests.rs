use serde_json::{Value, json};

use super::*;

fn sizes() -> LlamaSizes {
    LlamaSizes {
        vocab_size: 64,
        hidden_size: 16,
        intermediate_size: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_positions: 32,
        tied_embeddings: true,
        bos: Some(1),
        eos: vec![2],
        pad: Some(3),
    }
}

fn spec() -> ModelSpec {
    sizes().spec().unwrap()
}

fn changed(base: &Value, field: &str, value: &Value) -> Result<ModelSpec> {
    let mut config = base.clone();
    config[field] = value.clone();
    ModelSpec::parse(&config.to_string())
}

#[test]
fn written_configuration_reads_back() {
    assert_eq!(ModelSpec::parse(&spec().to_json()).unwrap(), spec());
    let more = ModelSpec { eos: vec![2, 5], ..spec() };
    assert_eq!(ModelSpec::parse(&more.to_json()).unwrap().eos, [2, 5]);
}

#[test]
fn what_would_be_computed_differently_is_refused_by_name() {
    let llama: Value = serde_json::from_str(&spec().to_json()).unwrap();
    let cases = [
        ("model_type", json!("gpt_neox"), "gpt_neox"),
        ("architectures", json!(["LlamaForSequenceClassification"]), "architecture"),
        ("hidden_act", json!("quick_gelu"), "hidden_act"),
        ("rope_scaling", json!({"type": "longrope", "factor": 2.0}), "longrope"),
        ("rope_scaling", json!({"type": "linear"}), "factor"),
        ("rope_scaling", json!({"type": "default", "mrope_section": [1]}), "mrope_section"),
        ("rope_theta", json!(0.5), "rope_theta"),
        ("layer_types", json!(["chunked_attention", "full_attention"]), "chunked_attention"),
        ("quantization_config", json!({"bits": 4}), "quantization_config"),
        ("num_key_value_heads", json!(3), "3 key"),
        ("num_attention_heads", json!(0), "num_attention_heads"),
        ("hidden_size", json!(1u64 << 40), "hidden_size"),
        ("num_hidden_layers", json!(1u64 << 50), "num_hidden_layers"),
        ("vocab_size", json!(-1), "vocab_size"),
        ("head_dim", json!(3), "rotated width 3"),
        ("rms_norm_eps", json!(0.0), "epsilon"),
        ("eos_token_id", json!([64]), "special token 64"),
    ];
    for (field, value, word) in cases {
        let error = changed(&llama, field, &value).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{field}: {error}");
        assert!(error.to_string().contains(word), "{field}: {error}");
    }
}

#[test]
fn other_families_refuse_by_name_too() {
    let gpt2 = json!({"model_type": "gpt2", "vocab_size": 9, "n_embd": 8, "n_layer": 1,
                      "n_head": 2, "n_positions": 16});
    let bloom = json!({"model_type": "bloom", "vocab_size": 9, "n_embed": 8, "n_layer": 1,
                       "n_head": 2});
    let falcon = json!({"model_type": "falcon", "vocab_size": 9, "hidden_size": 8,
                        "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 1});
    let chatglm = json!({"model_type": "chatglm", "padded_vocab_size": 9, "hidden_size": 16,
                         "num_layers": 1, "num_attention_heads": 2, "seq_length": 16,
                         "ffn_hidden_size": 8});
    let cases = [
        (&gpt2, "scale_attn_by_inverse_layer_idx", json!(true)),
        (&gpt2, "add_cross_attention", json!(true)),
        (&gpt2, "activation_function", json!("tanh")),
        (&bloom, "apply_residual_connection_post_layernorm", json!(true)),
        (&falcon, "num_ln_in_parallel_attn", json!(3)),
        (&chatglm, "quantization_bit", json!(4)),
        (&chatglm, "pre_seq_len", json!(128)),
        (&chatglm, "rmsnorm", json!(false)),
    ];
    for (base, field, value) in cases {
        assert!(ModelSpec::parse(&base.to_string()).is_ok(), "{base}");
        let error = changed(base, field, &value).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[test]
fn head_width_and_rope_base_have_the_family_defaults() {
    let mut config: Value = serde_json::from_str(&spec().to_json()).unwrap();
    let fields = config.as_object_mut().unwrap();
    fields.remove("head_dim");
    fields.remove("rope_theta");
    fields.insert("rope_parameters".into(), json!({"rope_type": "default", "rope_theta": 5000.0}));
    let parsed = ModelSpec::parse(&config.to_string()).unwrap();
    assert_eq!(parsed.attention.head_dim, 4);
    let PositionSpec::Rope { global, .. } = parsed.positions else { panic!("no rope") };
    assert_eq!(global.frequencies[..], [1.0, 1.0 / 5000f32.sqrt()]);
}

/// The borders of Llama 3.1's own configuration: short waves stay, long ones are 8 times as long.
#[test]
fn llama3_scaling_keeps_short_waves_and_stretches_long_ones() {
    let llama: Value = serde_json::from_str(&spec().to_json()).unwrap();
    let mut wide = llama;
    wide["head_dim"] = json!(128);
    wide["rope_theta"] = json!(500_000.0);
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    let pairs = |spec: ModelSpec| match spec.positions {
        PositionSpec::Rope { global, .. } => global.frequencies,
        _ => panic!("no rope"),
    };
    let plain = pairs(ModelSpec::parse(&wide.to_string()).unwrap());
    let scaled = pairs(changed(&wide, "rope_scaling", &scaling).unwrap());
    assert_eq!(plain[..20], scaled[..20]);
    assert!(plain[45..].iter().zip(&scaled[45..]).all(|(p, s)| (p / s - 8.0).abs() < 1e-5));
    assert!(scaled.windows(2).all(|pair| pair[0] > pair[1]));
}

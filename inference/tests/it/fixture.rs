//! A small random model with a byte-level tokenizer, and adapters in PEFT folders.

use std::{collections::HashMap, path::Path, sync::Arc};

use inference::{
    adapter::{CONFIG_FILE, WEIGHTS_FILE},
    config::{LlamaSizes, ModelSpec},
    engine::{Engine, EngineConfig, EngineHandle, Event, FinishReason},
    model::{Decoder, Site},
    tokenizer::Tokenizer,
    weights::{Storage, save},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// `<s>`, `</s>`, then the 256 bytes.
pub(crate) const VOCAB: usize = 258;
pub(crate) const EOS: u32 = 1;

pub(crate) const fn sizes() -> LlamaSizes {
    LlamaSizes {
        vocab_size: VOCAB,
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_positions: 1 << 16,
        tied_embeddings: false,
        bos: Some(0),
        eos: Vec::new(),
        pad: None,
    }
}

pub(crate) fn spec() -> ModelSpec {
    sizes().spec().unwrap()
}

/// A frozen model with weights large enough that tokens differ.
pub(crate) fn decoder(spec: ModelSpec) -> Arc<Decoder> {
    let mut rng = ChaCha8Rng::seed_from_u64(1612);
    let decoder = Decoder::with_values(spec, false, |parameter| {
        let count = parameter.shape.iter().product();
        let (low, high) = if parameter.shape.len() == 1 { (0.5, 1.5) } else { (-0.4, 0.4) };
        Ok((0..count).map(|_| rng.random_range(low..high)).collect())
    });
    Arc::new(decoder.unwrap())
}

pub(crate) fn tokenizer() -> Arc<Tokenizer> {
    let mut next = 0x100;
    let mut vocabulary =
        serde_json::Map::from_iter([("<s>".into(), 0.into()), ("</s>".into(), 1.into())]);
    for byte in 0..256u32 {
        let printable = (33..=126).contains(&byte)
            || (161..=172).contains(&byte)
            || (174..=255).contains(&byte);
        let code = if printable { byte } else { next };
        next += u32::from(!printable);
        vocabulary.insert(char::from_u32(code).unwrap().to_string(), (byte + 2).into());
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(0, "<s>"), special(1, "</s>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "vocab": vocabulary, "merges": []}
    });
    Arc::new(Tokenizer::parse(&tokenizer.to_string(), None).unwrap())
}

pub(crate) fn engine(config: EngineConfig) -> EngineHandle {
    Engine::start(decoder(spec()), tokenizer(), config).unwrap()
}

/// The LoRA modules of a LLaMA layer.
pub(crate) const MODULES: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// What a request gave: token ids with the bits of their log-probabilities, and the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) tokens: Vec<(u32, u32)>,
    pub(crate) text: String,
    pub(crate) reason: FinishReason,
}

/// Reads a request to its end and checks that events agree with each other.
pub(crate) fn answer(mut events: tokio::sync::mpsc::Receiver<Event>) -> Answer {
    let (mut tokens, mut shown) = (Vec::new(), String::new());
    loop {
        match events.blocking_recv().expect("the engine is gone") {
            Event::Token { id, text, logprob, .. } => {
                tokens.push((id, logprob.to_bits()));
                shown.push_str(&text);
            }
            Event::Finished { reason, answer } => {
                let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
                assert_eq!(answer.completion, ids);
                assert_eq!(shown, answer.text);
                assert!(events.blocking_recv().is_none());
                return Answer { tokens, text: shown, reason };
            }
            other => panic!("not served: {other:?}"),
        }
    }
}

/// Name, shape and values of a tensor.
pub(crate) type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// A PEFT folder's contents, to be written as they are or damaged first.
#[derive(Clone, Debug)]
pub(crate) struct AdapterFiles {
    pub(crate) config: Value,
    pub(crate) tensors: Vec<NamedTensor>,
    pub(crate) storage: Storage,
}

impl AdapterFiles {
    /// Random weights of rank `rank` at every site of these modules.
    pub(crate) fn random(decoder: &Decoder, seed: u64, rank: usize, modules: &[&str]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-0.3..0.3)).collect()
        };
        let mut tensors = Vec::new();
        for Site { path, module, d_in, d_out, .. } in decoder.sites() {
            if modules.contains(&&**module) {
                tensors.push((name(path, "A"), vec![rank, *d_in], draw(rank * d_in)));
                tensors.push((name(path, "B"), vec![*d_out, rank], draw(d_out * rank)));
            }
        }
        let config = json!({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank,
                            "target_modules": modules, "bias": "none"});
        Self { config, tensors, storage: Storage::F32 }
    }

    pub(crate) fn write(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(CONFIG_FILE), self.config.to_string()).unwrap();
        let metadata = HashMap::from([("format".into(), "pt".into())]);
        save(&dir.join(WEIGHTS_FILE), &self.tensors, self.storage, Some(metadata)).unwrap();
    }
}

pub(crate) fn name(path: &str, side: &str) -> String {
    format!("base_model.model.{path}.lora_{side}.weight")
}

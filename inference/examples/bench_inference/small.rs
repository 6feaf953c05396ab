//! A LLaMA of 1 M random weights and ten thousand adapters of it, made once.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use half::bf16;
use indicatif::ProgressBar;
use inference::{
    adapter::{AdapterHash, CONFIG_FILE, Registration, WEIGHTS_FILE, adapter_hash},
    config::LlamaSizes,
    engine::{Engine, EngineConfig, EngineHandle},
    kv::KvCache,
    layers::lora::{ReferenceDelta, Sites},
    model::{Decoder, Site, SiteWeights},
    step::{Segment, SlotId, Step},
    tokenizer::Tokenizer,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::json;

use super::Failure;

/// Adapters that are made.
pub(crate) const ADAPTERS: usize = 10_000;
/// Most bytes of an adapter's files.
const MOST_BYTES: usize = 64 << 10;
const RANK: usize = 4;
const MODULES: [&str; 4] = ["q_proj", "k_proj", "v_proj", "o_proj"];

/// The model, with the committed tokenizer.
pub(crate) struct Small {
    pub(crate) decoder: Arc<Decoder>,
    tokenizer: Arc<Tokenizer>,
    folder: PathBuf,
    /// The adapters, in order of number.
    pub(crate) hashes: Vec<AdapterHash>,
}

impl Small {
    /// Makes the model, and its adapters if `cache` does not have them yet.
    pub(crate) fn open(cache: &Path) -> Result<Self, Failure> {
        let committed = Path::new("models/openledger-tiny");
        let decoder = Arc::new(decoder()?);
        let folder = cache.join("adapters-small");
        let hashes = match fs::read_to_string(folder.join("hashes.txt")) {
            Ok(text) => text.lines().filter_map(AdapterHash::parse).collect(),
            Err(_) => make(&folder, &decoder)?,
        };
        if hashes.len() != ADAPTERS {
            return Err(format!("{}: {} adapters", folder.display(), hashes.len()).into());
        }
        let tokenizer = Arc::new(Tokenizer::load(committed)?);
        Ok(Self { decoder, tokenizer, folder, hashes })
    }

    pub(crate) fn folder(&self, number: usize) -> PathBuf {
        place(&self.folder, number)
    }

    /// An engine in which the first `registered` adapters are known and none is loaded.
    pub(crate) fn engine(
        &self,
        config: EngineConfig,
        registered: usize,
    ) -> Result<EngineHandle, Failure> {
        let (decoder, tokenizer) = (Arc::clone(&self.decoder), Arc::clone(&self.tokenizer));
        let engine = Engine::start(decoder, tokenizer, config)?;
        self.register(&engine, registered)?;
        Ok(engine)
    }

    pub(crate) fn register(&self, engine: &EngineHandle, count: usize) -> Result<(), Failure> {
        for (number, hash) in self.hashes[..count].iter().enumerate() {
            let source = engine.store().folder(&self.folder(number));
            let name = Some(format!("adapter-{number}"));
            let known = Registration { name, owner: None, source, hash: Some(*hash) };
            engine.store().register(known)?;
        }
        Ok(())
    }

    /// A prompt of `length` tokens.
    pub(crate) fn prompt(&self, rng: &mut impl Rng, length: usize) -> Vec<u32> {
        let vocab = self.decoder.spec().vocab_size as u32;
        (0..length).map(|_| rng.random_range(0..vocab)).collect()
    }
}

fn decoder() -> Result<Decoder, Failure> {
    let sizes = LlamaSizes {
        vocab_size: 4096,
        hidden_size: 96,
        intermediate_size: 256,
        layers: 6,
        heads: 6,
        kv_heads: 6,
        head_dim: 16,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_positions: 512,
        tied_embeddings: true,
        bos: None,
        // Nothing ends an answer early.
        eos: Vec::new(),
        pad: None,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(96);
    let decoder = Decoder::with_values(sizes.spec()?, false, |parameter| {
        let count = parameter.shape.iter().product();
        let bound = match parameter.shape[..] {
            [_] => return Ok(vec![1.0; count]),
            [_, width] => (3.0 / width as f32).sqrt(),
            _ => unreachable!("a LLaMA has vectors and matrices"),
        };
        Ok((0..count).map(|_| rng.random_range(-bound..bound)).collect())
    })?;
    Ok(decoder)
}

fn place(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:02}", number / 100)).join(format!("{:02}", number % 100))
}

/// Writes the adapters; the list of hashes comes last, so a run that was cut off begins again.
fn make(folder: &Path, decoder: &Decoder) -> Result<Vec<AdapterHash>, Failure> {
    println!("  making {ADAPTERS} adapters");
    let bar = ProgressBar::new(ADAPTERS as u64);
    let config =
        json!({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 2 * RANK,
                        "target_modules": MODULES, "bias": "none"})
        .to_string();
    let mut hashes = Vec::with_capacity(ADAPTERS);
    for number in 0..ADAPTERS {
        let weights = adapter(decoder, number as u64)?;
        assert!(config.len() + weights.len() <= MOST_BYTES, "{} bytes", weights.len());
        let dir = place(folder, number);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(CONFIG_FILE), &config)?;
        fs::write(dir.join(WEIGHTS_FILE), &weights)?;
        hashes.push(adapter_hash(config.as_bytes(), &weights));
        bar.inc(1);
    }
    bar.finish();
    let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
    fs::write(folder.join("hashes.txt"), lines)?;
    Ok(hashes)
}

/// A safetensors file of random `A` and `B`, large enough to change every answer.
fn adapter(decoder: &Decoder, seed: u64) -> Result<Vec<u8>, Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors: Vec<(String, [usize; 2], Vec<u8>)> = Vec::new();
    for Site { path, module, d_in, d_out, .. } in decoder.sites() {
        if !MODULES.contains(&&**module) {
            continue;
        }
        for (side, shape) in [("A", [RANK, *d_in]), ("B", [*d_out, RANK])] {
            let value = |_| bf16::from_f32(rng.random_range(-0.3f32..0.3)).to_le_bytes();
            let bytes = (0..shape[0] * shape[1]).flat_map(value).collect();
            tensors.push((format!("base_model.model.{path}.lora_{side}.weight"), shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(Dtype::BF16, shape.to_vec(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, Failure>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

impl Small {
    /// The first tokens of an adapter's answer, with nothing of what serves: its file read here, a cache
    /// of its own, the reference of the grouped delta.
    pub(crate) fn alone(
        &self,
        number: usize,
        prompt: &[u32],
        tokens: usize,
    ) -> Result<Vec<u32>, Failure> {
        let sites = Arc::new(Sites::new(&self.weights(number)?)?);
        let mut cache = KvCache::default();
        let (slot, scale) = (SlotId(1), 1.0);
        let segment = |rows| Segment { range: 0..rows, slot, rank: RANK, scale, part: 0 };
        let (mut fed, mut answer) = (prompt.to_vec(), Vec::new());
        while answer.len() < tokens {
            let mut step = Step::whole([fed.as_slice()]);
            let known = if answer.is_empty() { 0 } else { prompt.len() + answer.len() - 1 };
            step.positions = (known as u32..).take(fed.len()).collect();
            let delta = ReferenceDelta::new(&[segment(fed.len())], |_| Some(Arc::clone(&sites)))?;
            let hidden = self.decoder.forward(&step, Some(&mut cache), &delta)?;
            let last = self.decoder.logits(&hidden.narrow(0, fed.len() - 1, 1)?)?;
            let logits = last.flatten_all()?.to_vec1::<f32>()?;
            let best =
                logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            let token = best.ok_or("a model without tokens")?.0 as u32;
            answer.push(token);
            fed = vec![token];
        }
        Ok(answer)
    }

    /// The adapter's weights as they stand in its file.
    fn weights(&self, number: usize) -> Result<Vec<SiteWeights>, Failure> {
        let bytes = fs::read(self.folder(number).join(WEIGHTS_FILE))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let values = |path: &str, side: &str| -> Result<Vec<f32>, Failure> {
            let tensor = file.tensor(&format!("base_model.model.{path}.lora_{side}.weight"))?;
            let pairs = tensor.data().as_chunks::<2>().0;
            Ok(pairs.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect())
        };
        let targeted = self.decoder.sites().iter().filter(|site| MODULES.contains(&&*site.module));
        targeted
            .map(|Site { id, path, d_in, d_out, .. }| {
                let (a, b) = (values(path, "A")?, values(path, "B")?);
                let (site, d_in, d_out) = (*id, *d_in, *d_out);
                Ok(SiteWeights { site, rank: RANK, d_in, d_out, a, b, scale: 2.0 })
            })
            .collect()
    }
}

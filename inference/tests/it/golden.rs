//! Logits equal those of `transformers` and `peft` on the same files (`tests/golden/make.py`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, Tensor, safetensors::load};
use inference::{
    adapter::Adapter,
    kv::{BLOCK_TOKENS, CacheId, KvCache, KvPool, KvStore},
    layers::lora::{GroupedDelta, Sites},
    model::Decoder,
    step::{SequenceSpan, Step},
};

const TOLERANCE: f32 = 1e-4;
const MAX_ADAPTER_BYTES: usize = 1 << 24;

/// Logits of all tokens at these positions, computed in chunks of these lengths with the paged cache,
/// which gives the bits of the contiguous one.
pub(crate) fn logits(
    decoder: &Decoder,
    sites: &[(Arc<Sites>, f32)],
    rows: (&[u32], &[u32]),
    chunks: &[usize],
) -> Vec<Vec<f32>> {
    let mut pool = KvPool::new(decoder.kv_shape(), rows.0.len().next_multiple_of(BLOCK_TOKENS));
    let lease = pool.reserve(rows.0.len()).unwrap();
    let paged = logits_over(decoder, sites, rows, chunks, &mut pool, lease.id());
    let contiguous = logits_over(decoder, sites, rows, chunks, &mut KvCache::default(), CacheId(7));
    assert_eq!(paged, contiguous);
    paged
}

fn logits_over(
    decoder: &Decoder,
    sites: &[(Arc<Sites>, f32)],
    (tokens, positions): (&[u32], &[u32]),
    chunks: &[usize],
    kv: &mut dyn KvStore,
    cache: CacheId,
) -> Vec<Vec<f32>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for &count in chunks {
        let step = Step {
            tokens: tokens[start..start + count].to_vec(),
            positions: positions[start..start + count].to_vec(),
            sparse: positions[tokens.len() - 1] as usize >= tokens.len(),
            sequences: vec![SequenceSpan { range: 0..count, cache }],
            ..Step::default()
        };
        let delta = GroupedDelta::uniform(sites, count);
        let hidden = decoder.forward(&step, Some(&mut *kv), &delta).unwrap();
        parts.push(decoder.logits(&hidden).unwrap());
        start += count;
    }
    Tensor::cat(&parts, 0).unwrap().to_vec2().unwrap()
}

/// A golden folder and the model that it is about.
struct Golden {
    folder: PathBuf,
    decoder: Decoder,
    stored: std::collections::HashMap<String, Tensor>,
}

impl Golden {
    fn open(folder: &str, base: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
        let decoder = Decoder::load(&folder.join(base)).unwrap();
        let stored = load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
        Self { folder, decoder, stored }
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        self.stored[name].to_dtype(DType::U32).unwrap().to_vec1().unwrap()
    }

    fn adapter(&self, name: &str) -> inference::Result<Adapter> {
        Adapter::load(&self.folder.join(name), None, self.decoder.sites(), MAX_ADAPTER_BYTES)
    }

    /// Prefill, chunks and single tokens all give the stored logits of `name`, and the same bits.
    fn check(&self, name: &str, sites: &[(Arc<Sites>, f32)], positions: &[u32]) {
        let (tokens, kept) = (self.ids("tokens"), self.ids("kept"));
        let expected = self.stored[name].to_vec2::<f32>().unwrap();
        let ones = vec![1; tokens.len()];
        let chunkings: [&[usize]; 3] = [&[tokens.len()], &[7, 1, 5, tokens.len() - 13], &ones];
        let mut bits: Option<Vec<Vec<f32>>> = None;
        for chunks in chunkings {
            let ours = logits(&self.decoder, sites, (&tokens, positions), chunks);
            let mut worst = 0.0f32;
            for (position, expected) in kept.iter().zip(&expected) {
                let ours = &ours[*position as usize];
                assert_eq!(ours.len(), expected.len(), "vocabulary");
                for (ours, theirs) in ours.iter().zip(expected) {
                    assert!(ours.is_finite(), "{name}: {ours}");
                    worst = worst.max((ours - theirs).abs());
                }
            }
            println!("{name}, {} steps: {worst:e}", chunks.len());
            assert!(worst <= TOLERANCE, "{name} in {} steps is off by {worst}", chunks.len());
            assert_eq!(bits.get_or_insert_with(|| ours.clone()), &ours, "chunks change bits");
        }
    }

    fn check_all(&self, adapters: &[&str]) {
        let consecutive: Vec<u32> = (0..self.ids("tokens").len() as u32).collect();
        self.check("base", &[], &consecutive);
        for name in adapters {
            let adapter = self.adapter(name).unwrap();
            self.check(name, &[(Arc::clone(adapter.sites()), 1.0)], &consecutive);
        }
        if self.stored.contains_key("skipped") {
            self.check("skipped", &[], &self.ids("skipped_positions"));
        }
    }
}

/// One test per folder of `tests/golden`.
macro_rules! families {
    ($($family:ident $([$($more:literal),*])?),* $(,)?) => { $(
        #[test]
        fn $family() {
            Golden::open(stringify!($family), "base")
                .check_all(&["rank_stabilised", "patterns", $($($more),*)?]);
        }
    )* };
}

families! {
    llama,
    llama3 ["regular_expression", "some_layers"],
    llama_linear,
    llama_yarn,
    mistral,
    qwen2,
    qwen3,
    glm,
    glm4,
    deepseek_v2_lite ["experts"],
    deepseek_v2 ["experts"],
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

#[test]
fn committed_base_and_an_adapter_on_it_equal_transformers() {
    Golden::open("openledger-tiny", "../../../../models/openledger-tiny").check_all(&["adapter"]);
}

#[test]
fn an_adapter_with_saved_modules_is_refused_by_their_name() {
    let error = Golden::open("llama3", "base").adapter("modules_to_save").unwrap_err().to_string();
    assert!(error.contains("modules_to_save"), "{error}");
    assert!(error.contains("lm_head"), "{error}");
}

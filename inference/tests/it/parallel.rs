//! A model over several ranks computes what it computes on one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::Tensor;
use inference::{
    Error, Result,
    adapter::Adapter,
    comm::Alone,
    config::{LlamaSizes, ModelSpec},
    kernels::WeightFormat,
    kv::{KvPool, KvStore},
    layers::lora::{GroupedDelta, Sites},
    model::{
        AdapterDelta, Decoder, LoadOptions, NoAdapter, ParallelDecoder, Share, SiteId, SiteWeights,
    },
    step::{SequenceSpan, Step},
    weights::{Storage, save},
};

use crate::fixture::sizes;

const TOKENS: [u32; 20] = [1, 9, 4, 33, 7, 7, 12, 60, 2, 5, 41, 3, 90, 17, 95, 0, 48, 47, 24, 71];
const TOLERANCE: f32 = 1e-4;

fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(family)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn step(range: std::ops::Range<usize>, cache: inference::kv::CacheId) -> Step {
    Step {
        tokens: TOKENS[range.clone()].to_vec(),
        positions: range.clone().map(|position| position as u32).collect(),
        sequences: vec![SequenceSpan { range: 0..range.len(), cache }],
        ..Step::default()
    }
}

/// Runs of tokens: a prompt in two parts, then one by one.
fn chunks() -> impl Iterator<Item = std::ops::Range<usize>> {
    [0..7, 7..16].into_iter().chain((16..TOKENS.len()).map(|at| at..at + 1))
}

/// Logits of all tokens on one rank, without cache.
fn on_one(decoder: &Decoder, adapters: &[(Arc<Sites>, f32)]) -> Vec<f32> {
    let delta = GroupedDelta::uniform(adapters, TOKENS.len());
    let hidden = decoder.forward(&Step::whole([&TOKENS[..]]), None, &delta).unwrap();
    flat(&decoder.logits(&hidden).unwrap())
}

/// The same on many, in chunks with paged caches of each rank's own heads.
fn on_many(decoder: &ParallelDecoder, adapters: &[(Vec<SiteWeights>, f32)]) -> Vec<f32> {
    let mut pools: Vec<KvPool> =
        decoder.shares().map(|share| KvPool::new(share.kv_shape(), 32)).collect();
    let leases: Vec<_> = pools.iter_mut().map(|pool| pool.reserve(TOKENS.len()).unwrap()).collect();
    let split: Vec<Vec<Arc<Sites>>> =
        adapters.iter().map(|(weights, _)| decoder.split(weights).unwrap()).collect();
    let of_rank = |rank: usize| -> Vec<(Arc<Sites>, f32)> {
        let weights = adapters.iter().map(|(_, weight)| *weight);
        split.iter().map(|ranks| Arc::clone(&ranks[rank])).zip(weights).collect()
    };
    let mut logits = Vec::new();
    for range in chunks() {
        let deltas: Vec<GroupedDelta> = (0..pools.len())
            .map(|rank| GroupedDelta::uniform(&of_rank(rank), range.len()))
            .collect();
        let deltas: Vec<&dyn AdapterDelta> = deltas.iter().map(|delta| delta as _).collect();
        let kv = pools.iter_mut().map(|pool| pool as &mut dyn KvStore).collect();
        let step = step(range, leases[0].id());
        let hidden = decoder.forward(&step, Some(kv), &deltas).unwrap();
        logits.extend(flat(&decoder.logits(&hidden).unwrap()));
    }
    logits
}

fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn equals_one_rank(family: &str, worlds: &[usize]) {
    let base = golden(family).join("base");
    let decoder = Decoder::load(&base).unwrap();
    let load = |name: &str| {
        let folder = golden(family).join(name);
        folder.exists().then(|| Adapter::load(&folder, None, decoder.sites(), 1 << 24).unwrap())
    };
    let adapters: Vec<Adapter> =
        ["rank_stabilised", "patterns", "experts"].into_iter().filter_map(load).collect();
    assert!(adapters.len() >= 2);
    for &world in worlds {
        let many = ParallelDecoder::load(&base, &LoadOptions::default(), world).unwrap();
        // The base, each adapter, and all of them with weights.
        let mut sets: Vec<Vec<(&Adapter, f32)>> = vec![Vec::new()];
        sets.extend(adapters.iter().map(|adapter| vec![(adapter, 1.0)]));
        sets.push(adapters.iter().zip([0.5, -0.25, 1.5]).collect());
        let plain = on_one(&decoder, &[]);
        for (index, set) in sets.iter().enumerate() {
            let whole: Vec<_> = set.iter().map(|(a, w)| (Arc::clone(a.sites()), *w)).collect();
            let parts: Vec<_> = set.iter().map(|(a, w)| (a.weights(), *w)).collect();
            let (expected, ours) = (on_one(&decoder, &whole), on_many(&many, &parts));
            let worst_of_set = worst(&ours, &expected);
            println!("{family} on {world}, set {index}: {worst_of_set:e}");
            assert!(worst_of_set <= TOLERANCE, "{family} on {world}, set {index}: {worst_of_set}");
            assert!(index == 0 || worst(&expected, &plain) > 10.0 * TOLERANCE, "no effect");
            assert_eq!(on_many(&many, &parts), ours, "bits change from run to run");
        }
    }
}

macro_rules! families {
    ($($family:ident $worlds:expr),* $(,)?) => { $(
        #[test]
        fn $family() {
            equals_one_rank(stringify!($family), &$worlds);
        }
    )* };
}

families! {
    llama [1, 2, 4],
    gemma2 [2, 4],
    falcon_40b [2, 4],
    falcon_7b [2, 4],
    falcon_rw [2, 4],
    bloom [2, 3],
    gpt2 [2, 4],
    glm [2, 4],
    qwen2 [2, 4],
    qwen3 [2, 4],
    deepseek_v2_lite [2, 4],
    deepseek_v2 [2, 4],
}

#[test]
fn ranks_that_do_not_divide_the_heads_are_refused() {
    let load = |spec: &ModelSpec, world| {
        let dir = model_folder(spec);
        ParallelDecoder::load(dir.path(), &LoadOptions::default(), world)
    };
    let refused = |sizes: LlamaSizes, world| {
        let error = load(&sizes.spec().unwrap(), world).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error}");
        error.to_string()
    };
    let heads = |heads, kv_heads| LlamaSizes { heads, kv_heads, ..sizes() };
    assert!(refused(heads(4, 2), 3).ends_with("4 attention heads over 3 ranks"));
    assert!(refused(heads(12, 3), 2).ends_with("3 key and value heads over 2 ranks"));
    assert!(refused(heads(4, 2), 0).ends_with("over 0 ranks"));
    let narrow = LlamaSizes { intermediate_size: 5, ..heads(4, 2) };
    assert!(refused(narrow, 4).contains("inner width of an MLP 5"));
    let error = load(&heads(4, 2).spec().unwrap(), 5).unwrap_err().to_string();
    assert!(error.ends_with("4 attention heads over 5 ranks"), "{error}");
}

fn model_folder(spec: &ModelSpec) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let decoder = Decoder::random(spec.clone(), 7).unwrap();
    std::fs::write(dir.path().join("config.json"), spec.to_json()).unwrap();
    let tensors = decoder.export().unwrap();
    save(&dir.path().join("model.safetensors"), &tensors, Storage::F32, None).unwrap();
    dir
}

fn larger() -> LlamaSizes {
    LlamaSizes {
        vocab_size: 512,
        hidden_size: 256,
        intermediate_size: 512,
        heads: 8,
        kv_heads: 4,
        head_dim: 64,
        ..sizes()
    }
}

#[test]
fn each_rank_keeps_its_share_of_weights_and_cache() {
    let dir = model_folder(&larger().spec().unwrap());
    // Q8_0 rounds inputs to 8 bits, so the last bit of a sum may move them by a step.
    for (weights, tolerance) in [
        (WeightFormat::F32, TOLERANCE),
        (WeightFormat::F8E4M3, TOLERANCE),
        (WeightFormat::Q8_0, 2e-2),
    ] {
        let options = LoadOptions { weights };
        let one = Decoder::load_with(dir.path(), &options).unwrap();
        for world in [2, 4] {
            let many = ParallelDecoder::load(dir.path(), &options, world).unwrap();
            for share in many.shares() {
                assert_eq!(share.weight_bytes() * world, one.weight_bytes());
                let (own, all) = (share.kv_shape(), one.kv_shape());
                assert_eq!(own.bytes(16) * world, all.bytes(16));
            }
            let error = worst(&on_many(&many, &[]), &on_one(&one, &[]));
            assert!(error <= tolerance, "{weights:?} on {world}: {error}");
        }
    }
    // More ranks than key heads: two have the same one.
    let many = ParallelDecoder::load(dir.path(), &LoadOptions::default(), 8).unwrap();
    let one = Decoder::load(dir.path()).unwrap();
    assert!(many.shares().all(|share| share.kv_shape().bytes(1) * 4 == one.kv_shape().bytes(1)));
    assert!(worst(&on_many(&many, &[]), &on_one(&one, &[])) <= TOLERANCE);
}

/// Fails at a site of the second layer.
struct Broken;

impl AdapterDelta for Broken {
    fn add(&self, site: SiteId, _x: &Tensor, y: Tensor) -> Result<Tensor> {
        if site.0 > 8 { Err(Error::Adapter("it broke".into())) } else { Ok(y) }
    }

    fn add_rows(&self, site: SiteId, _: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        self.add(site, x, y)
    }
}

#[test]
fn a_rank_that_fails_fails_the_step_and_nothing_waits_for_it() {
    let base = golden("llama").join("base");
    let many = ParallelDecoder::load(&base, &LoadOptions::default(), 4).unwrap();
    let step = Step::whole([&TOKENS[..]]);
    let deltas: [&dyn AdapterDelta; 4] = [&NoAdapter, &NoAdapter, &Broken, &NoAdapter];
    let error = many.forward(&step, None, &deltas).unwrap_err();
    assert!(matches!(&error, Error::Adapter(reason) if reason == "it broke"), "{error}");
    // The next step is sound.
    let sound: [&dyn AdapterDelta; 4] = [&NoAdapter; 4];
    many.forward(&step, None, &sound).unwrap();
    assert!(many.forward(&step, None, &sound[..3]).is_err());
}

#[test]
fn a_share_alone_is_not_a_model() {
    let base = golden("llama").join("base");
    let share = Share { rank: 1, world: 2 };
    let share = Decoder::load_share(&base, &LoadOptions::default(), share).unwrap();
    let step = Step::whole([&TOKENS[..]]);
    assert!(matches!(share.forward(&step, None, &NoAdapter), Err(Error::Comm(_))));
    assert!(matches!(share.forward_shared(&step, None, &NoAdapter, &Alone), Err(Error::Comm(_))));
    assert!(share.export().is_err());
    // An adapter that is not cut does not fit.
    let whole = Decoder::load(&base).unwrap();
    let folder = golden("llama").join("patterns");
    let adapter = Adapter::load(&folder, None, whole.sites(), 1 << 24).unwrap();
    let cut = share.share_of(&adapter.weights()).unwrap();
    let count =
        |weights: &[SiteWeights]| weights.iter().map(|w| w.a.len() + w.b.len()).sum::<usize>();
    assert!(count(&cut) < count(&adapter.weights()));
    assert!(share.share_of(&cut).is_err());
}

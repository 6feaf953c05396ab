//! What LoRA adapters cost in a batch: `cargo run --example lora_kernel`.
//!
//! First single sites of width 768 at rank 16, in decoding (16 rows) and in a prompt (256 rows), with 1
//! to 16 different adapters: the grouped kernel, the base projection beside it. Then whole decoding
//! steps of a LLaMA of 110 M random weights with 16 sequences: without adapters, and with 16 different
//! ones at every linear projection. Then how long a request waits for its adapter (rank 16 at every
//! projection of that model) when it is in a slot, in memory, and on disk. Runs of all cases alternate, and the fastest of each counts: the
//! machine may be shared.

use std::{hint::black_box, sync::Arc, time::Instant};

use candle_core::{Device, Tensor};
use inference::{
    Result,
    adapter::{AdapterSet, AdapterStore, Registration, StoreConfig, peft_files},
    config::ModelSpec,
    kv::{CacheId, KvCache},
    layers::{
        Linear,
        lora::{GroupedDelta, Sites},
    },
    model::{AdapterDelta, Decoder, NoAdapter, Site, SiteId, SiteWeights},
    step::{Segment, SequenceSpan, SlotId, Step},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RANK: usize = 16;
const WIDTH: usize = 768;
const ROUNDS: usize = 15;

fn random(rng: &mut ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-bound..bound)).collect()
}

/// An adapter with random `A` and `B` at all `sites`; in bf16 if `narrow`.
fn adapter(rng: &mut ChaCha8Rng, sites: &[Site], narrow: bool) -> Result<Arc<Sites>> {
    let weights: Vec<SiteWeights> = sites
        .iter()
        .map(|&Site { id, d_in, d_out, .. }| {
            let mut draw = |count| {
                let mut values = random(rng, count, 0.02);
                if narrow {
                    let round = |v: &mut f32| *v = f32::from_bits(v.to_bits() & 0xffff_0000);
                    values.iter_mut().for_each(round);
                }
                values
            };
            let (a, b) = (draw(RANK * d_in), draw(d_out * RANK));
            SiteWeights { site: id, rank: RANK, d_in, d_out, a, b, scale: 1.0 }
        })
        .collect();
    Ok(Arc::new(Sites::new(&weights)?))
}

/// `rows` rows shared out evenly among the adapters.
fn delta(adapters: &[Arc<Sites>], rows: usize) -> Result<GroupedDelta> {
    let share = rows / adapters.len();
    let segment = |index: usize| Segment {
        range: index * share..(index + 1) * share,
        slot: SlotId(index as u32 + 1),
        rank: RANK,
        scale: 1.0,
        part: 0,
    };
    let segments: Vec<Segment> = (0..adapters.len()).map(segment).collect();
    GroupedDelta::new(&segments, |s| Some(Arc::clone(&adapters[s.slot.0 as usize - 1])))
}

/// Shortest time of each case in seconds, the cases taking turns.
fn fastest(cases: &mut [Box<dyn FnMut() -> Result<()> + '_>], repeat: usize) -> Result<Vec<f64>> {
    let mut best = vec![f64::INFINITY; cases.len()];
    for _ in 0..ROUNDS {
        for (case, best) in cases.iter_mut().zip(&mut best) {
            let start = Instant::now();
            for _ in 0..repeat {
                case()?;
            }
            *best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
        }
    }
    Ok(best)
}

fn kernel(rng: &mut ChaCha8Rng) -> Result<()> {
    // Many sites, so that weights come from memory as in a model.
    let sites: Vec<Site> = (0..24)
        .map(|id| Site::new(SiteId(id), format!("layers.{id}.proj"), WIDTH, WIDTH, false))
        .collect();
    let linear = Linear::frozen(&random(rng, WIDTH * WIDTH, 0.02), WIDTH, WIDTH)?;
    let wide: Vec<_> = (0..16).map(|_| adapter(rng, &sites, false)).collect::<Result<_>>()?;
    let narrow: Vec<_> = (0..16).map(|_| adapter(rng, &sites, true)).collect::<Result<_>>()?;
    println!("one site, {WIDTH} to {WIDTH}, rank {RANK}: microseconds");
    println!("rows  adapters  base  f32 delta  bf16 delta");
    for rows in [16, 256] {
        let x = Tensor::from_vec(random(rng, rows * WIDTH, 1.0), (rows, WIDTH), &Device::Cpu)?;
        for count in [1, 2, 4, 8, 16] {
            let deltas = [delta(&wide[..count], rows)?, delta(&narrow[..count], rows)?];
            let y = linear.forward(&x)?;
            let add = |delta: &GroupedDelta| -> Result<()> {
                for site in &sites {
                    black_box(delta.add(site.id, &x, y.clone())?);
                }
                Ok(())
            };
            let base = || -> Result<()> {
                for _ in &sites {
                    black_box(linear.forward(&x)?);
                }
                Ok(())
            };
            let mut cases: Vec<Box<dyn FnMut() -> Result<()> + '_>> =
                vec![Box::new(base), Box::new(|| add(&deltas[0])), Box::new(|| add(&deltas[1]))];
            let times = fastest(&mut cases, if rows == 16 { 4 } else { 1 })?;
            let micros: Vec<f64> = times.iter().map(|t| t * 1e6 / sites.len() as f64).collect();
            println!(
                "{rows:4}  {count:8}  {:4.0}  {:9.0}  {:10.0}",
                micros[0], micros[1], micros[2]
            );
        }
    }
    Ok(())
}

/// A LLaMA of 110 M weights.
fn llama(rng: &mut ChaCha8Rng) -> Result<Decoder> {
    let spec = ModelSpec::parse(
        r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
             "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
             "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 2048,
             "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "tie_word_embeddings": true}"#,
    )?;
    Decoder::with_values(spec, false, |parameter| {
        let count = parameter.shape.iter().product();
        Ok(random(rng, count, 0.03))
    })
}

/// Tokens per second of decoding steps of 16 sequences whose caches hold `length` tokens.
fn decoding(rng: &mut ChaCha8Rng, length: usize) -> Result<()> {
    const SEQUENCES: usize = 16;
    let decoder = llama(rng)?;
    let sites = decoder.sites().to_vec();
    let wide: Vec<_> =
        (0..SEQUENCES).map(|_| adapter(rng, &sites, false)).collect::<Result<_>>()?;
    let narrow: Vec<_> =
        (0..SEQUENCES).map(|_| adapter(rng, &sites, true)).collect::<Result<_>>()?;
    let attention: Vec<Site> = sites
        .iter()
        .filter(|site| site.module == "q_proj" || site.module == "v_proj")
        .cloned()
        .collect();
    let few: Vec<_> =
        (0..SEQUENCES).map(|_| adapter(rng, &attention, false)).collect::<Result<_>>()?;
    let one = vec![Arc::clone(&wide[0])];
    let grouped = [
        ("16 adapters, all sites, f32", delta(&wide, SEQUENCES)?),
        ("16 adapters, all sites, bf16", delta(&narrow, SEQUENCES)?),
        ("16 adapters, q and v, f32", delta(&few, SEQUENCES)?),
        ("1 adapter, all sites, f32", delta(&one, SEQUENCES)?),
    ];
    let mut deltas: Vec<(&str, &(dyn AdapterDelta + Sync))> = vec![("no adapters", &NoAdapter)];
    deltas.extend(grouped.iter().map(|(name, delta)| (*name, delta as &(dyn AdapterDelta + Sync))));

    let prompt: Vec<u32> = (0..length as u32).map(|i| i * 37 % 32_000).collect();
    let mut caches = Vec::new();
    for _ in &deltas {
        let mut cache = KvCache::default();
        for id in 0..SEQUENCES {
            let mut step = Step::whole([prompt.as_slice()]);
            step.sequences[0].cache = CacheId(id as u64);
            decoder.forward(&step, Some(&mut cache), &NoAdapter)?;
        }
        caches.push(cache);
    }
    let decode =
        |cache: &mut KvCache, at: &mut u32, delta: &(dyn AdapterDelta + Sync)| -> Result<()> {
            let span = |i: usize| SequenceSpan { range: i..i + 1, cache: CacheId(i as u64) };
            let step = Step {
                tokens: (0..SEQUENCES as u32).map(|i| (i * 991 + *at) % 32_000).collect(),
                positions: vec![*at; SEQUENCES],
                sequences: (0..SEQUENCES).map(span).collect(),
                ..Step::default()
            };
            *at += 1;
            // As the engine does it: from a thread of the pool.
            rayon::scope(|_| -> Result<()> {
                let hidden = decoder.forward(&step, Some(cache), delta)?;
                black_box(decoder.logits(&hidden)?);
                Ok(())
            })
        };
    let mut cases: Vec<Box<dyn FnMut() -> Result<()> + '_>> = Vec::new();
    for ((_, delta), mut cache) in deltas.iter().zip(caches) {
        let mut at = length as u32;
        cases.push(Box::new(move || decode(&mut cache, &mut at, *delta)));
    }
    let times = fastest(&mut cases, 2)?;
    println!(
        "\ndecoding, {} weights, 16 sequences of {length} tokens",
        decoder.spec().parameter_count()
    );
    for ((name, _), time) in deltas.iter().zip(&times) {
        let (rate, part) = (SEQUENCES as f64 / time, times[0] / time);
        println!("{name:30} {:6.1} ms  {rate:6.0} tokens/s  {part:.3} of the base", time * 1e3);
    }
    Ok(())
}

/// 95th percentile of the milliseconds that `sets` wait for their adapters, taking turns.
fn waiting(store: &AdapterStore, sets: &[AdapterSet]) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..20 {
        for set in sets {
            let start = Instant::now();
            black_box(store.acquire(set)?);
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() * 95 / 100])
}

fn switching(rng: &mut ChaCha8Rng) -> Result<()> {
    let sites = llama(rng)?.sites().to_vec();
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    println!("\na request waits for its adapter, 95th percentile in ms");
    for (kind, narrow) in [("f32", false), ("bf16 values", true)] {
        let folders: Vec<_> = (0..3).map(|i| dir.path().join(format!("{kind}-{i}"))).collect();
        let mut bytes = 0;
        for folder in &folders {
            let files = peft_files(&adapter(rng, &sites, narrow)?.weights(), &sites)?;
            bytes = files.weights.len();
            std::fs::create_dir(folder).expect("the folder can be made");
            let write = |name: &str, bytes: &[u8]| {
                std::fs::write(folder.join(name), bytes).expect("the file can be written");
            };
            write("adapter_config.json", &files.config);
            write("adapter_model.safetensors", &files.weights);
        }
        let run = |slots: usize, host_bytes: usize| -> Result<f64> {
            let config =
                StoreConfig { resident_slots: slots, host_bytes, ..StoreConfig::default() };
            let store = AdapterStore::new(sites.clone(), config)?;
            let sets = folders
                .iter()
                .map(|folder| {
                    let source = store.folder(folder);
                    let registration = Registration { name: None, owner: None, source, hash: None };
                    Ok(AdapterSet::one(store.register(registration)?))
                })
                .collect::<Result<Vec<_>>>()?;
            waiting(&store, &sets)?;
            waiting(&store, &sets)
        };
        let (slot, memory, disk) = (run(3, 1 << 30)?, run(1, 1 << 30)?, run(1, 0)?);
        println!(
            "{kind}, file of {bytes} bytes: slot {slot:.3}, memory {memory:.2}, disk {disk:.2}"
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    kernel(&mut rng)?;
    decoding(&mut rng, 64)?;
    switching(&mut rng)
}

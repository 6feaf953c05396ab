//! Where the time of a decoding step goes, by weight format: `step_profile [model folder]`; or that of
//! an answer's gradient: `step_profile gradient [model folder]`.
//!
//! Without a folder, a LLaMA shape of 110 million random weights. Each number is the fastest of some
//! repetitions. For decoding: a step of one token, and of one token of each of 16 sequences, at
//! position 64; and the time of the products with the weights alone. For gradients: an answer of 64
//! tokens to a prompt of 24, at rank 8; and the speed of products as large as it has.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use inference::{
    Error, Result,
    config::ModelSpec,
    gradient::row_gradient,
    kernels::{Packed, Rows, Weight, WeightFormat, matmul},
    kv::{CacheId, KvCache},
    model::{Decoder, LoadOptions, NoAdapter, ParameterKind, parameters},
    step::{SequenceSpan, Step},
    train::{LoraConfig, TrainableLora},
    weights::{NamedTensor, Storage, save, write_atomically},
};
use rand::{Rng, SeedableRng};

const CONFIG: &str = r#"{"model_type": "llama", "hidden_act": "silu", "vocab_size": 32000,
    "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
    "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;
const CONTEXT: usize = 64;
const REPEATS: usize = 30;
/// Tokens of the prompt and of its answer, whose gradient is taken.
const ANSWERED: [usize; 2] = [24, 64];

fn main() -> Result<()> {
    let temporary = std::env::temp_dir().join(format!("step-profile-{}", std::process::id()));
    let mut arguments = std::env::args().skip(1).peekable();
    let gradient = arguments.next_if(|argument| argument == "gradient").is_some();
    let folder = match arguments.next() {
        Some(folder) => folder.into(),
        None => {
            make_model(&temporary)?;
            temporary.clone()
        }
    };
    let result = if gradient { profile_gradient(&folder) } else { profile(&folder) };
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).map_err(io(&temporary))?;
    }
    result
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}

fn make_model(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    write_atomically(&folder.join("config.json"), CONFIG.as_bytes())?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let tensors: Vec<NamedTensor> = parameters(&ModelSpec::parse(CONFIG)?)
        .into_iter()
        .map(|parameter| {
            let count = parameter.shape.iter().product();
            let values = match parameter.kind {
                ParameterKind::Scale => vec![1.0; count],
                _ => (0..count).map(|_| rng.random_range(-0.05f32..0.05)).collect(),
            };
            (parameter.name, parameter.shape, values)
        })
        .collect();
    save(&folder.join("model.safetensors"), &tensors, Storage::Bf16, None)
}

fn profile(folder: &Path) -> Result<()> {
    let threads = rayon::current_num_threads();
    println!("{threads} threads; milliseconds: step (products alone)");
    println!("{:<10} {:>8} {:>18} {:>18} {:>18}", "weights", "MiB", "1 row", "16 rows", "64 rows");
    for (name, weights) in [
        ("f32", WeightFormat::F32),
        ("as stored", WeightFormat::AsStored),
        ("FP8 E4M3", WeightFormat::F8E4M3),
        ("Q8_0", WeightFormat::Q8_0),
        ("Q6_K", WeightFormat::Q6K),
        ("Q4_K", WeightFormat::Q4K),
    ] {
        let decoder = Decoder::load_with(folder, &LoadOptions { weights })?;
        let products = products(&decoder, weights)?;
        let mut line = format!("{name:<10} {:>8.1}", decoder.weight_bytes() as f64 / 1048576.0);
        for rows in [1, 16, 64] {
            let step = step_time(&decoder, rows)?;
            let alone = fastest(|| {
                products.iter().for_each(|(weight, x)| {
                    let x = &x[..rows * weight.d_in()];
                    std::hint::black_box(weight.product(Rows::whole(x, weight.d_in())));
                });
                Ok(())
            })?;
            line += &format!(" {:>8.2} ({:>6.2})", milliseconds(step), milliseconds(alone));
        }
        println!("{line}");
    }
    Ok(())
}

fn profile_gradient(folder: &Path) -> Result<()> {
    let threads = rayon::current_num_threads();
    for (name, weights) in [("as stored", WeightFormat::AsStored), ("f32", WeightFormat::F32)] {
        let decoder = Decoder::load_with(folder, &LoadOptions { weights })?;
        let adapter = TrainableLora::new(&decoder, &LoraConfig::default(), 1)?;
        let vocabulary = decoder.spec().vocab_size as u32;
        let count = ANSWERED.iter().sum::<usize>() as u32;
        let tokens: Vec<u32> = (0..count).map(|at| (31 + at * at * 7) % vocabulary).collect();
        let time = fastest(|| {
            row_gradient(&decoder, &adapter, &tokens, ANSWERED[0])?;
            Ok(())
        })?;
        println!("{threads} threads, weights {name}: {:.2} ms a gradient", milliseconds(time));
    }
    println!("Gflop/s: x W^T, dy W, x A^T of rank 8, (x A^T) B^T");
    for (d_in, d_out) in
        [(128, 128), (192, 192), (192, 512), (512, 192), (768, 768), (768, 2048), (2048, 768)]
    {
        for rows in [1, 16, 64, 128] {
            let speeds = product_speeds(rows, d_in, d_out)?.map(|speed| format!("{speed:>7.1}"));
            println!("{rows:>4} rows {d_in:>5} to {d_out:<5} {}", speeds.join(""));
        }
    }
    Ok(())
}

/// 10^9 additions and multiplications in a second of `x W^T`, `dy W`, `x A^T` and `h B^T`.
fn product_speeds(rows: usize, d_in: usize, d_out: usize) -> Result<[f64; 4]> {
    const RANK: usize = 8;
    let values = |count: usize| (0..count).map(|i| (i % 251) as f32 * 1e-3).collect::<Vec<f32>>();
    let weight = Weight::from_values(&values(d_out * d_in), d_in, WeightFormat::F32)?;
    let packed = |d_out, d_in| Packed::from_transposed(Rows::whole(&values(d_out * d_in), d_in));
    let (a, b) = (packed(RANK, d_in), packed(d_out, RANK));
    let (x, dy, h) = (values(rows * d_in), values(rows * d_out), values(rows * RANK));
    let speed = |products: usize, run: &dyn Fn() -> Vec<f32>| -> Result<f64> {
        let times = (1 << 22) / products + 1;
        let time = fastest(|| {
            (0..times).for_each(|_| drop(std::hint::black_box(run())));
            Ok(())
        })?;
        Ok((2 * products * times) as f64 / time.as_secs_f64() / 1e9)
    };
    Ok([
        speed(rows * d_in * d_out, &|| weight.product(Rows::whole(&x, d_in)))?,
        speed(rows * d_in * d_out, &|| weight.backward(Rows::whole(&dy, d_out)))?,
        speed(rows * d_in * RANK, &|| matmul(Rows::whole(&x, d_in), &a))?,
        speed(rows * RANK * d_out, &|| matmul(Rows::whole(&h, RANK), &b))?,
    ])
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Every projection's weight with 64 rows of input, in model order.
fn products(decoder: &Decoder, format: WeightFormat) -> Result<Vec<(Weight, Vec<f32>)>> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let format = if format == WeightFormat::AsStored { WeightFormat::F32 } else { format };
    let sizes = decoder.sites().iter().map(|site| (site.d_in, site.d_out));
    let head = (decoder.spec().hidden_size, decoder.spec().vocab_size);
    sizes
        .chain([head])
        .map(|(d_in, d_out)| {
            let values: Vec<f32> = (0..d_in * d_out).map(|i| (i % 251) as f32 * 1e-3).collect();
            let x = (0..64 * d_in).map(|_| rng.random_range(-1.0f32..1.0)).collect();
            Ok((Weight::from_values(&values, d_in, format)?, x))
        })
        .collect()
}

/// One token of each of `rows` sequences that hold [`CONTEXT`] tokens.
fn step_time(decoder: &Decoder, rows: usize) -> Result<Duration> {
    let mut cache = KvCache::default();
    let token = |row: usize, at: usize| ((row * 31 + at * 7) % decoder.spec().vocab_size) as u32;
    for row in 0..rows {
        let tokens = (0..CONTEXT).map(|at| token(row, at)).collect();
        let sequences = vec![SequenceSpan { range: 0..CONTEXT, cache: CacheId(row as u64) }];
        let positions = (0..CONTEXT as u32).collect();
        let step = Step { tokens, positions, sequences, ..Step::default() };
        decoder.forward(&step, Some(&mut cache), &NoAdapter)?;
    }
    let mut at = CONTEXT;
    fastest(|| {
        let sequences = (0..rows)
            .map(|row| SequenceSpan { range: row..row + 1, cache: CacheId(row as u64) })
            .collect();
        let tokens = (0..rows).map(|row| token(row, at)).collect();
        let step = Step { tokens, positions: vec![at as u32; rows], sequences, ..Step::default() };
        at += 1;
        let hidden = decoder.forward(&step, Some(&mut cache), &NoAdapter)?;
        decoder.logits(&hidden)?;
        Ok(())
    })
}

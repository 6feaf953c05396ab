//! A query's gradient has the same bits in every process, with any vector instructions and threads.

use std::{path::PathBuf, process::Command, time::Instant};

use inference::{
    gradient::{SiteGradient, row_gradient, row_gradients},
    model::{Decoder, SiteWeights},
    train::{Example, TrainableLora},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha3::{Digest, Keccak256};

const TOKENS: usize = 48;

fn model() -> (Decoder, TrainableLora) {
    let base = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    let decoder = Decoder::load(&base).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draw = |count| (0..count).map(|_| rng.random_range(-0.05f32..0.05)).collect();
    let weights: Vec<SiteWeights> = decoder
        .sites()
        .iter()
        .map(|site| SiteWeights {
            site: site.id,
            rank: 8,
            d_in: site.d_in,
            d_out: site.d_out,
            a: draw(8 * site.d_in),
            b: draw(site.d_out * 8),
            scale: 2.0,
        })
        .collect();
    let adapter = TrainableLora::from_weights(&decoder, &weights).unwrap();
    (decoder, adapter)
}

fn tokens(decoder: &Decoder, row: usize, count: usize) -> Vec<u32> {
    let vocab = decoder.spec().vocab_size;
    (0..count).map(|at| ((7919 * at + 104_729 * row + at * at * 31) % vocab) as u32).collect()
}

fn hash(gradients: &[SiteGradient]) -> String {
    let mut hasher = Keccak256::new();
    for value in gradients.iter().flat_map(|g| g.a.iter().chain(&g.b)) {
        hasher.update(value.to_bits().to_be_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the other processes run.
#[test]
#[ignore = "run by the test below, in processes of its own"]
fn gradient_in_this_process() {
    let (decoder, adapter) = model();
    let tokens = tokens(&decoder, 1, TOKENS);
    let gradient = || row_gradient(&decoder, &adapter, &tokens, TOKENS / 2).unwrap();
    gradient();
    let started = Instant::now();
    let gradient = gradient();
    println!("gradient {} in {:?}", hash(&gradient), started.elapsed());
}

/// What an ignored test prints in a process of its own, with these vector instructions and threads.
pub(crate) fn in_a_process(test: &str, vectors: &str, threads: &str) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("OPENLEDGER_VECTORS", vectors)
        .env("RAYON_NUM_THREADS", threads)
        .output()
        .unwrap();
    String::from_utf8(child.stdout).unwrap()
}

#[test]
fn every_process_gives_the_same_gradient() {
    let mut seen = Vec::new();
    for vectors in ["baseline", "avx2", "avx512"] {
        for threads in ["1", "2"] {
            let text = in_a_process("bits::gradient_in_this_process", vectors, threads);
            let found =
                text.lines().find_map(|line| line.split_once("gradient ")?.1.split_once(" in "));
            let (hash, time) = found.unwrap_or_else(|| panic!("{text}"));
            eprintln!("{vectors}, {threads} threads: {time}");
            seen.push(hash.to_owned());
        }
    }
    assert!(seen.iter().all(|hash| *hash == seen[0]), "{seen:?}");
    assert_eq!(
        seen[0], "de4839188f6aeaad4e5b8a83de4918dd201817dba65845b97aa96ab0593bc03e",
        "the bits are not those of before"
    );
}

/// `cargo test -p inference --test it batch_takes -- --ignored --nocapture`.
#[test]
#[ignore = "measures time"]
fn batch_takes_less_time_than_its_rows() {
    let (decoder, adapter) = model();
    for (rows, length) in [(4, 16), (16, 16), (8, 64), (32, 64), (8, 200)] {
        let examples: Vec<Example> =
            (0..rows).map(|row| Example::whole(tokens(&decoder, row, length))).collect();
        let median = |run: &dyn Fn()| {
            let mut times: Vec<f64> = (0..5)
                .map(|_| {
                    let started = Instant::now();
                    run();
                    started.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            1e3 * times[2] / rows as f64
        };
        let alone = median(&|| {
            for example in &examples {
                row_gradient(&decoder, &adapter, &example.tokens, 1).unwrap();
            }
        });
        let together = median(&|| drop(row_gradients(&decoder, &adapter, &examples).unwrap()));
        println!(
            "{rows} rows of {length}: {alone:.2} ms a row alone, {together:.2} together, {:.2}x",
            alone / together
        );
    }
}

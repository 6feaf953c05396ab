//! Vectors equal those of `transformers` on the same files (`tests/golden/encoders.py`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::{Device, safetensors::load};
use inference::encoder::{Encoder, VECTOR_SCALE, quantise};
use sha3::{Digest, Keccak256};

use crate::bits::in_a_process;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn texts(folder: &Path) -> Vec<String> {
    serde_json::from_str(&fs::read_to_string(folder.join("texts.json")).unwrap()).unwrap()
}

fn expected(folder: &Path, name: &str) -> Vec<Vec<f32>> {
    load(folder.join("golden.safetensors"), &Device::Cpu).unwrap()[name].to_vec2().unwrap()
}

fn assert_near(given: &[Vec<f32>], expected: &[Vec<f32>], most: f32) {
    assert_eq!(given.len(), expected.len());
    for (text, (given, expected)) in given.iter().zip(expected).enumerate() {
        assert_eq!(given.len(), expected.len());
        for (x, y) in given.iter().zip(expected) {
            assert!((x - y).abs() < most, "text {text}: {x} {y}");
        }
        let square: f32 = given.iter().map(|x| x * x).sum();
        assert!((square - 1.0).abs() < 1e-5, "{square}");
    }
}

/// The tiny encoder's files in a folder that the test may change.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ] {
        fs::copy(golden("encoder").join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn change(dir: &Path, name: &str, from: &str, to: &str) {
    let path = dir.join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn vectors_are_those_of_transformers() {
    let folder = golden("encoder");
    let encoder = Encoder::load(&folder).unwrap();
    assert_eq!((encoder.dimension(), encoder.max_tokens()), (32, 24));

    let vectors = encoder.encode(&texts(&folder)).unwrap();

    assert_near(&vectors, &expected(&folder, "mean"), 2e-6);
    let alone = encoder.encode(&texts(&folder)[4..5]).unwrap();
    assert_eq!(alone[0], vectors[4]);
    let int8 = encoder.encode_int8(&texts(&folder)).unwrap();
    assert_eq!(int8, vectors.iter().map(|vector| quantise(vector)).collect::<Vec<_>>());
}

#[test]
fn the_first_token_is_pooled_where_the_folder_says_so() {
    let dir = copied();
    change(dir.path(), "1_Pooling/config.json", "true", "TRUE");
    change(dir.path(), "1_Pooling/config.json", "false", "true");
    change(dir.path(), "1_Pooling/config.json", "TRUE", "false");

    let encoder = Encoder::load(dir.path()).unwrap();

    let folder = golden("encoder");
    assert_near(&encoder.encode(&texts(&folder)).unwrap(), &expected(&folder, "cls"), 2e-6);
    assert_ne!(encoder.hash(), Encoder::load(&folder).unwrap().hash());
}

#[test]
fn the_hash_names_everything_that_vectors_depend_on() {
    let first = Encoder::load(&golden("encoder")).unwrap().hash();
    assert_eq!(Encoder::load(copied().path()).unwrap().hash(), first);

    let shorter = copied();
    change(shorter.path(), "sentence_bert_config.json", "24", "23");
    assert_ne!(Encoder::load(shorter.path()).unwrap().hash(), first);
    let weights = copied();
    let path = weights.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(Encoder::load(weights.path()).unwrap().hash(), first);
}

#[test]
fn damaged_and_foreign_folders_are_refused() {
    for (name, from, to) in [
        ("config.json", "\"bert\"", "\"llama\""),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 100000000"),
        ("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
        ("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 0"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 64"),
        ("config.json", "\"gelu\"", "\"unheard of\""),
        ("1_Pooling/config.json", "mean_tokens", "max_tokens"),
        ("tokenizer.json", "WordPiece", "Word"),
    ] {
        let dir = copied();
        change(dir.path(), name, from, to);
        let error = Encoder::load(dir.path()).unwrap_err();
        assert!(!error.to_string().is_empty(), "{name} {to}");
    }
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let dir = copied();
        fs::remove_file(dir.path().join(name)).unwrap();
        assert!(Encoder::load(dir.path()).is_err(), "{name}");
    }
    let encoder = Encoder::load(&golden("encoder")).unwrap();
    assert!(encoder.encode(&["x".repeat((1 << 20) + 1)]).is_err());
}

/// What the other processes run.
#[test]
#[ignore = "run by the test below, in processes of its own"]
fn vectors_in_this_process() {
    let folder = golden("encoder");
    let vectors = Encoder::load(&folder).unwrap().encode(&texts(&folder)).unwrap();
    let mut hasher = Keccak256::new();
    vectors.iter().flatten().for_each(|value| hasher.update(value.to_bits().to_be_bytes()));
    println!(
        "vectors {}",
        hasher.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>()
    );
}

#[test]
fn every_process_gives_the_same_vectors() {
    let mut seen = Vec::new();
    for (vectors, threads) in [("baseline", "1"), ("avx2", "2"), ("avx512", "1"), ("avx512", "2")] {
        let text = in_a_process("encoder::vectors_in_this_process", vectors, threads);
        let hash = text.lines().find_map(|line| line.split_once("vectors ")?.1.get(..64));
        seen.push(hash.unwrap_or_else(|| panic!("{text}")).to_owned());
    }
    assert!(seen.iter().all(|hash| *hash == seen[0]), "{seen:?}");
    assert_eq!(
        seen[0], "c5045d93b6d3b4c5c7f1ef6d816d157f7d42812944810593e3a042b5db159346",
        "the bits are not those of before"
    );
}

/// Runs where `tools/encoder.sh` has fetched all-MiniLM-L6-v2.
#[test]
fn the_real_encoder_gives_the_vectors_of_transformers() {
    let cache = std::env::var_os("OPENLEDGER_CACHE").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/openledger"))
    });
    let Some(folder) = cache.map(|cache| cache.join("encoder")).filter(|at| at.exists()) else {
        eprintln!("not fetched: nothing was compared");
        return;
    };
    let encoder = Encoder::load(&folder).unwrap();
    assert_eq!((encoder.dimension(), encoder.max_tokens()), (384, 256));
    let kept = golden("encoder_minilm");

    let vectors = encoder.encode(&texts(&kept)).unwrap();

    assert_near(&vectors, &expected(&kept, "mean"), 5e-6);
    // The integers keep the cosine.
    let int8 = encoder.encode_int8(&texts(&kept)).unwrap();
    for (i, j) in [(0, 1), (0, 2), (1, 1)] {
        let cosine: f32 = vectors[i].iter().zip(&vectors[j]).map(|(x, y)| x * y).sum();
        let dot: i32 =
            int8[i].iter().zip(&int8[j]).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
        let given = dot as f32 / (VECTOR_SCALE * VECTOR_SCALE) as f32;
        assert!((given - cosine).abs() < 0.01, "{given} {cosine}");
    }
}

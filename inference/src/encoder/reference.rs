//! Candle's BERT, which the encoder's own forward pass is compared with.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;

use super::{
    files::{Files, shapes},
    *,
};

/// Last hidden states of one text, `(tokens, dimension)`.
fn states(model: &BertModel, tokens: &[u32]) -> Vec<f32> {
    let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let types = input.zeros_like().unwrap();
    let states = model.forward(&input, &types, None).unwrap();
    states.flatten_all().unwrap().to_vec1().unwrap()
}

fn model(dir: &Path) -> BertModel {
    let mut files = Files::read(dir).unwrap();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = files.tensors.remove(&name).unwrap();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    let tensors = shapes(&files.config).into_iter().map(tensor).collect();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    BertModel::load(builder, &files.config).unwrap()
}

/// Texts of 1 to 400 words, of which encoders see as many as they see.
fn texts() -> Vec<String> {
    let words = "a loan of old coins is paid back when winter ends, says the parish's office; 7 of";
    let words: Vec<&str> = words.split(' ').collect();
    let text = |words_of: usize| {
        let word = |at: usize| words[(at * at + 3 * at + words_of) % words.len()];
        (0..words_of).map(word).collect::<Vec<_>>().join(" ")
    };
    [1, 2, 9, 15, 16, 17, 40, 100, 170, 400].map(text).to_vec()
}

/// The largest hidden states are near 10.
fn agrees(dir: &Path, most: f32) {
    let (encoder, model) = (Encoder::load(dir).unwrap(), model(dir));
    let tokens: Vec<Vec<u32>> = texts().iter().map(|text| encoder.tokens(text).unwrap()).collect();
    let given = encoder.network.forward(&tokens);
    let expected: Vec<f32> = tokens.iter().flat_map(|tokens| states(&model, tokens)).collect();
    assert_eq!(given.len(), expected.len());
    let off = given.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    assert!(off < most, "{off:e}");
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoder")
}

#[test]
fn hidden_states_are_those_of_candle() {
    agrees(&tiny(), 1e-5);
}

/// Runs where `tools/encoder.sh` has fetched all-MiniLM-L6-v2.
#[test]
fn the_real_encoders_hidden_states_are_those_of_candle() {
    let cache = std::env::var_os("OPENLEDGER_CACHE").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/openledger"))
    });
    match cache.map(|cache| cache.join("encoder")).filter(|at| at.exists()) {
        Some(folder) => agrees(&folder, 5e-5),
        None => eprintln!("not fetched: nothing was compared"),
    }
}

#[test]
fn a_vector_has_the_same_bits_alone_and_in_any_company() {
    let encoder = Encoder::load(&tiny()).unwrap();
    let texts: Vec<String> = (0..9).flat_map(|_| texts()).collect();
    let together = encoder.encode(&texts).unwrap();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| encoder.encode(&texts)).unwrap(), together);
    }
    for (text, expected) in texts.iter().zip(&together) {
        assert_eq!(encoder.encode(&[text]).unwrap()[0], *expected);
    }
}

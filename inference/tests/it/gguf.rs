//! GGUF files of the `gguf` package against `transformers` (`tests/golden/gguf_files.py`).

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, safetensors::load};
use inference::{
    kernels::WeightFormat,
    model::{Decoder, LoadOptions, NoAdapter},
    step::Step,
    tokenizer::{Message, Tokenizer},
    weights::gguf::Gguf,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Largest difference from the stored logits, and their largest magnitude.
fn difference(name: &str, path: &Path, weights: WeightFormat) -> (f32, f32) {
    let stored = load(folder(name).join("golden.safetensors"), &Device::Cpu).unwrap();
    let ids = |name: &str| stored[name].to_dtype(DType::U32).unwrap().to_vec1::<u32>().unwrap();
    let decoder = Decoder::load_with(path, &LoadOptions { weights }).unwrap();
    let tokens = ids("tokens");
    let hidden = decoder.forward(&Step::whole([&tokens[..]]), None, &NoAdapter).unwrap();
    let logits = decoder.logits(&hidden).unwrap().to_vec2::<f32>().unwrap();
    let expected = stored["base"].to_vec2::<f32>().unwrap();
    let mut found = (0.0f32, 0.0f32);
    for (position, expected) in ids("kept").into_iter().zip(expected) {
        for (ours, theirs) in logits[position as usize].iter().zip(expected) {
            assert!(ours.is_finite());
            found = (found.0.max((ours - theirs).abs()), found.1.max(theirs.abs()));
        }
    }
    found
}

fn check(name: &str) {
    let file = folder(name).join("model.gguf");
    let (off, _) = difference(name, &file, WeightFormat::F32);
    assert!(off <= 1e-4, "{name} widened is off by {off}");
    // Activations in 8 bits; the weights are the same.
    let (off, largest) = difference(name, &folder(name), WeightFormat::AsStored);
    println!("{name}: {off} of {largest}");
    assert!(off > 0.0 && off < 0.1 * largest, "{name} as stored is off by {off} of {largest}");
}

#[test]
fn llama() {
    check("gguf_llama");
}

#[test]
fn qwen2() {
    check("gguf_qwen2");
}

#[test]
fn qwen3() {
    check("gguf_qwen3");
}

#[test]
fn tokenizer_of_the_file() {
    let (json, config) =
        Gguf::open(&folder("gguf_llama").join("model.gguf")).unwrap().tokenizer().unwrap();
    let tokenizer = Tokenizer::parse(&json, Some(&config)).unwrap();
    assert_eq!(tokenizer.vocab_size(), 72);
    let id = |token: &str| tokenizer.token_id(token).unwrap();
    // "the" is a merge, " and" another; "ing" is made of "in" and "g".
    let expected = [id("<s>"), id("the"), id("Ġand"), id("ing")];
    assert_eq!(tokenizer.encode_prompt("the anding").unwrap(), expected);
    assert_eq!(tokenizer.decode(&expected[1..]), "the anding");
    let message = Message { role: "user".into(), content: "the".into() };
    assert_eq!(tokenizer.encode_chat(&[message]).unwrap(), [id("the"), id(".")]);
}

//! Fuzz targets of what callers send: bodies, and the schemas in them.
//!
//! The node's own files are compiled here without the node, which takes half an hour with the
//! fuzzer's instrumentation.

#![allow(dead_code, unused_imports, reason = "the files are parts of a larger crate")]

pub mod api;

#[path = "../../src/serving/grammar.rs"]
mod grammar;

/// The node's errors, as far as its files here make them.
#[derive(Debug)]
pub enum Error {
    /// A setting is wrong.
    Config(String),
}

/// The node's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Any schema: it is refused, or its mask lets something pass at each step.
pub fn schema(data: &[u8]) {
    use std::{fs, path::Path, sync::LazyLock};

    use inference::{sampler::TokenMask, tokenizer::Tokenizer};

    static GRAMMARS: LazyLock<(grammar::Grammars, usize)> = LazyLock::new(|| {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/openledger-tiny");
        let json = fs::read_to_string(tiny.join("tokenizer.json")).expect("the model is there");
        let tokenizer = Tokenizer::parse(&json, None).expect("its tokenizer is sound");
        let grammars = grammar::Grammars::new(&tokenizer, Some(0)).expect("its tokens make a tree");
        (grammars, tokenizer.vocab_size())
    });
    let Ok(schema) = serde_json::from_slice(data) else { return };
    let Ok(mut mask) = GRAMMARS.0.json(&schema) else { return };
    for step in 0..24 {
        let mut logits = vec![0.0; GRAMMARS.1];
        mask.allow(&mut logits);
        let allowed: Vec<usize> = (0..logits.len()).filter(|id| logits[*id] == 0.0).collect();
        let Some(last) = allowed.len().checked_sub(1) else { return };
        mask.commit(allowed[(step * 7919).min(last)] as u32);
    }
}

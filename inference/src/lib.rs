//! OpenLoRA: one base model, many LoRA adapters in one batch.
//!
//! - [`engine`]: the thread that serves a model, and the handle to it
//! - [`adapter`]: LoRA adapters, read strictly from PEFT folders and kept in slots
//! - [`scheduler`], [`step`]: continuous batching as plain values; [`kv`], [`sampler`]
//! - [`model`]: the decoder, built from a Hugging Face folder
//! - [`comm`]: what the ranks of a split model tell each other
//! - [`kernels`]: fixed-order CPU arithmetic, whose bits depend on a row's own inputs only
//! - [`train`]: full-parameter and LoRA training on the same layers
//! - [`embedding`]: texts as vectors of the served model; [`encoder`]: as vectors of a sentence encoder
//! - [`gradient`]: per-row gradients at the LoRA sites, which attribution is made from
//! - [`tokenizer`]: byte-level BPE, chat template, incremental decoding

pub mod adapter;
pub mod comm;
pub mod config;
pub mod embedding;
pub mod encoder;
pub mod engine;
pub mod error;
pub mod eval;
pub mod gradient;
pub mod kernels;
pub mod kv;
pub mod layers;
pub mod model;
pub mod sampler;
pub mod scheduler;
pub mod step;
pub mod tokenizer;
pub mod train;
pub mod weights;

pub use error::{Error, Result};

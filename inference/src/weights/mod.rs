//! Weights in files: safetensors and GGUF.

mod checkpoint;
pub mod gguf;
mod safetensors;
mod save;
mod values;

pub use self::{
    checkpoint::Checkpoint,
    save::{NamedTensor, Storage, save, write_atomically},
    values::{Values, widen},
};

//! Weights in files: safetensors.

mod checkpoint;
mod save;
mod values;

pub use self::{
    checkpoint::Checkpoint,
    save::{NamedTensor, Storage, save, write_atomically},
    values::{Values, widen},
};

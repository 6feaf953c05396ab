//! Training: all weights of a model, or LoRA adapters on a frozen one, with the layers that serve.

pub mod checkpoint;
pub mod data;
pub mod lora;
pub mod optimizer;
pub mod schedule;
#[cfg(test)]
mod tests;
pub mod trainer;
pub mod vocabulary;

pub use self::{
    data::{Example, batch_at, shuffled},
    lora::{ALL_LINEAR, LoraConfig, TrainableLora},
    optimizer::{AdamW, AdamWConfig},
    schedule::Schedule,
    trainer::{Progress, Settings, Trainer, held_out_loss},
};

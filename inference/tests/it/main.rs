//! Integration tests: adapters, batches, engine, training.

mod adapters;
mod batching;
mod chatglm;
mod engine;
mod fixture;
mod golden;
mod throughput;
mod tokenizers;
mod training;

//! Integration tests: adapters, batches, engine, training.

mod adapters;
mod batching;
mod bits;
mod chatglm;
mod encoder;
mod engine;
mod exports;
mod families;
mod fixture;
mod gguf;
mod golden;
mod hostile;
mod merges;
mod parallel;
mod quantised;
mod residency;
mod server;
mod sources;
mod throughput;
mod tiers;
mod tokenizers;
mod training;

//! Integration tests: adapters, batches, engine, training.

mod adapters;
mod batching;
mod engine;
mod fixture;
mod gguf;
mod golden;
mod quantised;
mod throughput;
mod training;

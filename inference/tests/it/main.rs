//! Integration tests: adapters, batches, engine, training.

mod adapters;
mod batching;
mod chatglm;
mod engine;
mod families;
mod fixture;
mod golden;
mod merges;
mod server;
mod sources;
mod throughput;
mod tiers;
mod tokenizers;
mod training;

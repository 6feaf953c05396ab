//! Integration tests: adapters, batches, engine, training.

mod adapters;
mod batching;
mod engine;
mod fixture;
mod golden;
mod throughput;
mod training;

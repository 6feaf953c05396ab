//! Integration tests of the serving half: adapters, batches, engine.

mod adapters;
mod batching;
mod engine;
mod fixture;
mod golden;
mod throughput;

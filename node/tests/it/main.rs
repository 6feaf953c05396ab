//! Tests of the node's parts through their public interfaces.

mod anvil;
mod batcher;
mod chain;
mod damage;
mod eigenda;
mod recorder;
mod settlement;
mod store;
mod voucher;
mod world;

//! Tests of the node's parts through their public interfaces.

mod adversary;
mod anvil;
mod archive;
mod batcher;
mod chain;
mod claims;
mod damage;
mod kills;
mod market;
mod index;
mod eigenda;
mod recorder;
mod settlement;
mod store;
mod strikes;
mod votes;
mod voucher;
mod world;

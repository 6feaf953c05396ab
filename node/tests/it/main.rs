//! Tests of the node's parts through their public interfaces.

mod adversary;
mod anvil;
mod archive;
mod batcher;
mod binary;
mod chain;
mod claims;
mod clients;
mod damage;
mod eigenda;
mod explain;
mod figures;
mod index;
mod kills;
mod live;
mod market;
mod recorder;
mod retrieval;
mod settlement;
mod span_indexes;
mod spans;
mod store;
mod strikes;
mod votes;
mod voucher;
mod world;

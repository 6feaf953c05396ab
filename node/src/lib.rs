//! The OpenLedger node: serves models, keeps records, settles them on chain.

pub mod api;
pub mod attributor;
pub mod catalog;
pub mod client;
pub mod config;
pub mod datanet;
pub mod error;
pub mod explain;
pub mod factory;
pub mod graph;
pub mod metrics;
pub mod node;
pub mod retrieval;
pub mod serving;
pub mod telemetry;

pub mod batcher;
pub mod chain;
pub mod challenger;
mod checkpoint;
pub mod committer;
pub mod da;
pub mod earnings;
pub mod finaliser;
pub mod indexer;
pub mod keys;
pub mod proofs;
pub mod recorder;
pub mod registry;
pub mod settler;
pub mod standing;
pub mod store;
pub mod strikes;
pub mod votes;
pub mod voucher;
mod worker;
pub use error::{Error, Result};

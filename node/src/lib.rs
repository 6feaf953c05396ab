//! The OpenLedger node: serves models, keeps records, settles them on chain.

pub mod error;

pub mod chain;
pub mod committer;
pub mod da;
pub mod batcher;
pub mod earnings;
pub mod finaliser;
pub mod indexer;
pub mod recorder;
pub mod registry;
pub mod settler;
pub mod store;
pub mod voucher;
pub use error::{Error, Result};

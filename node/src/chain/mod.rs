//! The chain: contract types, where the contracts are, and the connection.

pub mod bindings;
mod client;
mod deployment;
mod revert;

pub use client::{BlockHeader, ChainClient, Estimate, Sent};
pub use deployment::{Contracts, Deployment};
pub(crate) use revert::name as revert_name;

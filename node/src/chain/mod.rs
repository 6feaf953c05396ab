//! The chain: contract types, where the contracts are, and the connection.

pub mod bindings;
mod client;
mod deployment;
mod revert;

pub use client::{BlockHeader, ChainClient, Estimate, Sent};
#[cfg(test)]
pub(crate) use deployment::tests::{
    deployment as deployment_for_tests, file_of as deployment_file,
};
pub use deployment::{Certification, Contracts, Deployment};
pub(crate) use revert::name as revert_name;

/// Blocks from the head on that a reorganisation may replace. One that goes deeper has everything
/// indexed again.
pub(crate) const REORG_BLOCKS: u64 = 64;
/// Most blocks whose logs are asked for in one request.
pub(crate) const RANGE_BLOCKS: u64 = 1_000;

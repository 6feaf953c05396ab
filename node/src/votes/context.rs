//! What the stages around SketchVotes share.

use alloy::primitives::Address;

use crate::{chain::ChainClient, metrics::VoteMetrics, registry::Registry, store::SharedStore};

/// What the stages around SketchVotes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where votes, ballots and purchases are kept.
    pub store: SharedStore,
    /// The indexed chain.
    pub registry: Registry,
    /// Sends with this node's key.
    pub client: ChainClient,
    /// What was done.
    pub metrics: VoteMetrics,
}

impl Context {
    /// SketchVotes.
    pub const fn contract(&self) -> Address {
        self.registry.contracts().deployment.sketch_votes
    }
}

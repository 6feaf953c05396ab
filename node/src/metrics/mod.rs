//! What Prometheus reads under `/metrics`.
//!
//! A service owns a struct of its metrics and registers it once at start; the finished
//! [`Registry`] is then shared, read-only, with the API.

mod challenger;
mod engine;
mod pipeline;
mod retrieval;
mod serving;
mod votes;

use std::sync::Arc;

pub use challenger::{ChallengerMetrics, ExaminationLabel, ExaminationResult};
pub use engine::EngineMetrics;
pub use pipeline::{BatchLabel, BatchStep, PipelineMetrics};
use prometheus_client::{encoding::text, registry::Registry};
pub use retrieval::RetrievalMetrics;
pub use serving::{InFlight, Outcome, OutcomeLabel, ServingMetrics, Stage, StageLabel};
pub use votes::{
    BallotChoice, BallotLabel, PurchaseLabel, PurchaseResult, SessionLabel, SessionState,
    VoteMetrics,
};

/// What a gauge can hold of a number.
fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The exposition text of all registered metrics.
pub fn expose(registry: &Arc<Registry>) -> String {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("writing to a string does not fail");
    text
}

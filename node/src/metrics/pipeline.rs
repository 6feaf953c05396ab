//! Metrics of batches and claims.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::gauge;
use crate::{
    Result,
    settler::Waiting,
    store::{Store, Table, rows},
};

/// A step of a batch on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum BatchStep {
    /// Sealed and committed to.
    Committed,
    /// On data availability.
    Published,
    /// With a proof of its payouts.
    Proven,
    /// On the chain.
    Posted,
    /// Past its dispute window.
    Final,
    /// Void, by a proven fault or on top of a void one.
    Struck,
}

/// Label of the batches' gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BatchLabel {
    /// The step that batches have reached.
    pub step: BatchStep,
}

/// Metrics of batches and claims, read from the store when they are asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    batches: Family<BatchLabel, Gauge>,
    claims: Gauge,
    claimed: Gauge,
    waiting: Gauge,
    unfinal: Gauge,
    exposure_cap: Gauge,
}

impl PipelineMetrics {
    /// Registers the metrics under `openledger_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batches: Family::default(),
            claims: Gauge::default(),
            claimed: Gauge::default(),
            waiting: Gauge::default(),
            unfinal: Gauge::default(),
            exposure_cap: Gauge::default(),
        };
        registry.register(
            "openledger_batch_waiting_gwei",
            "Total of the batch that waits because the stake does not cover it, in gwei",
            metrics.waiting.clone(),
        );
        registry.register(
            "openledger_batch_waiting_unfinal_gwei",
            "What batches that are not final come to while one waits, in gwei",
            metrics.unfinal.clone(),
        );
        registry.register(
            "openledger_batch_waiting_cap_gwei",
            "What they may come to while one waits, in gwei",
            metrics.exposure_cap.clone(),
        );
        registry.register(
            "openledger_batches",
            "This node's batches that have reached a step",
            metrics.batches.clone(),
        );
        registry.register(
            "openledger_claimed_earners",
            "Earners that have claimed on the chain",
            metrics.claims.clone(),
        );
        registry.register(
            "openledger_claimed_gwei",
            "Earnings claimed on the chain, in gwei",
            metrics.claimed.clone(),
        );
        metrics
    }

    /// Reads the store again.
    ///
    /// - `waiting`: why the next batch is not posted
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn refresh(&self, store: &dyn Store, waiting: Option<Waiting>) -> Result<()> {
        let steps = [
            (BatchStep::Committed, Table::Commitments),
            (BatchStep::Published, Table::Certificates),
            (BatchStep::Proven, Table::Proofs),
            (BatchStep::Posted, Table::Postings),
            (BatchStep::Final, Table::Finals),
            (BatchStep::Struck, Table::StruckSeen),
        ];
        for (step, table) in steps {
            let count = store.scan(table, &[], &[], usize::MAX)?.len();
            self.batches.get_or_create(&BatchLabel { step }).set(count as i64);
        }
        let claimed: Vec<(Vec<u8>, u64)> = rows(store, Table::Claimed, &[])?;
        self.claims.set(claimed.len() as i64);
        let total = claimed.iter().fold(0u64, |sum, (_, gwei)| sum.saturating_add(*gwei));
        self.claimed.set(gauge(total));
        let (total, unfinal, cap) = match waiting {
            Some(Waiting::Exposure { total, unfinal, cap, .. }) => (total, unfinal, cap),
            _ => Default::default(),
        };
        self.waiting.set(gauge(total));
        self.unfinal.set(gauge(unfinal.saturating_to()));
        self.exposure_cap.set(gauge(cap.saturating_to()));
        Ok(())
    }
}

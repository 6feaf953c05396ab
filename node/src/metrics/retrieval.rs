//! Metrics of retrieval.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::gauge;

/// Metrics of the library and of questions to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RetrievalMetrics {
    versions: Gauge,
    rows: Gauge,
    bytes: Gauge,
    pending: Gauge,
    encoded: Counter,
    rows_found: Counter,
    latency: Histogram,
}

impl RetrievalMetrics {
    /// Registers the metrics under `openledger_retrieval_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            versions: Gauge::default(),
            rows: Gauge::default(),
            bytes: Gauge::default(),
            pending: Gauge::default(),
            encoded: Counter::default(),
            rows_found: Counter::default(),
            latency: Histogram::new(exponential_buckets(0.002, 2.0, 12)),
        };
        for (name, help, of) in [
            ("versions", "Datanet versions that are searchable", &metrics.versions),
            ("rows", "Rows that are searchable", &metrics.rows),
            ("bytes", "Bytes of the library on disk", &metrics.bytes),
            (
                "pending_rows",
                "Rows of the version being indexed that are to come",
                &metrics.pending,
            ),
        ] {
            registry.register(format!("openledger_retrieval_{name}"), help, of.clone());
        }
        for (name, help, of) in [
            ("encoded_rows", "Rows whose vectors were computed", &metrics.encoded),
            ("found_rows", "Rows that were found for questions", &metrics.rows_found),
        ] {
            registry.register(format!("openledger_retrieval_{name}"), help, of.clone());
        }
        registry.register_with_unit(
            "openledger_retrieval_search",
            "Time of questions, with the computation of their vectors",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        metrics
    }

    pub(crate) fn holds(&self, versions: usize, rows: usize, bytes: u64) {
        self.versions.set(gauge(versions as u64));
        self.rows.set(gauge(rows as u64));
        self.bytes.set(gauge(bytes));
    }

    pub(crate) fn pending(&self, rows: usize) {
        self.pending.set(gauge(rows as u64));
    }

    pub(crate) fn encoded(&self, rows: usize) {
        self.encoded.inc_by(rows as u64);
    }

    pub(crate) fn searched(&self, took: Duration, found: usize) {
        self.latency.observe(took.as_secs_f64());
        self.rows_found.inc_by(found as u64);
    }
}

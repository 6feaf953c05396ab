//! What Prometheus reads under `/metrics`.
//!
//! A service owns a struct of its metrics and registers it once at start; the finished
//! [`Registry`] is then shared, read-only, with the API.

use std::{sync::Arc, time::Duration};

use inference::engine::EngineHandle;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    Result,
    settler::Waiting,
    store::{Store, Table, rows},
};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Recorded and charged.
    Served,
    /// Answered again from its record, without a charge.
    Repeated,
    /// Refused before it was generated: the request or its payment breaks a rule.
    Refused,
    /// The caller went away before the call was recorded; nothing was charged.
    Abandoned,
    /// The node failed; nothing was charged.
    Failed,
}

/// Label of the calls' counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// How the call ended.
    pub outcome: Outcome,
}

/// Stage of a call whose duration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Stage {
    /// From admission to the last token.
    Generate,
    /// Gradient, sketch and scores.
    Attribute,
    /// The record's way to the disk.
    Record,
    /// All of it, from the request's arrival.
    Total,
}

/// Label of the latency histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabel {
    /// Stage of the call.
    pub stage: Stage,
}

/// Metrics of served calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServingMetrics {
    calls: Family<OutcomeLabel, Counter>,
    tokens_in: Counter,
    tokens_out: Counter,
    fees: Counter,
    credits: Counter,
    in_flight: Gauge,
    latency: Family<StageLabel, Histogram>,
}

impl ServingMetrics {
    /// Registers the metrics under `openledger_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            tokens_in: Counter::default(),
            tokens_out: Counter::default(),
            fees: Counter::default(),
            credits: Counter::default(),
            in_flight: Gauge::default(),
            latency: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.005, 2.0, 14))
            }),
        };
        registry.register("openledger_calls", "Calls by outcome", metrics.calls.clone());
        registry.register(
            "openledger_tokens_in",
            "Prompt tokens of recorded calls",
            metrics.tokens_in.clone(),
        );
        registry.register(
            "openledger_tokens_out",
            "Generated tokens of recorded calls",
            metrics.tokens_out.clone(),
        );
        registry.register(
            "openledger_fees_gwei",
            "Fees of recorded calls, in gwei",
            metrics.fees.clone(),
        );
        registry.register(
            "openledger_credits_gwei",
            "Positive credits of recorded calls before netting, in gwei",
            metrics.credits.clone(),
        );
        registry.register(
            "openledger_calls_in_flight",
            "Calls being served",
            metrics.in_flight.clone(),
        );
        registry.register_with_unit(
            "openledger_call_duration",
            "Time spent on a call by stage",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        metrics
    }

    /// Counts the end of a call.
    pub fn ended(&self, outcome: Outcome) {
        self.calls.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// How many calls ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.calls.get_or_create(&OutcomeLabel { outcome }).get()
    }

    /// Adds a recorded call's sizes: tokens, fee and positive credits in gwei.
    pub fn recorded(&self, tokens_in: u64, tokens_out: u64, fee: u64, credits: u64) {
        self.tokens_in.inc_by(tokens_in);
        self.tokens_out.inc_by(tokens_out);
        self.fees.inc_by(fee);
        self.credits.inc_by(credits);
    }

    /// Adds the duration of a stage.
    pub fn took(&self, stage: Stage, duration: Duration) {
        self.latency.get_or_create(&StageLabel { stage }).observe(duration.as_secs_f64());
    }

    /// Counts a call as in flight until the guard is dropped, and as [`Outcome::Abandoned`] if it
    /// was dropped without an end.
    pub fn start(&self) -> InFlight {
        self.in_flight.inc();
        InFlight { metrics: self.clone(), ended: false }
    }
}

/// A call in flight; see [`ServingMetrics::start`].
#[derive(Debug)]
pub struct InFlight {
    metrics: ServingMetrics,
    ended: bool,
}

impl InFlight {
    /// Counts how the call ended.
    pub fn end(mut self, outcome: Outcome) {
        self.ended = true;
        self.metrics.ended(outcome);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if !self.ended {
            self.metrics.ended(Outcome::Abandoned);
        }
    }
}

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

/// Metrics of the engine, read when they are asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineMetrics {
    engine: EngineHandle,
    steps: Gauge,
    tokens: Gauge,
    most_sequences: Gauge,
    most_adapters: Gauge,
}

impl EngineMetrics {
    /// Registers the metrics under `openledger_`.
    pub fn register(registry: &mut Registry, engine: EngineHandle) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            engine,
            steps: gauge("openledger_engine_steps", "Steps of the engine since it started"),
            tokens: gauge("openledger_engine_tokens", "Tokens in them, of prompts and answers"),
            most_sequences: gauge("openledger_engine_most_sequences", "Most calls in one step"),
            most_adapters: gauge("openledger_engine_most_adapters", "Most adapters in one step"),
        }
    }

    /// Asks the engine again.
    pub fn refresh(&self) {
        let stats = self.engine.stats();
        self.steps.set(gauge(stats.steps));
        self.tokens.set(gauge(stats.tokens));
        self.most_sequences.set(gauge(stats.most_sequences as u64));
        self.most_adapters.set(gauge(stats.most_adapters as u64));
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_dropped_without_an_end_is_counted_as_abandoned() {
        let metrics = ServingMetrics::register(&mut Registry::default());
        drop(metrics.start());
        metrics.start().end(Outcome::Served);
        assert_eq!(metrics.count(Outcome::Abandoned), 1);
        assert_eq!(metrics.count(Outcome::Served), 1);
        assert_eq!(metrics.in_flight.get(), 0);
    }

    #[test]
    fn the_exposition_names_units_and_outcomes() {
        let mut registry = Registry::default();
        let metrics = ServingMetrics::register(&mut registry);
        metrics.start().end(Outcome::Served);
        metrics.recorded(3, 5, 700, 300);
        metrics.took(Stage::Total, Duration::from_millis(20));
        let text = expose(&Arc::new(registry));
        for line in [
            "openledger_calls_total{outcome=\"Served\"} 1",
            "openledger_tokens_in_total 3",
            "openledger_tokens_out_total 5",
            "openledger_credits_gwei_total 300",
            "openledger_call_duration_seconds_count{stage=\"Total\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

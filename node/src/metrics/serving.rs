//! Metrics of served calls.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::expose, *};

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

//! Metrics of the engine.

use inference::engine::EngineHandle;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::gauge;

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

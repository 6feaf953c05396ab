//! Metrics of the engine.

use std::fmt;

use inference::engine::{EngineHandle, Histogram};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Metrics of the engine, read from it when they are asked for.
#[derive(Debug)]
pub struct EngineMetrics {
    engine: EngineHandle,
}

impl EngineMetrics {
    /// Registers the metrics under `openledger_engine_` and `openledger_adapters_`.
    pub fn register(registry: &mut Registry, engine: EngineHandle) {
        registry.register_collector(Box::new(Self { engine }));
    }

    fn gauges(&self) -> [(&'static str, &'static str, u64); 17] {
        let (stats, store) = (self.engine.stats(), self.engine.store().stats());
        let used = stats.blocks.saturating_sub(stats.free_blocks);
        [
            ("engine_steps", "Steps of the engine since it started", stats.steps),
            ("engine_tokens", "Tokens in them, of prompts and answers", stats.tokens),
            ("engine_most_sequences", "Most calls in one step", stats.most_sequences as u64),
            ("engine_most_adapters", "Most adapters in one step", stats.most_adapters as u64),
            ("engine_waiting", "Answers that have not started", stats.waiting as u64),
            ("engine_running", "Answers that have started", stats.running as u64),
            ("engine_kv_blocks", "Blocks of keys and values", stats.blocks as u64),
            ("engine_kv_blocks_used", "Those that running answers hold", used as u64),
            ("engine_kv_blocks_free", "Those that could be taken now", stats.free_blocks as u64),
            ("engine_kv_blocks_shared", "Those kept for equal prompts", stats.shared_blocks as u64),
            ("adapters_registered", "Adapters that are known", store.registered as u64),
            ("adapters_disk", "Remote adapters kept on disk", store.disk.0 as u64),
            ("adapters_host", "Adapters whose files are in memory", store.host as u64),
            ("adapters_host_bytes", "Bytes of these files", store.host_bytes as u64),
            ("adapters_resident", "Adapters in slots", store.resident as u64),
            ("adapters_resident_bytes", "Bytes of the slots", store.resident_bytes as u64),
            ("adapters_waiting", "Sets of adapters that are waited for", store.waiting as u64),
        ]
    }

    fn counters(&self) -> [(&'static str, &'static str, u64); 11] {
        let (stats, store) = (self.engine.stats(), self.engine.store().stats());
        let scheduler = stats.scheduler;
        [
            ("engine_generated_tokens", "Tokens generated", stats.generated),
            ("engine_started", "Answers started", scheduler.started),
            ("engine_finished", "Answers that came to their end", stats.finished),
            ("engine_cancelled", "Answers that nobody waited for any more", stats.cancelled),
            ("engine_expired", "Answers whose deadline passed", stats.expired),
            ("engine_failed", "Answers that failed", stats.failed),
            ("engine_preemptions", "Answers that gave their blocks back", scheduler.preemptions),
            ("engine_prompt_tokens", "Tokens known when answers start", scheduler.known_tokens),
            ("engine_prefix_hits", "Those of them found in blocks", scheduler.shared_tokens),
            ("adapters_loads", "Loads into slots", store.loads),
            ("adapters_evictions", "Adapters that made room for others", store.evictions),
        ]
    }

    fn histograms(&self) -> [(&'static str, &'static str, Histogram); 3] {
        let stats = self.engine.stats();
        [
            ("engine_queue_seconds", "From submission to start", stats.queue_time),
            ("engine_first_token_seconds", "To the first token", stats.time_to_first_token),
            ("engine_next_token_seconds", "From token to token", stats.time_between_tokens),
        ]
    }
}

impl Collector for EngineMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in self.gauges() {
            let (name, gauge) =
                (format!("openledger_{name}"), ConstGauge::new(super::gauge(value)));
            gauge.encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)?;
        }
        for (name, help, value) in self.counters() {
            let (name, counter) = (format!("openledger_{name}"), ConstCounter::new(value));
            counter.encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)?;
        }
        for (name, help, histogram) in self.histograms() {
            let (name, kind) = (format!("openledger_{name}"), MetricType::Histogram);
            let mut metric = encoder.encode_descriptor(&name, help, None, kind)?;
            // The encoder adds them up itself.
            let mut before = 0;
            let each = histogram
                .cumulative()
                .map(|(bound, count)| (bound, count - std::mem::replace(&mut before, count)));
            let buckets: Vec<(f64, u64)> = each.collect();
            metric.encode_histogram::<NoLabelSet>(
                histogram.sum,
                histogram.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

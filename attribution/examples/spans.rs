//! Builds a span index and measures it: `spans <job.json>` prints one JSON object.
//!
//! The job names a `corpus` file of little-endian u16 tokens in which 65,535 starts every row, the
//! `index` to make, its `vocabulary` and `shard_positions`, n-grams to count (`queries`) and
//! `answers` to trace. `bench/spans/run.py` writes it.

use std::{env, fs, path::PathBuf, time::Instant};

use attribution::{
    estimate::RowSource,
    settle::{EarnerIndex, keccak},
    spans::{Check, Cuts, SpanBuilder, SpanConfig, SpanIndex, SpanRules},
};
use serde::Deserialize;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;
const ROW_START: u16 = u16::MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    corpus: PathBuf,
    index: PathBuf,
    vocabulary: u32,
    shard_positions: u32,
    queries: Vec<Vec<u32>>,
    answers: Vec<Vec<u32>>,
    min_tokens: usize,
    max_count: u64,
}

fn main() -> Result<(), Failure> {
    let path = env::args().nth(1).ok_or("the job's file must be given")?;
    let job: Job = serde_json::from_slice(&fs::read(path)?)?;
    let build = build(&job)?;
    let index = SpanIndex::open(&job.index, Check::Everything)?;
    let (counts, count_seconds) = counted(&index, &job.queries);
    let (spans, span_seconds) = traced(&index, &job)?;
    let report = json!({
        "build": build,
        "counts": counts,
        "count_seconds": count_seconds,
        "spans": spans,
        "span_seconds": span_seconds,
    });
    println!("{report}");
    Ok(())
}

fn build(job: &Job) -> Result<Value, Failure> {
    let started = Instant::now();
    let bytes = fs::read(&job.corpus)?;
    let (symbols, _) = bytes.as_chunks();
    let symbols: Vec<u16> = symbols.iter().map(|&symbol| u16::from_le_bytes(symbol)).collect();
    drop(bytes);
    let before = peak_memory();
    let config = SpanConfig { vocabulary: job.vocabulary, shard_positions: job.shard_positions };
    let mut builder = SpanBuilder::create(&job.index, config)?;
    // The file starts with a row's start, before which there is nothing.
    for (place, row) in (0_u32..).zip(symbols.split(|&symbol| symbol == ROW_START).skip(1)) {
        let tokens: Vec<u32> = row.iter().map(|&token| u32::from(token)).collect();
        let hash = keccak(&[&place.to_be_bytes()]);
        let (index, earner) = (u64::from(place), EarnerIndex(2 + place % 1_000));
        builder.push(RowSource { datanet: 0, index, hash, earner, cluster: place }, &tokens)?;
    }
    let header = builder.finish(&mut |_| {})?;
    let seconds = started.elapsed().as_secs_f64();
    let sum =
        |part: usize| -> u64 { header.shards.iter().map(|shard| shard.parts[part].bytes).sum() };
    Ok(json!({
        "seconds": seconds,
        "shards": header.shards.len(),
        "tokens": header.shards.iter().map(|shard| shard.tokens).sum::<u64>(),
        "rows": header.shards.iter().map(|shard| shard.rows).sum::<u32>(),
        "pointer_bytes": header.shards.iter().map(|shard| shard.pointer_bytes).max(),
        "token_file_bytes": sum(0),
        "suffix_file_bytes": sum(1),
        "row_file_bytes": sum(2),
        "peak_bytes_above_corpus": peak_memory().saturating_sub(before),
    }))
}

fn counted(index: &SpanIndex, queries: &[Vec<u32>]) -> (Vec<u64>, Vec<f64>) {
    let count = |query: &Vec<u32>| {
        let started = Instant::now();
        (index.count(query), started.elapsed().as_secs_f64())
    };
    queries.iter().map(count).unzip()
}

fn traced(index: &SpanIndex, job: &Job) -> Result<(Vec<Value>, Vec<f64>), Failure> {
    let (mut spans, mut seconds) = (Vec::new(), Vec::new());
    let (min_tokens, max_count) = (job.min_tokens, job.max_count);
    let all = SpanRules { min_tokens, max_count, keep_bps: 10_000, documents: 10 };
    let paid = SpanRules { keep_bps: 500, ..all };
    for answer in &job.answers {
        let started = Instant::now();
        let kept = index.spans(answer, &paid, &Cuts::none())?;
        let uses = index.uses(answer, &kept);
        seconds.push(started.elapsed().as_secs_f64());
        let one_shard = index.header().shards.len() == 1;
        assert!(kept.is_empty() || uses.is_empty() != one_shard, "spans without uses");
        let all = index.spans(answer, &all, &Cuts::none())?;
        spans.push(all.iter().map(|span| json!([span.start, span.end, span.count])).collect());
    }
    Ok((spans, seconds))
}

/// Most memory that the process had, where the system tells.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

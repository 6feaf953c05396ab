//! Timings, run by hand: `cargo test -p attribution speed -- --ignored --nocapture`.

use std::time::Instant;

use attribution::estimate::{
    IndexBuilder, IndexConfig, Projector, ProjectorConfig, PublishedIndex, SiteShape,
    duplicates::clusters,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Gradient, source};

#[test]
#[ignore = "measures time"]
fn eight_hundred_rows_of_a_small_model() {
    let shapes = vec![SiteShape { rank: 8, d_in: 192, d_out: 192 }; 24];
    for dim in [1024, 2048] {
        let mut rng = StdRng::seed_from_u64(1);
        let rows: Vec<Gradient> = (0..8).map(|_| Gradient::random(&shapes, &mut rng)).collect();
        let sketches = ProjectorConfig { dim, ..ProjectorConfig::default() };
        let projector = Projector::new(&shapes, sketches).unwrap();
        let mut builder = IndexBuilder::new(projector, IndexConfig::default()).unwrap();
        let start = Instant::now();
        for i in 0..800u32 {
            // Eight gradients and a random part each, so that the Fisher matrix has full rank.
            let mut sketch = builder.projector().project(&rows[i as usize % 8].sites()).unwrap();
            sketch.iter_mut().for_each(|x| *x += rng.random::<f32>());
            builder.push_sketch(source(i, 1 + i % 16, i), &sketch).unwrap();
        }
        let projected = start.elapsed();
        let mut at = Vec::new();
        let (index, stats) = builder
            .finish(|p| {
                if p.done == p.total {
                    at.push((p.stage, start.elapsed()));
                }
            })
            .unwrap();
        let start = Instant::now();
        let queries: Vec<Vec<i8>> =
            (0..100).map(|i| index.query(&rows[i % 8].sites()).unwrap()).collect();
        let query = start.elapsed() / 100;
        let start = Instant::now();
        let sums: i64 = queries.iter().map(|q| index.score_contributors(q).unwrap()[0]).sum();
        let contributors = start.elapsed() / 100;
        let start = Instant::now();
        let rows: i32 = queries.iter().map(|q| index.score_rows(q).unwrap()[0]).sum();
        let scored = start.elapsed() / 100;
        println!("d {dim}: projected 800 rows {projected:?}, stages {at:?}, {stats:?}");
        println!(
            "query {query:?}, 16 contributors {contributors:?}, 800 rows {scored:?} ({sums}, {rows})"
        );
        println!("file {} bytes", index.to_bytes().len());
        let published = index.published();
        let start = Instant::now();
        assert_eq!(PublishedIndex::from_bytes(&published).unwrap().root(), index.root());
        println!("published {} bytes, root in {:?}", published.len(), start.elapsed());
    }
}

#[test]
#[ignore = "measures time"]
fn clusters_of_twenty_thousand_rows() {
    let mut rng = StdRng::seed_from_u64(1);
    let rows: Vec<String> = (0..20_000)
        .map(|_| (0..128).map(|_| format!("w{} ", rng.random_range(0..5000))).collect())
        .collect();
    let start = Instant::now();
    let found = clusters(&rows).unwrap();
    println!("{:?} for {} rows", start.elapsed(), found.len());

    let mut near: Vec<String> = vec![];
    let words: Vec<&str> = rows[0].split(' ').collect();
    for i in 0..10_000 {
        near.push(format!("{} x{i}", words.join(" ")));
    }
    let start = Instant::now();
    assert!(clusters(&near).unwrap().iter().all(|c| *c == 0));
    println!("{:?} for {} near copies", start.elapsed(), near.len());
}

/// Most memory that this process had, in MiB, where the system says so.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Builds an index of `rows` rows of random sketches.
fn build_at(dim: usize, rows: u32) {
    let shapes = [SiteShape { rank: 8, d_in: 1024, d_out: 1024 }];
    let sketches = ProjectorConfig { dim, side: 1024, ..ProjectorConfig::default() };
    let projector = Projector::new(&shapes, sketches).unwrap();
    let mut builder = IndexBuilder::new(projector, IndexConfig::default()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for i in 0..rows {
        let sketch: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        builder.push_sketch(source(i, 1 + i % 16, i), &sketch).unwrap();
    }
    let (before, start) = (peak(), Instant::now());
    let mut at = Vec::new();
    let (index, _) = builder
        .finish(|p| {
            if p.done == p.total {
                at.push((p.stage, start.elapsed()));
            }
        })
        .unwrap();
    println!("d {dim}, {rows} rows: {at:?}; {before} MiB before, at most {} MiB", peak());
    let gradient = Gradient::random(&shapes, &mut rng);
    let start = Instant::now();
    let q = index.query(&gradient.sites()).unwrap();
    let query = start.elapsed();
    let start = Instant::now();
    let sum: i32 = index.score_rows(&q).unwrap().iter().map(|x| x % 1000).sum();
    println!("query sketch {query:?}, rows scored in {:?} ({sum})", start.elapsed());
}

#[test]
#[ignore = "measures time"]
fn largest_dimension_with_few_rows() {
    build_at(8192, 800);
}

#[test]
#[ignore = "measures time"]
fn default_dimension_with_many_rows() {
    build_at(4096, 5000);
}

#[test]
#[ignore = "takes ten minutes"]
fn largest_dimension_with_many_rows() {
    build_at(8192, 8500);
}

//! The bits of a query do not depend on the machine: an index and a query that are kept as files give
//! the sketch and scores that they gave when they were made, on one thread or several, for whatever
//! vector instructions this is compiled.
//!
//! The index is a file because its whitening is decomposed by a library whose last bits depend on the
//! machine; what a query does with it does not.

use attribution::{
    estimate::{IndexBuilder, InfluenceIndex, Projector, SiteGradient, SiteShape},
    settle::keccak,
};

use super::{
    index::{SHAPES, SKETCHES, config, projector},
    source,
};

const FEW: &[u8] = include_bytes!("../../golden/few_rows.index");
const MANY: &[u8] = include_bytes!("../../golden/many_rows.index");

/// Numbers in -1 to 1 of 24 bits, by a recurrence without rounding.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (self.0 >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn gradient(&mut self) -> Vec<(SiteShape, Vec<f32>, Vec<f32>)> {
        SHAPES
            .iter()
            .map(|s| (*s, self.take(s.rank * s.d_in), self.take(s.d_out * s.rank)))
            .collect()
    }
}

fn sites(gradient: &[(SiteShape, Vec<f32>, Vec<f32>)]) -> Vec<SiteGradient<'_>> {
    gradient
        .iter()
        .map(|(s, a, b)| SiteGradient { a, b, rank: s.rank, d_in: s.d_in, d_out: s.d_out })
        .collect()
}

fn build(rows: u32) -> InfluenceIndex {
    let mut numbers = Numbers(7);
    let gradients: Vec<_> = (0..rows).map(|_| numbers.gradient()).collect();
    let projector = if rows > 32 {
        let learned = gradients.iter().map(|gradient| sites(gradient));
        Projector::learned(&SHAPES, SKETCHES, learned).unwrap()
    } else {
        projector()
    };
    let mut builder = IndexBuilder::new(projector, config()).unwrap();
    for (i, gradient) in (0..rows).zip(&gradients) {
        builder.push(source(i, 2 + i % 3, i), &sites(gradient)).unwrap();
    }
    builder.finish(|_| {}).unwrap().0
}

/// keccak256 of raw sketches, whitened sketches, int8 sketches and scores of a few queries.
fn bits(index: &InfluenceIndex) -> String {
    let mut numbers = Numbers(11);
    let mut bytes = Vec::new();
    for _ in 0..4 {
        let gradient = numbers.gradient();
        let raw = index.projector().project(&sites(&gradient)).unwrap();
        let whitened = index.whitening().apply(&raw).unwrap();
        raw.iter().chain(&whitened).for_each(|x| bytes.extend(x.to_be_bytes()));
        let q = index.query(&sites(&gradient)).unwrap();
        bytes.extend(q.iter().map(|x| x.cast_unsigned()));
        index.score_rows(&q).unwrap().iter().for_each(|x| bytes.extend(x.to_be_bytes()));
        index.score_contributors(&q).unwrap().iter().for_each(|x| bytes.extend(x.to_be_bytes()));
    }
    hex::encode(keccak(&[&bytes]))
}

#[test]
fn queries_give_the_bits_they_gave_before() {
    for (file, expected) in [
        (FEW, "95d267bcb43b5de050e3b26d6cd2dd1c51e072445c2c23eaee29b2487b5b0869"),
        (MANY, "2e9c6c96f982ecb6fce4aaca4c38eda1b64440025d5e711429ab62e7bda74c7d"),
    ] {
        let index = InfluenceIndex::from_bytes(file).unwrap();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| bits(&index)), expected, "{threads} threads");
        }
        // After a restart.
        let again = InfluenceIndex::from_bytes(&index.to_bytes()).unwrap();
        assert_eq!(bits(&again), expected);
    }
}

/// Few rows are hashed and whitened by directions, many are projected onto a learned basis and whitened
/// by a matrix: all forms are kept.
#[test]
fn files_are_of_both_forms() {
    let dense = |bytes: &[u8]| InfluenceIndex::from_bytes(bytes).unwrap().rows().len() > 32;
    assert!(!dense(FEW) && dense(MANY));
    let learned =
        |bytes: &[u8]| InfluenceIndex::from_bytes(bytes).unwrap().projector().basis().is_some();
    assert!(!learned(FEW) && learned(MANY));
}

/// Writes the files anew: `cargo test -p attribution --test it new_files -- --ignored`.
#[test]
#[ignore = "writes the files that the test above reads"]
fn new_files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
    for (name, rows) in [("few_rows", 20), ("many_rows", 96)] {
        let index = build(rows);
        std::fs::write(format!("{folder}{name}.index"), index.to_bytes()).unwrap();
        println!("{name} {}", bits(&index));
    }
}

//! Shared words: the baseline that knows nothing of the model.

use std::collections::HashMap;

use super::{Attributor, Query, gradients::finite};
use crate::{Result, estimate::duplicates::tokens};

/// Saturation of repeated words and the weight of a text's length, as Lucene has them.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Okapi BM25 (Robertson and Zaragoza 2009, eq. 3.15) with `k1 = 1.2`, `b = 0.75` and Lucene's
/// `idf = ln(1 + (N - n + 1/2) / (n + 1/2))`, which is never negative.
///
/// A word is a maximal run of letters, digits and underscores, in lower case. Each occurrence of a
/// word in the query counts.
#[derive(Clone, Debug)]
pub struct Bm25 {
    rows: usize,
    /// Per word, its rows and its weight in each: `idf f (k1 + 1) / (f + k1 (1 - b + b l / mean l))`.
    words: HashMap<String, Vec<(u32, f64)>>,
}

impl Bm25 {
    /// Over the rows' texts; at most 2^32 - 1 are read.
    #[must_use]
    pub fn new<T: AsRef<str>>(rows: &[T]) -> Self {
        let mut words: HashMap<String, Vec<(u32, f64)>> = HashMap::new();
        let mut lengths = Vec::with_capacity(rows.len());
        for (place, row) in (0u32..u32::MAX).zip(rows) {
            let text = row.as_ref().to_lowercase();
            let mut counts: HashMap<&str, f64> = HashMap::new();
            tokens(&text).for_each(|word| *counts.entry(word).or_default() += 1.0);
            lengths.push(counts.values().sum::<f64>());
            for (word, count) in counts {
                words.entry(word.to_owned()).or_default().push((place, count));
            }
        }
        let total = lengths.len() as f64;
        let mean = lengths.iter().sum::<f64>() / total;
        for rows in words.values_mut() {
            let n = rows.len() as f64;
            let idf = (1.0 + (total - n + 0.5) / (n + 0.5)).ln();
            for (place, weight) in rows {
                let length = lengths[*place as usize] / mean;
                *weight = idf * *weight * (K1 + 1.0) / (*weight + K1 * (1.0 - B + B * length));
            }
        }
        Self { rows: rows.len(), words }
    }
}

impl Attributor for Bm25 {
    fn name(&self) -> String {
        "BM25".into()
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let mut sums = vec![0.0; self.rows];
        let text = query.text.to_lowercase();
        for word in tokens(&text) {
            for (place, weight) in self.words.get(word).into_iter().flatten() {
                sums[*place as usize] += weight;
            }
        }
        finite(sums)
    }
}

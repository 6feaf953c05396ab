use std::collections::BTreeSet;

use attribution::{
    estimate::RowSource,
    settle::EarnerIndex,
    spans::{Check, SpanBuilder, SpanConfig, SpanIndex},
};
use tempfile::TempDir;

/// Rows of token ids with the place of each one's cluster.
#[derive(Debug, Clone)]
pub(super) struct Corpus {
    pub(super) vocabulary: u32,
    pub(super) rows: Vec<Vec<u32>>,
    pub(super) clusters: Vec<u32>,
}

impl Corpus {
    /// Rows that are each their own cluster.
    pub(super) fn new(vocabulary: u32, rows: &[&[u32]]) -> Self {
        let rows: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
        let clusters = (0..).take(rows.len()).collect();
        Self { vocabulary, rows, clusters }
    }

    /// Two Datanets of alternating contributors 10, 11 and 12.
    pub(super) fn source(&self, place: usize) -> RowSource {
        let half = self.rows.len() / 2;
        let (datanet, index) = if place < half { (0, place) } else { (3, place - half) };
        RowSource {
            datanet,
            index: 7 * index as u64,
            hash: [u8::try_from(place % 256).unwrap(); 32],
            earner: EarnerIndex(10 + u32::try_from(place % 3).unwrap()),
            cluster: self.clusters[place],
        }
    }

    pub(super) fn build(&self, shard_positions: u32) -> (TempDir, SpanIndex) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let config = SpanConfig { vocabulary: self.vocabulary, shard_positions };
        let mut builder = SpanBuilder::create(&path, config).unwrap();
        for (place, row) in self.rows.iter().enumerate() {
            builder.push(self.source(place), row).unwrap();
        }
        builder.finish(&mut |_| {}).unwrap();
        let index = SpanIndex::open(&path, Check::Everything).unwrap();
        (folder, index)
    }

    /// Every (row, token) where the n-gram is, by reading.
    pub(super) fn places(&self, ngram: &[u32]) -> Vec<(u32, u64)> {
        let mut places = Vec::new();
        for (row, tokens) in (0..).zip(&self.rows) {
            let starts = (0..tokens.len()).filter(|&at| tokens[at..].starts_with(ngram));
            places.extend(starts.map(|at| (row, at as u64)));
        }
        places
    }

    pub(super) fn longest(&self, text: &[u32]) -> usize {
        (0..=text.len()).rev().find(|&n| n == 0 || !self.places(&text[..n]).is_empty()).unwrap()
    }

    pub(super) fn clusters_with(&self, ngram: &[u32]) -> Vec<u32> {
        let rows = self.places(ngram);
        let clusters: BTreeSet<u32> =
            rows.iter().map(|&(row, _)| self.clusters[row as usize]).collect();
        clusters.into_iter().collect()
    }
}

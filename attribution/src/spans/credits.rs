use std::collections::BTreeMap;

use super::{index::SpanIndex, trace::Span};
use crate::settle::EarnerIndex;

impl SpanIndex {
    /// What each contributor's rows hold of an answer, from its spans: the integer scores that
    /// credits are made of, largest first, equal ones by earner.
    ///
    /// A span that `k` duplicate clusters contain gives `floor(rarity / k)` to the contributor of
    /// each one's canonical row, once however many copies or occurrences a cluster has. The
    /// remainder, below `k` units of 2^-16 bits, goes to nobody. So a score falls when a span's
    /// tokens become more common and when more contributors hold it.
    #[must_use]
    pub fn credits(&self, spans: &[Span]) -> Vec<(EarnerIndex, i64)> {
        let mut scores = BTreeMap::<EarnerIndex, i64>::new();
        for span in spans {
            let clusters = span.clusters.len() as u64;
            let each = span.rarity.checked_div(clusters).unwrap_or(0);
            // A span has at most 2^14 tokens of at most 2^22 units; files that were not checked may
            // name rows that are not there.
            let each = i64::try_from(each).unwrap_or(i64::MAX);
            for row in span.clusters.iter().filter_map(|&place| self.row(place)) {
                let score = scores.entry(row.earner).or_default();
                *score = score.saturating_add(each);
            }
        }
        let mut scores: Vec<_> = scores.into_iter().filter(|&(_, score)| score > 0).collect();
        scores.sort_by_key(|&(earner, score)| (std::cmp::Reverse(score), earner));
        scores
    }
}

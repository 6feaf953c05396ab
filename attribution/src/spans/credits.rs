use super::{index::SpanIndex, trace::Span};
use crate::settle::{
    EarnerIndex, Ground, MAX_SPAN_COUNT, MAX_SPAN_END, MIN_SPAN_TOKENS, SpanUse, Use,
    audit::SpanCorpus,
};

impl SpanIndex {
    /// The uses that spans of an answer are credited for: each holder of each span that is not within
    /// another and that [`SpanUse::is_sound`] allows, as [`crate::settle::Record::mixed`] takes them.
    /// Only an index of one shard can be paid by: none of another.
    ///
    /// - `answer`: the token ids that the spans are of
    #[must_use]
    pub fn uses(&self, answer: &[u32], spans: &[Span]) -> Vec<Use> {
        let [shard] = self.shards() else { return Vec::new() };
        let mut uses = Vec::new();
        for span in spans {
            let within = |other: &Span| {
                let (same, covers) = (
                    (other.start, other.end) == (span.start, span.end),
                    other.start <= span.start && span.end <= other.end,
                );
                covers && !same
            };
            let Some(text) = answer.get(span.start..span.end) else { continue };
            if span.end > usize::from(MAX_SPAN_END)
                || text.len() < usize::from(MIN_SPAN_TOKENS)
                || spans.iter().any(within)
            {
                continue;
            }
            let ranks = shard.find(&self.symbols(text));
            uses.extend(self.holders(span, ranks).unwrap_or_default());
        }
        uses
    }

    /// A span's holders, each with its first occurrence; none if there are too many occurrences.
    fn holders(&self, span: &Span, ranks: std::ops::Range<u64>) -> Option<Vec<Use>> {
        let count = u16::try_from(ranks.end.checked_sub(ranks.start)?).ok()?;
        if count == 0 || count > MAX_SPAN_COUNT {
            return None;
        }
        let mut firsts = Vec::<(u32, u16)>::new();
        for occurrence in 0..count {
            let cluster = self.cluster_at(self.position(ranks.start + u64::from(occurrence)));
            if firsts.iter().all(|&(other, _)| other != cluster) {
                firsts.push((cluster, occurrence));
            }
        }
        let of = SpanUse {
            start: u16::try_from(span.start).ok()?,
            length: u16::try_from(span.end - span.start).ok()?,
            low: ranks.start,
            count,
            holders: u16::try_from(firsts.len()).ok()?,
            ..SpanUse::default()
        };
        let score = of.score(self.tokens());
        let holder = |(holder, (cluster, occurrence))| Use {
            earner: SpanCorpus::earner(self, cluster),
            score,
            ground: Ground::Span(SpanUse { holder, occurrence, ..of }),
        };
        Some((0..).zip(firsts).map(holder).collect())
    }
}

/// The first shard: a model's span index has one.
impl SpanCorpus for SpanIndex {
    fn tokens(&self) -> u64 {
        self.shards().first().map_or(0, |shard| shard.header().tokens)
    }

    fn position(&self, rank: u64) -> u64 {
        self.shards().first().map_or(0, |shard| shard.suffix(rank))
    }

    fn symbol(&self, position: u64) -> u32 {
        self.shards().first().map_or(0, |shard| shard.symbol(position))
    }

    fn cluster_at(&self, position: u64) -> u32 {
        let row = |shard: &super::shard::Shard| shard.row(shard.row_at(position));
        self.shards().first().and_then(row).map_or(u32::MAX, |row| row.cluster)
    }

    fn earner(&self, row: u32) -> EarnerIndex {
        self.row(row).map_or(EarnerIndex::NOBODY, |row| row.earner)
    }
}

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::index::SpanIndex;
use crate::{Error, Result, settle::log2};

/// Most tokens of an answer.
pub const MAX_ANSWER_TOKENS: usize = 1 << 14;
/// Most occurrences that a span may be allowed to have.
pub const MAX_FREQUENCY: u64 = 1 << 16;
const WHOLE_BPS: u64 = 10_000;

/// Which spans of an answer count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRules {
    /// Fewest tokens of a span, at least 1.
    pub min_tokens: usize,
    /// Most occurrences of a span, 1 to [`MAX_FREQUENCY`].
    pub max_count: u64,
    /// Spans kept, the rarest, in bps of the answer's tokens, rounded up.
    pub keep_bps: u16,
    /// Most documents named per span.
    pub documents: usize,
}

impl Default for SpanRules {
    /// OLMoTrace's: at most 10 occurrences, 5% of the answer's tokens as spans, 10 documents each.
    /// Spans of less than 4 tokens are rarely anybody's.
    fn default() -> Self {
        Self { min_tokens: 4, max_count: 10, keep_bps: 500, documents: 10 }
    }
}

/// Where spans may start and end, told from token ids, because only the tokenizer's owner knows.
pub struct Cuts<'a> {
    /// A span ends with the first token for which this holds, and none starts with one: full stops
    /// and line ends.
    pub delimiter: &'a dyn Fn(u32) -> bool,
    /// A span starts with a token for which this holds and ends before another or at the end of the
    /// answer or with a delimiter: whole words.
    pub starts_word: &'a dyn Fn(u32) -> bool,
}

impl Cuts<'static> {
    /// Spans may start and end anywhere.
    #[must_use]
    pub const fn none() -> Self {
        Self { delimiter: &|_| false, starts_word: &|_| true }
    }
}

impl fmt::Debug for Cuts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuts").finish_non_exhaustive()
    }
}

/// A span of an answer that Datanets hold word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its first token in the answer.
    pub start: usize,
    /// The token after its last.
    pub end: usize,
    /// How often it occurs in the index.
    pub count: u64,
    /// How rare its tokens are, in units of 2^-16 bits.
    pub rarity: u64,
    /// Places of the first rows that contain it, by (Datanet, index), as many as the rules allow.
    pub documents: Vec<u32>,
    /// Places of the canonical rows of all duplicate clusters that contain it, ascending.
    pub clusters: Vec<u32>,
}

impl SpanIndex {
    /// The spans of an answer that stand in the index, rarest first, equally rare ones by start.
    ///
    /// 1. From each start the longest prefix that occurs, cut after the first delimiter and then
    ///    back to the end of a word.
    /// 2. Spans shorter than `min_tokens`, that end no later than a kept one before, or that occur
    ///    more than `max_count` times are dropped.
    /// 3. The `ceil(tokens * keep_bps / 10_000)` rarest stay.
    ///
    /// # Errors
    /// [`Error::Setting`] if a rule is out of its range or the answer is longer than
    /// [`MAX_ANSWER_TOKENS`].
    pub fn spans(&self, answer: &[u32], rules: &SpanRules, cuts: &Cuts<'_>) -> Result<Vec<Span>> {
        check(answer, rules)?;
        let symbols = self.symbols(answer);
        let mut rarities = Rarities { index: self, known: BTreeMap::new() };
        let mut spans = Vec::new();
        let mut edge = 0;
        for start in 0..answer.len() {
            let end = start + self.cut_match(&answer[start..], &symbols[start..], cuts);
            if end - start < rules.min_tokens || end <= edge {
                continue;
            }
            let span = &symbols[start..end];
            let count = self.count_symbols(span);
            if count > rules.max_count {
                continue;
            }
            edge = end;
            let rarity = span.iter().map(|&symbol| rarities.of(symbol)).sum();
            spans.push(Span { start, end, count, rarity, documents: vec![], clusters: vec![] });
        }
        spans.sort_by_key(|span| (std::cmp::Reverse(span.rarity), span.start));
        let keep = (answer.len() as u64 * u64::from(rules.keep_bps)).div_ceil(WHOLE_BPS);
        spans.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        for span in &mut spans {
            self.name_rows(span, &symbols, rules.documents);
        }
        Ok(spans)
    }

    /// Tokens of the longest prefix that occurs and that the cuts allow.
    fn cut_match(&self, text: &[u32], symbols: &[u32], cuts: &Cuts<'_>) -> usize {
        if (cuts.delimiter)(text[0]) || !(cuts.starts_word)(text[0]) {
            return 0;
        }
        let delimited = text.iter().position(|&token| (cuts.delimiter)(token));
        let most = delimited.map_or(text.len(), |at| at + 1);
        let mut length = self.longest_symbols(&symbols[..most]);
        while 0 < length && length < most && !(cuts.starts_word)(text[length]) {
            // A delimiter ends the word before it, whatever it starts.
            if delimited == Some(length) {
                break;
            }
            length -= 1;
        }
        length
    }

    fn name_rows(&self, span: &mut Span, symbols: &[u32], documents: usize) {
        // Files that were not checked may hold more occurrences than were counted.
        let most = usize::try_from(MAX_FREQUENCY).unwrap_or(usize::MAX);
        let occurrences = self.occurrences(&symbols[span.start..span.end], 0).take(most);
        let rows: BTreeSet<u32> = occurrences.map(|place| place.row).collect();
        span.documents = rows.iter().copied().take(documents).collect();
        let clusters: BTreeSet<u32> =
            rows.iter().filter_map(|&row| Some(self.row(row)?.cluster)).collect();
        span.clusters = clusters.into_iter().collect();
    }
}

fn check(answer: &[u32], rules: &SpanRules) -> Result<()> {
    if answer.len() > MAX_ANSWER_TOKENS {
        return Err(Error::setting("an answer must have at most 2^14 tokens", answer.len()));
    }
    if rules.min_tokens == 0 {
        return Err(Error::setting("a span must have at least one token", 0));
    }
    if rules.max_count == 0 || rules.max_count > MAX_FREQUENCY {
        return Err(Error::setting("a span may occur 1 to 2^16 times", rules.max_count));
    }
    if u64::from(rules.keep_bps) > WHOLE_BPS {
        return Err(Error::setting("spans kept must be at most 10000 bps", rules.keep_bps));
    }
    Ok(())
}

/// Rarity of each token of an answer, counted once.
struct Rarities<'a> {
    index: &'a SpanIndex,
    known: BTreeMap<u32, u64>,
}

impl Rarities<'_> {
    fn of(&mut self, symbol: u32) -> u64 {
        let index = self.index;
        // What a token's occurrence tells.
        let rarity = || log2(index.tokens()).saturating_sub(log2(index.count_symbols(&[symbol])));
        *self.known.entry(symbol).or_insert_with(rarity)
    }
}

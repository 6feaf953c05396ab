use alloc::{collections::BTreeSet, vec::Vec};
use core::cmp::Reverse;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{EarnerIndex, Mix, log2};
use crate::{Error, Result};

/// Fewest tokens of a span that is credited.
pub const MIN_SPAN_TOKENS: u16 = 4;
/// Most occurrences of a span that is credited.
pub const MAX_SPAN_COUNT: u16 = 10;
/// Most tokens of an answer whose spans are credited.
pub const MAX_SPAN_END: u16 = 1 << 14;

/// Ways to be credited for an answer beside influence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseKind {
    /// A row holds a span of the answer.
    Span,
    /// The answer cites a row.
    Citation,
}

/// A span of an answer, and one of the duplicate clusters whose rows hold it.
///
/// The span's text is that at the suffixes of ranks `low` to before `low + count` in the suffix
/// array of the model's span index. Of the clusters of their rows, `holders` in all, this one's
/// first occurrence among these ranks is at `low + occurrence`; clusters are numbered in the order
/// of these.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct SpanUse {
    /// The span's first token in the answer.
    pub start: u16,
    /// Its tokens.
    pub length: u16,
    /// First rank of the suffixes that start with it.
    pub low: u64,
    /// How many of them there are.
    pub count: u16,
    /// Duplicate clusters that hold it.
    pub holders: u16,
    /// Which of them this is, from 0.
    pub holder: u16,
    /// The cluster's first occurrence, from 0.
    pub occurrence: u16,
}

impl SpanUse {
    /// `floor(length (log2(tokens) - log2(count)) / holders)` in units of 2^-16 bits: the less a span
    /// is worth the more often it occurs and the more clusters hold it.
    ///
    /// - `tokens`: of the span index
    #[must_use]
    pub fn score(&self, tokens: u64) -> u64 {
        let bits = log2(tokens).saturating_sub(log2(self.count.into()));
        (u64::from(self.length) * bits).checked_div(self.holders.into()).unwrap_or(0)
    }

    /// The token after its last.
    #[must_use]
    pub fn end(&self) -> u32 {
        u32::from(self.start) + u32::from(self.length)
    }

    /// Whether the numbers can be those of a span, whatever answer and index are.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.length >= MIN_SPAN_TOKENS
            && self.end() <= u32::from(MAX_SPAN_END)
            && self.count <= MAX_SPAN_COUNT
            && self.holders <= self.count
            && self.holder < self.holders
            && self.holder <= self.occurrence
            && self.occurrence < self.count
    }

    /// Whether both are of one span of an answer.
    #[must_use]
    pub fn is_same_span(&self, other: &Self) -> bool {
        let of = |span: &Self| (span.start, span.length, span.low, span.count, span.holders);
        of(self) == of(other)
    }

    /// Whether one of two spans of an answer is within the other.
    #[must_use]
    pub fn is_nested(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| b.start <= a.start && a.end() <= b.end();
        !self.is_same_span(other) && (within(self, other) || within(other, self))
    }
}

/// A row that an answer cites.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct Citation {
    /// Place of its Datanet version among the model's.
    pub datanet: u8,
    /// Its index in the version.
    pub row: u64,
    /// How much it has to do with the question; any scale, the same for a whole answer.
    pub relevance: u32,
    /// How often the answer cites it.
    pub uses: u16,
}

impl Citation {
    /// `relevance * uses`.
    #[must_use]
    pub fn score(&self) -> u64 {
        u64::from(self.relevance) * u64::from(self.uses)
    }
}

/// Why somebody is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Ground {
    /// For a span that its rows hold.
    Span(SpanUse),
    /// For a row that is cited.
    Citation(Citation),
}

/// What a row did for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Use {
    /// The row's contributor; of a span, that of the cluster's canonical row.
    pub earner: EarnerIndex,
    /// [`SpanUse::score`] or [`Citation::score`].
    pub score: u64,
    /// Why.
    pub ground: Ground,
}

/// How a call's rows were used, and what for it is paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Uses {
    /// The model's mix for calls signed when this one was.
    pub mix: Mix,
    /// Of spans: each span's holders, all of them.
    pub spans: Vec<Use>,
    /// Of citations: each row once.
    pub citations: Vec<Use>,
}

/// What one use gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseCredit {
    /// The use.
    pub of: Use,
    /// `trunc(pool * score / sum of scores)`, gwei.
    pub credit: u64,
}

/// The part of a record that is paid for one kind of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// For what.
    pub kind: UseKind,
    /// Its part of the contributors' share, gwei.
    pub pool: u64,
    /// Credits in the order of their rows; they sum to at most the pool.
    pub credits: Vec<UseCredit>,
}

impl Section {
    /// The most valuable uses that fit, a span's holders together.
    ///
    /// - `pool`: its part of the contributors' share, gwei
    /// - `max_credits`: the most that the rules allow
    ///
    /// # Errors
    /// [`Error::Uses`] naming the rule that they break, [`Error::NobodyEarns`] if an index is 0.
    pub fn new(kind: UseKind, pool: u64, uses: &[Use], max_credits: u8) -> Result<Self> {
        let mut uses = uses.to_vec();
        uses.retain(|of| of.score > 0);
        uses.sort_unstable_by_key(place);
        check(kind, &uses)?;
        let mut kept = 0;
        for (at, of) in uses.iter().enumerate() {
            let placed = match at.checked_sub(1) {
                Some(before) => follows(&uses[before], of),
                None => is_first(of),
            };
            let is_last = is_last_holder(of);
            if !placed || at + 1 == uses.len() && !is_last {
                return Err(Error::Uses("a span's holders must all be there"));
            }
            if is_last && at < usize::from(max_credits) {
                kept = at + 1;
            }
        }
        uses.truncate(kept);
        // At most 255 scores.
        let sum: u128 = uses.iter().map(|of| u128::from(of.score)).sum();
        let credit = |of: Use| {
            let credit = u128::from(pool) * u128::from(of.score) / sum;
            UseCredit { of, credit: u64::try_from(credit).expect("a credit is within the pool") }
        };
        Ok(Self { kind, pool, credits: uses.into_iter().map(credit).collect() })
    }
}

/// Where a use is among those of its kind: the greatest score first, then by span and holder, or by
/// Datanet and row.
pub(super) const fn place(of: &Use) -> (Reverse<u64>, u64, u64) {
    let (first, second) = match of.ground {
        Ground::Span(span) => (span.start as u64, span.holder as u64),
        Ground::Citation(citation) => (citation.datanet as u64, citation.row),
    };
    (Reverse(of.score), first, second)
}

/// Whether a use is not followed by another holder of its span.
pub(super) const fn is_last_holder(of: &Use) -> bool {
    match of.ground {
        Ground::Span(span) => span.holder as u32 + 1 == span.holders as u32,
        Ground::Citation(_) => true,
    }
}

/// Whether `b` may be the use after `a` among those of a record that are credited.
pub(super) fn follows(a: &Use, b: &Use) -> bool {
    let continues = match (a.ground, b.ground) {
        (Ground::Span(a), Ground::Span(b)) if b.holder > 0 => {
            a.is_same_span(&b) && a.holder == b.holder - 1 && a.occurrence < b.occurrence
        }
        _ => is_last_holder(a),
    };
    continues && place(a) < place(b)
}

/// Whether a use's numbers can be those of one, whatever answer, index and Datanet are.
pub(super) fn is_sound(of: &Use) -> bool {
    let fits = of.score > 0 && i64::try_from(of.score).is_ok();
    fits && match of.ground {
        Ground::Span(span) => span.is_sound(),
        Ground::Citation(citation) => of.score == citation.score(),
    }
}

/// Whether a use may be the first of a record's.
pub(super) const fn is_first(of: &Use) -> bool {
    match of.ground {
        Ground::Span(span) => span.holder == 0,
        Ground::Citation(_) => true,
    }
}

fn check(kind: UseKind, uses: &[Use]) -> Result<()> {
    let mut rows = BTreeSet::new();
    let mut spans = Vec::<SpanUse>::new();
    for of in uses {
        if of.earner == EarnerIndex::NOBODY {
            return Err(Error::NobodyEarns { what: "a use" });
        }
        match (kind, of.ground) {
            (UseKind::Span, Ground::Span(span)) => {
                if !span.is_sound() || i64::try_from(of.score).is_err() {
                    return Err(Error::Uses("a span's numbers must be in their ranges"));
                }
                if spans.iter().any(|other| span.is_nested(other)) {
                    return Err(Error::Uses("no span may be within another"));
                }
                spans.push(span);
            }
            (UseKind::Citation, Ground::Citation(citation)) => {
                if of.score != citation.score() {
                    return Err(Error::Uses("a citation's score must be relevance times uses"));
                }
                if !rows.insert((citation.datanet, citation.row)) {
                    return Err(Error::Uses("a row must be cited once"));
                }
            }
            _ => return Err(Error::Uses("spans and citations must be where they belong")),
        }
    }
    Ok(())
}

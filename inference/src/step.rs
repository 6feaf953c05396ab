//! The step plan: what one forward pass computes, as a plain value.
//!
//! The scheduler makes it without knowing the model; the decoder runs it without knowing requests.

use std::ops::Range;

use crate::{Error, Result, kv::CacheId};

/// Position of a resident adapter in the adapter bank. The base model is [`BASE_SLOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// The slot of rows without an adapter. No [`Segment`] has it.
pub const BASE_SLOT: SlotId = SlotId(0);

/// Consecutive tokens that get one adapter's part: `y += scale * s (x A^T) B^T`.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The tokens, as a range of [`Step::tokens`].
    pub range: Range<usize>,
    /// Which adapter.
    pub slot: SlotId,
    /// The adapter's largest rank.
    pub rank: usize,
    /// Weight that the request gives this adapter, on top of the adapter's own `s`.
    pub scale: f32,
    /// Place of the adapter in the tokens' adapter set. The parts of a token are added in this
    /// order, so its bits do not depend on which slots its adapters live in.
    pub part: usize,
}

/// One sequence's part of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSpan {
    /// Its packed tokens, as a range of [`Step::tokens`].
    pub range: Range<usize>,
    /// Where its keys and values are kept; not looked at in a forward pass without a cache.
    pub cache: CacheId,
}

/// Packed tokens of one forward pass: the sequences lie one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Position of each token in its own sequence.
    pub positions: Vec<u32>,
    /// Whether positions may leave places out, as `position_ids` of `transformers` may. Attention
    /// still is over the tokens that came: windows and ALiBi count tokens, not positions.
    pub sparse: bool,
    /// Spans that tile `tokens` in order.
    pub sequences: Vec<SequenceSpan>,
    /// Which tokens get which adapter, sorted by slot, then by first token. A token may be in
    /// several segments (an ensemble) or in none (the base model).
    pub segments: Vec<Segment>,
    /// Tokens whose logits are wanted, strictly increasing.
    pub wanted: Vec<usize>,
}

impl Step {
    /// A step over whole sequences from position 0, for training and scoring without a cache.
    pub fn whole<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut step = Self::default();
        for (index, tokens) in sequences.into_iter().enumerate() {
            let start = step.tokens.len();
            step.tokens.extend_from_slice(tokens);
            step.positions.extend(0..tokens.len() as u32);
            let range = start..step.tokens.len();
            step.sequences.push(SequenceSpan { range, cache: CacheId(index as u64) });
        }
        step
    }

    /// Checks what the decoder relies on.
    ///
    /// # Errors
    /// [`Error::Request`] if spans do not tile the tokens, are empty, have positions that are not
    /// consecutive (or, where [`Self::sparse`], do not increase), a position is not below
    /// `max_positions` or a token not below `vocab`, or segments or wanted tokens are out of order or
    /// out of range.
    pub fn validate(&self, vocab: usize, max_positions: usize) -> Result<()> {
        let mut next = 0;
        if self.positions.len() != self.tokens.len() {
            return Err(Error::Request(format!(
                "{} tokens have {} positions",
                self.tokens.len(),
                self.positions.len()
            )));
        }
        for span in &self.sequences {
            if span.range.start != next
                || span.range.end <= next
                || span.range.end > self.tokens.len()
            {
                return Err(Error::Request(format!(
                    "span {:?} does not follow {next}",
                    span.range
                )));
            }
            next = span.range.end;
            let positions = &self.positions[span.range.clone()];
            let follows = |pair: &[u32]| {
                let consecutive = pair[0].checked_add(1) == Some(pair[1]);
                consecutive || self.sparse && pair[0] < pair[1]
            };
            if !positions.windows(2).all(follows) {
                return Err(Error::Request("positions are not consecutive".into()));
            }
        }
        if next != self.tokens.len() || next == 0 {
            return Err(Error::Request(format!(
                "spans cover {next} of {} tokens",
                self.tokens.len()
            )));
        }
        if let Some(token) = self.tokens.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::Request(format!("token {token} is not below {vocab}")));
        }
        if let Some(at) = self.positions.iter().find(|&&at| at as usize >= max_positions) {
            return Err(Error::Request(format!("position {at} is not below {max_positions}")));
        }
        self.validate_segments()
    }

    fn validate_segments(&self) -> Result<()> {
        let count = self.tokens.len();
        if !self.segments.is_sorted_by_key(|segment| (segment.slot, segment.range.start)) {
            return Err(Error::Request("segments are not sorted by slot".into()));
        }
        for Segment { range, slot, .. } in &self.segments {
            if *slot == BASE_SLOT || range.is_empty() || range.end > count {
                return Err(Error::Request(format!("segment {range:?} of slot {} is bad", slot.0)));
            }
        }
        let ordered = self.wanted.is_sorted_by(|a, b| a < b);
        if !ordered || self.wanted.last().is_some_and(|&token| token >= count) {
            return Err(Error::Request(format!("wanted tokens {:?} are bad", self.wanted)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_steps_are_refused() {
        let tokens: &[u32] = &[5, 6, 7];
        let good = Step { wanted: vec![0, 2], ..Step::whole([tokens]) };
        let span = |range| vec![SequenceSpan { range, cache: CacheId(0) }];
        let segment =
            |range, slot| Segment { range, slot: SlotId(slot), rank: 1, scale: 1.0, part: 0 };
        let bad = [
            Step::default(),
            Step { positions: vec![0, 1], ..good.clone() },
            Step { positions: vec![0, 2, 3], ..good.clone() },
            Step { positions: vec![0, 2, 2], sparse: true, ..good.clone() },
            Step { positions: vec![8, 9, 10], ..good.clone() },
            Step { tokens: vec![5, 6, 100], ..good.clone() },
            Step { sequences: span(0..2), ..good.clone() },
            Step { sequences: span(1..3), ..good.clone() },
            Step { segments: vec![segment(0..1, 0)], ..good.clone() },
            Step { segments: vec![segment(0..4, 1)], ..good.clone() },
            Step { segments: vec![segment(0..1, 2), segment(1..2, 1)], ..good.clone() },
            Step { wanted: vec![1, 1], ..good.clone() },
            Step { wanted: vec![3], ..good.clone() },
        ];
        assert!(good.validate(100, 10).is_ok());
        let sparse = Step { positions: vec![1, 4, 9], sparse: true, ..good };
        assert!(sparse.validate(100, 10).is_ok());
        for step in bad {
            assert!(matches!(step.validate(100, 10), Err(Error::Request(_))), "{step:?}");
        }
    }
}

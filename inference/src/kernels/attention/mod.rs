//! Causal attention of one key/value head, read in blocks of 16 positions, and its gradient.

mod backward;
mod blocks;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, ops::Range};

use self::blocks::add_weighted_values;
pub(crate) use self::{
    backward::{HeadGradients, head_backward},
    blocks::{BlockValues, HeadBlocks, PackedHead},
};
use super::{
    LANES, Rows,
    dispatch::{Kernel, dispatch},
    elementary::{exp, max_lanes, sum_lanes, tanh},
    tile::tiles,
};

/// Query rows handled at once; the bits do not depend on it.
const BLOCK: usize = 8;

thread_local! {
    /// Softmax weights of one block of query rows: as long as the longest sequence of the thread.
    static WEIGHTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// What attention computes for some query rows over one key/value head.
///
/// Row `i` at position `p` sees the keys `j` with `j <= p` and, with a window, `j > p - window`; the
/// score is `cap(scale q_i k_j) + slope (j - p)` with `cap(s) = softcap tanh(s / softcap)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadShape<'a> {
    /// Position of the first query row; the keys start at position 0.
    pub(crate) first: usize,
    /// Whether all rows stand at the first one's position, instead of one behind the other: query
    /// heads of one token, or, at the last position, tokens that see all others.
    pub(crate) one_token: bool,
    /// Width of queries and keys.
    pub(crate) key_dim: usize,
    /// Width of values.
    pub(crate) value_dim: usize,
    /// Factor of the scores.
    pub(crate) scale: f32,
    /// Bound of the scaled scores.
    pub(crate) softcap: Option<f32>,
    /// How many positions a row sees, its own included.
    pub(crate) window: Option<usize>,
    /// ALiBi slopes, one per query head of the rows; empty without.
    pub(crate) slopes: &'a [f32],
}

impl HeadShape<'_> {
    const fn position(&self, row: usize) -> usize {
        if self.one_token { self.first } else { self.first + row }
    }

    fn slope(&self, row: usize) -> Option<f32> {
        self.slopes.get(if self.one_token { row } else { 0 }).copied()
    }

    fn visible(&self, row: usize) -> Range<usize> {
        let end = self.position(row) + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// The whole blocks that some row of `rows` sees, as positions.
    fn span(&self, rows: Range<usize>) -> Range<usize> {
        self.visible(rows.start).start / LANES * LANES..self.visible(rows.end - 1).end
    }
}

/// `softmax(scores) V` into `out (rows, value_dim)`.
///
/// A row is computed from the keys it sees only, in order of position.
///
/// # Panics
/// If `head` has fewer positions than the rows see.
pub(crate) fn head_forward(
    shape: HeadShape<'_>,
    q: Rows<'_>,
    head: &impl HeadBlocks,
    out: &mut [f32],
) {
    WEIGHTS.with_borrow_mut(|weights| {
        let length = shape.visible(q.rows - 1).end.next_multiple_of(LANES);
        let needed = BLOCK.min(q.rows) * length;
        if weights.len() < needed {
            weights.resize(needed, 0.0);
        }
        dispatch(Forward { shape, q, head, stride: length, weights, out });
    });
}

struct Forward<'a, H> {
    shape: HeadShape<'a>,
    q: Rows<'a>,
    head: &'a H,
    stride: usize,
    weights: &'a mut [f32],
    out: &'a mut [f32],
}

impl<H: HeadBlocks> Kernel for Forward<'_, H> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { shape, q, head, stride, weights, out } = self;
        out.fill(0.0);
        for start in (0..q.rows).step_by(BLOCK) {
            let rows = start..q.rows.min(start + BLOCK);
            causal_weights::<ROWS>(&shape, rows.clone(), q, head, stride, weights);
            let out = &mut out[start * shape.value_dim..][..rows.len() * shape.value_dim];
            let span = shape.span(rows);
            for first in span.clone().step_by(LANES) {
                let count = LANES.min(span.end - first);
                let values = head.values(first / LANES);
                let weights = &weights[first..];
                add_weighted_values::<ROWS>(weights, stride, count, values, shape.value_dim, out);
            }
        }
    }
}

/// Softmax weights of the query rows `rows` into `weights (rows, stride)`: filled over
/// [`HeadShape::span`] rounded up to whole blocks, zero where a row does not see.
#[inline(always)]
fn causal_weights<const ROWS: usize>(
    shape: &HeadShape<'_>,
    rows: Range<usize>,
    q: Rows<'_>,
    head: &impl HeadBlocks,
    stride: usize,
    weights: &mut [f32],
) {
    raw_scores::<ROWS>(shape, rows.clone(), q, head, stride, weights);
    let span = shape.span(rows.clone());
    let end = span.end.next_multiple_of(LANES);
    for (offset, row) in rows.enumerate() {
        let weights = &mut weights[offset * stride..][span.start..end];
        let seen = shape.visible(row);
        let seen = seen.start - span.start..seen.end - span.start;
        weights[..seen.start].fill(0.0);
        weights[seen.end..].fill(0.0);
        finish_scores(shape, row, &mut weights[seen.clone()]);
        softmax(weights, seen);
    }
}

/// `q k` of the query rows `rows` with all keys of [`HeadShape::span`].
#[inline(always)]
fn raw_scores<const ROWS: usize>(
    shape: &HeadShape<'_>,
    rows: Range<usize>,
    q: Rows<'_>,
    head: &impl HeadBlocks,
    stride: usize,
    scores: &mut [f32],
) {
    let queries = &q.values[rows.start * q.stride..];
    for first in shape.span(rows.clone()).step_by(LANES) {
        let keys = head.keys(first / LANES);
        tiles::<ROWS>(queries, q.stride, rows.len(), shape.key_dim, keys, |row, sums| {
            scores[row * stride + first..][..LANES].copy_from_slice(sums);
        });
    }
}

/// Scale, cap and slope of the scores that a row sees.
#[inline(always)]
fn finish_scores(shape: &HeadShape<'_>, row: usize, scores: &mut [f32]) {
    for score in scores.iter_mut() {
        *score *= shape.scale;
    }
    if let Some(cap) = shape.softcap {
        for score in scores.iter_mut() {
            *score = cap * tanh(*score / cap);
        }
    }
    if let Some(slope) = shape.slope(row) {
        let last = scores.len() - 1;
        for (index, score) in scores.iter_mut().enumerate() {
            // Relative to the row, which the softmax does not see, so that far positions are exact.
            *score -= slope * (last - index) as f32;
        }
    }
}

/// `e^(s - max) / sum` over `seen`, in place; the rest is zero. The row starts at a whole block.
#[inline(always)]
fn softmax(row: &mut [f32], seen: Range<usize>) {
    let scores = &mut row[seen.clone()];
    let top = max_lanes(scores);
    for score in scores.iter_mut() {
        *score = exp(*score - top);
    }
    // Over the zeros before as well: so a position is always in the same lane.
    let total = sum_lanes([&row[..seen.end]], |[weight]| weight);
    for score in &mut row[seen] {
        *score /= total;
    }
}

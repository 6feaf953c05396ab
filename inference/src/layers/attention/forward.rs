//! Shares the heads of all sequences of a step out among threads.

use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use crate::{
    kernels::{HeadBlocks, PackedHead, Rows, head_forward},
    kv::KvView,
};

/// Query heads of one token that one task computes: a register tile of rows.
const TASK_HEADS: usize = 8;
/// Products below which a second thread costs more than it gains.
const SERIAL_PRODUCTS: usize = 1 << 18;

/// One sequence's queries and what they look at.
pub(super) struct SpanInput<'a> {
    /// `(rows, heads * head_dim)`
    pub(super) q: &'a [f32],
    /// Position of the first row.
    pub(super) first: usize,
    /// Keys and values up to the last row.
    pub(super) view: KvView<'a>,
}

impl SpanInput<'_> {
    const fn rows(&self, shape: &AttentionShape) -> usize {
        self.q.len() / shape.query_width()
    }
}

/// Some query heads of one key/value head; `out` is `(heads, rows, value_dim)`.
struct Task<'a> {
    span: &'a SpanInput<'a>,
    heads: Range<usize>,
    out: &'a mut [f32],
}

/// All heads of all sequences: `(tokens, heads * value_dim)`.
pub(super) fn attention(shape: &AttentionShape, spans: &[SpanInput<'_>]) -> Vec<f32> {
    let tokens: usize = spans.iter().map(|span| span.rows(shape)).sum();
    let mut parts = vec![0.0; tokens * shape.out_width()];
    let mut tasks = Vec::new();
    let mut rest = parts.as_mut_slice();
    for span in spans {
        for heads in shares(shape, span.rows(shape)) {
            let count = heads.len() * span.rows(shape) * shape.value_dim;
            let (out, after) = rest.split_at_mut(count);
            tasks.push(Task { span, heads, out });
            rest = after;
        }
    }
    let seen = |span: &SpanInput<'_>| span.rows(shape) * span.view.length();
    let products =
        spans.iter().map(seen).sum::<usize>() * shape.heads * (shape.head_dim + shape.value_dim);
    if products < SERIAL_PRODUCTS {
        tasks.into_iter().for_each(|task| run(shape, task));
    } else {
        tasks.into_par_iter().for_each(|task| run(shape, task));
    }
    by_token(shape, spans, parts)
}

/// The query heads of each task: heads of one token together, of many tokens one by one.
fn shares(shape: &AttentionShape, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let group = shape.group();
    let share = if rows == 1 { TASK_HEADS } else { 1 };
    (0..shape.heads).step_by(group).flat_map(move |first| {
        (first..first + group)
            .step_by(share)
            .map(move |head| head..(head + share).min(first + group))
    })
}

fn run(shape: &AttentionShape, task: Task<'_>) {
    let Task { span, heads, out } = task;
    let head = heads.start / shape.group();
    match span.view {
        KvView::Rows { keys, values, .. } => {
            let keys = Rows::whole(keys, shape.key_width());
            let values = Rows::whole(values, shape.value_width());
            let keys = keys.columns(head * shape.head_dim, shape.head_dim);
            let values = values.columns(head * shape.value_dim, shape.value_dim);
            run_over(shape, span, heads, &PackedHead::new(keys, values), out);
        }
        KvView::Paged(view) => {
            let blocks = view.head(head * shape.head_dim, head * shape.value_dim);
            run_over(shape, span, heads, &blocks, out);
        }
    }
}

fn run_over(
    shape: &AttentionShape,
    span: &SpanInput<'_>,
    heads: Range<usize>,
    blocks: &impl HeadBlocks,
    out: &mut [f32],
) {
    let rows = span.rows(shape);
    let one_token = rows == 1;
    let kernel = shape.head(heads.start, heads.len(), span.first, one_token);
    let q = &span.q[heads.start * shape.head_dim..];
    let width = shape.head_dim;
    let q = if one_token {
        Rows { values: q, stride: width, rows: heads.len(), width }
    } else {
        Rows { values: q, stride: shape.query_width(), rows, width }
    };
    head_forward(kernel, q, blocks, out);
}

/// Puts the heads of each token side by side.
fn by_token(shape: &AttentionShape, spans: &[SpanInput<'_>], parts: Vec<f32>) -> Vec<f32> {
    // With one row a sequence's heads already lie side by side.
    if spans.iter().all(|span| span.rows(shape) == 1) {
        return parts;
    }
    let (width, out_width) = (shape.value_dim, shape.out_width());
    let mut out = vec![0.0; parts.len()];
    let mut at = 0;
    for span in spans {
        let rows = span.rows(shape);
        let range = at..at + rows * out_width;
        let (part, target) = (&parts[range.clone()], &mut out[range.clone()]);
        for (head, part) in part.chunks_exact(rows * width).enumerate() {
            for (row, values) in part.chunks_exact(width).enumerate() {
                target[row * out_width + head * width..][..width].copy_from_slice(values);
            }
        }
        at = range.end;
    }
    out
}

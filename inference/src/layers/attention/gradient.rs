//! Attention without a cache as a differentiable operation.

use std::{ops::Range, sync::Arc};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{AttentionShape, SpanInput, attention};
use crate::{
    kernels::{HeadGradients, Rows, head_backward},
    kv::KvView,
    layers::{contiguous, tensor, with_values},
};

pub(super) struct Op {
    shape: AttentionShape,
    spans: Arc<[Range<usize>]>,
}

impl Op {
    pub(super) const fn new(shape: AttentionShape, spans: Arc<[Range<usize>]>) -> Self {
        Self { shape, spans }
    }

    fn tokens(&self) -> usize {
        self.spans.last().map_or(0, |span| span.end)
    }

    fn check(&self, q: &[f32], k: &[f32], v: &[f32]) -> candle_core::Result<()> {
        let tokens = self.tokens();
        if q.len() != tokens * self.shape.query_width()
            || k.len() != tokens * self.shape.key_width()
            || v.len() != tokens * self.shape.value_width()
        {
            let (q, k, v) = (q.len(), k.len(), v.len());
            bail!("attention over {tokens} tokens has {q} queries, {k} keys, {v} values");
        }
        Ok(())
    }

    /// Gradients of one query head of one sequence.
    fn head_gradients(
        &self,
        span: &Range<usize>,
        query: usize,
        [q, k, v, dy]: [&[f32]; 4],
    ) -> HeadGradients {
        let rows = |values, width| {
            let values: &[f32] = values;
            Rows::whole(&values[span.start * width..span.end * width], width)
        };
        let (shape, head) = (&self.shape, query / self.shape.group());
        let (key_dim, value_dim) = (shape.head_dim, shape.value_dim);
        head_backward(
            shape.head(query, 1, 0, false),
            rows(q, shape.query_width()).columns(query * key_dim, key_dim),
            rows(k, shape.key_width()).columns(head * key_dim, key_dim),
            rows(v, shape.value_width()).columns(head * value_dim, value_dim),
            rows(dy, shape.out_width()).columns(query * value_dim, value_dim),
        )
    }

    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
        let shape = &self.shape;
        let heads = 0..shape.kv_heads * shape.group();
        let tasks: Vec<(&Range<usize>, usize)> = self
            .spans
            .iter()
            .flat_map(|span| heads.clone().map(move |query| (span, query)))
            .collect();
        let parts: Vec<_> = tasks
            .into_par_iter()
            .map(|(span, query)| {
                (span.start, query, self.head_gradients(span, query, [q, k, v, dy]))
            })
            .collect();
        let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        let (key_dim, value_dim) = (shape.head_dim, shape.value_dim);
        for (start, query, part) in parts {
            let [all_q, all_k, all_v] = &mut gradients;
            let head = query / shape.group();
            // Alone in its place, and so with the signs of its zeros.
            scatter(all_q, shape.query_width(), start, query * key_dim, &part.q, key_dim, |_, q| q);
            let sum = |sum, value| sum + value;
            scatter(all_k, shape.key_width(), start, head * key_dim, &part.keys, key_dim, sum);
            let at = head * value_dim;
            scatter(all_v, shape.value_width(), start, at, &part.values, value_dim, sum);
        }
        gradients
    }
}

/// Puts `part (rows, width)` into columns `at..at + width` of `out (_, stride)` from row `start` on, as
/// `put` makes it of what is there and the part's value.
fn scatter(
    out: &mut [f32],
    stride: usize,
    start: usize,
    at: usize,
    part: &[f32],
    width: usize,
    put: impl Fn(f32, f32) -> f32,
) {
    for (row, values) in part.chunks_exact(width).enumerate() {
        let out = &mut out[(start + row) * stride + at..][..width];
        out.iter_mut().zip(values).for_each(|(out, value)| *out = put(*out, *value));
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (q, k, v) = (contiguous(q, lq)?, contiguous(k, lk)?, contiguous(v, lv)?);
        self.check(q, k, v)?;
        let shape = &self.shape;
        let part = |values, span: &Range<usize>, width| {
            let values: &[f32] = values;
            &values[span.start * width..span.end * width]
        };
        let spans: Vec<SpanInput<'_>> = self
            .spans
            .iter()
            .map(|span| {
                let keys = part(k, span, shape.key_width());
                let values = part(v, span, shape.value_width());
                let view = KvView::Rows { keys, values, length: span.len() };
                SpanInput { q: part(q, span, shape.query_width()), first: 0, view }
            })
            .collect();
        let out = attention(shape, &spans);
        Ok((CpuStorage::F32(out), Shape::from((self.tokens(), shape.out_width()))))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dq, dk, dv] = with_values(q, |q| {
            with_values(k, |k| with_values(v, |v| with_values(dy, |dy| self.backward(q, k, v, dy))))
        })????;
        Ok((
            Some(tensor(dq, q.shape())?),
            Some(tensor(dk, k.shape())?),
            Some(tensor(dv, v.shape())?),
        ))
    }
}

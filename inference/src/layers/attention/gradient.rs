//! Attention without a cache as a differentiable operation.

use std::{ops::Range, sync::Arc};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{AttentionShape, SpanInput, attention};
use crate::{
    kernels::{Rows, head_backward},
    kv::KvView,
    layers::{contiguous, tensor, with_values},
};

pub(super) struct Op {
    shape: AttentionShape,
    spans: Arc<[Range<usize>]>,
}

/// Gradients of a key/value head: of its query heads, its keys, its values.
type GroupGradients = (Vec<Vec<f32>>, Vec<f32>, Vec<f32>);

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

    /// Gradients of one key/value head of one sequence and of the query heads that use it.
    fn group_backward(
        &self,
        head: usize,
        q: Rows<'_>,
        k: Rows<'_>,
        v: Rows<'_>,
        dy: Rows<'_>,
    ) -> GroupGradients {
        let (key_dim, value_dim) = (self.shape.head_dim, self.shape.value_dim);
        let (k, v) = (k.columns(head * key_dim, key_dim), v.columns(head * value_dim, value_dim));
        let mut dk = vec![0.0; k.rows * key_dim];
        let mut dv = vec![0.0; k.rows * value_dim];
        let mut dq = Vec::with_capacity(self.shape.group());
        for query in head * self.shape.group()..(head + 1) * self.shape.group() {
            let q = q.columns(query * key_dim, key_dim);
            let dy = dy.columns(query * value_dim, value_dim);
            let gradients = head_backward(self.shape.head(query, 1, 0, false), q, k, v, dy);
            dk.iter_mut().zip(&gradients.keys).for_each(|(sum, g)| *sum += g);
            dv.iter_mut().zip(&gradients.values).for_each(|(sum, g)| *sum += g);
            dq.push(gradients.q);
        }
        (dq, dk, dv)
    }

    fn span_backward(
        &self,
        span: &Range<usize>,
        head: usize,
        operands: [&[f32]; 4],
    ) -> GroupGradients {
        let [q, k, v, dy] = operands;
        let rows = |values, width| {
            let values: &[f32] = values;
            Rows::whole(&values[span.start * width..span.end * width], width)
        };
        let shape = &self.shape;
        let (q, dy) = (rows(q, shape.query_width()), rows(dy, shape.out_width()));
        self.group_backward(head, q, rows(k, shape.key_width()), rows(v, shape.value_width()), dy)
    }

    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
        let shape = &self.shape;
        let tasks: Vec<(&Range<usize>, usize)> = self
            .spans
            .iter()
            .flat_map(|span| (0..shape.kv_heads).map(move |head| (span, head)))
            .collect();
        let parts: Vec<_> = tasks
            .into_par_iter()
            .map(|(span, head)| (span.start, head, self.span_backward(span, head, [q, k, v, dy])))
            .collect();
        let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        let (key_dim, value_dim) = (shape.head_dim, shape.value_dim);
        for (start, head, (dq, dk, dv)) in parts {
            let [all_q, all_k, all_v] = &mut gradients;
            for (offset, dq) in dq.iter().enumerate() {
                let at = (head * shape.group() + offset) * key_dim;
                scatter(all_q, shape.query_width(), start, at, dq, key_dim);
            }
            scatter(all_k, shape.key_width(), start, head * key_dim, &dk, key_dim);
            scatter(all_v, shape.value_width(), start, head * value_dim, &dv, value_dim);
        }
        gradients
    }
}

/// Copies `part (rows, width)` into columns `at..at + width` of `out (_, stride)` from row `start`.
fn scatter(out: &mut [f32], stride: usize, start: usize, at: usize, part: &[f32], width: usize) {
    for (row, values) in part.chunks_exact(width).enumerate() {
        out[(start + row) * stride + at..][..width].copy_from_slice(values);
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

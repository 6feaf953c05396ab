//! Causal grouped-query attention over packed sequences.

use std::{ops::Range, sync::Arc};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    Error, Result,
    kernels::{HeadShape, Rows, head_backward, head_forward},
    kv::{KvStore, KvView},
    layers::{contiguous, tensor, with_values},
    step::Step,
};

/// Sizes of an attention layer.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads; query head `h` uses `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl AttentionShape {
    const fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// All heads of one sequence's queries, `(rows, heads * head_dim)`.
    fn sequence(self, q: Rows<'_>, first: usize, kv: KvView<'_>) -> Vec<f32> {
        let width = self.head_dim;
        let keys = Rows::whole(kv.keys, self.kv_heads * width);
        let values = Rows::whole(kv.values, self.kv_heads * width);
        let outs: Vec<Vec<f32>> = (0..self.heads)
            .into_par_iter()
            .map(|head| {
                let at = head / self.group() * width;
                let q = q.columns(head * width, width);
                let (keys, values) = (keys.columns(at, width), values.columns(at, width));
                head_forward(HeadShape { first, width }, q, keys, values)
            })
            .collect();
        let mut out = vec![0.0; q.rows * self.heads * width];
        for (head, part) in outs.iter().enumerate() {
            scatter(&mut out, self.heads * width, head * width, part, width);
        }
        out
    }
}

/// Adds `part (rows, width)` into columns `at..at + width` of `out (rows, stride)`.
fn scatter(out: &mut [f32], stride: usize, at: usize, part: &[f32], width: usize) {
    for (row, values) in part.chunks_exact(width).enumerate() {
        let target = &mut out[row * stride + at..][..width];
        target.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

/// Attention within each sequence of a step that starts at position 0; differentiable.
///
/// - `q`: `(tokens, heads * head_dim)`; `k`, `v`: `(tokens, kv_heads * head_dim)`
///
/// # Errors
/// [`Error::Request`] if a sequence does not start at position 0, [`Error::Tensor`] on wrong shapes.
pub fn attend(
    shape: AttentionShape,
    step: &Step,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    if step.sequences.iter().any(|span| step.positions[span.range.start] != 0) {
        return Err(Error::Request("a sequence without cache starts after position 0".into()));
    }
    let spans = step.sequences.iter().map(|span| span.range.clone()).collect();
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    Ok(q.apply_op3(&k, &v, Op { shape, spans })?)
}

/// Attention of each sequence over its cache, after appending this step's keys and values; not
/// differentiable. A row's bits are those of [`attend`] on the whole sequence.
///
/// # Errors
/// [`Error::Request`] if a cache refuses, or does not hold exactly the earlier positions.
pub fn attend_cached(
    shape: AttentionShape,
    step: &Step,
    layer: usize,
    kv: &mut dyn KvStore,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    let width = shape.kv_heads * shape.head_dim;
    with_values(k, |k| {
        with_values(v, |v| {
            step.sequences.iter().try_for_each(|span| {
                let rows = span.range.start * width..span.range.end * width;
                kv.append(span.cache, layer, &k[rows.clone()], &v[rows])
            })
        })
    })???;
    let query_width = shape.heads * shape.head_dim;
    let out = with_values(q, |q| -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(q.len());
        for span in &step.sequences {
            let view = kv.view(span.cache, layer)?;
            let first = step.positions[span.range.start] as usize;
            let held = view.keys.len() / width;
            if held != first + span.range.len() || view.values.len() != view.keys.len() {
                return Err(Error::Request(format!(
                    "cache {} holds {held} positions at position {first}",
                    span.cache.0
                )));
            }
            let q = &q[span.range.start * query_width..span.range.end * query_width];
            out.extend(shape.sequence(Rows::whole(q, query_width), first, view));
        }
        Ok(out)
    })??;
    Ok(tensor(out, q.shape())?)
}

struct Op {
    shape: AttentionShape,
    spans: Arc<[Range<usize>]>,
}

impl Op {
    fn check(&self, q: &[f32], k: &[f32], v: &[f32]) -> candle_core::Result<()> {
        let tokens = self.spans.last().map_or(0, |span| span.end);
        let width = self.shape.head_dim;
        if q.len() != tokens * self.shape.heads * width
            || k.len() != tokens * self.shape.kv_heads * width
            || v.len() != k.len()
        {
            bail!("attention over {tokens} tokens has {} queries, {} keys", q.len(), k.len());
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
    ) -> (Vec<Vec<f32>>, Vec<f32>, Vec<f32>) {
        let width = self.shape.head_dim;
        let (k, v) = (k.columns(head * width, width), v.columns(head * width, width));
        let mut dk = vec![0.0; k.rows * width];
        let mut dv = vec![0.0; k.rows * width];
        let mut dq = Vec::with_capacity(self.shape.group());
        for query in head * self.shape.group()..(head + 1) * self.shape.group() {
            let (q, dy) = (q.columns(query * width, width), dy.columns(query * width, width));
            let gradients = head_backward(HeadShape { first: 0, width }, q, k, v, dy);
            dk.iter_mut().zip(&gradients.keys).for_each(|(sum, g)| *sum += g);
            dv.iter_mut().zip(&gradients.values).for_each(|(sum, g)| *sum += g);
            dq.push(gradients.q);
        }
        (dq, dk, dv)
    }

    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
        let width = self.shape.head_dim;
        let (q_width, k_width) = (self.shape.heads * width, self.shape.kv_heads * width);
        let tasks: Vec<(Range<usize>, usize)> = self
            .spans
            .iter()
            .flat_map(|span| (0..self.shape.kv_heads).map(move |head| (span.clone(), head)))
            .collect();
        let parts: Vec<_> = tasks
            .into_par_iter()
            .map(|(span, head)| {
                let rows = |values, width| {
                    let values: &[f32] = values;
                    Rows::whole(&values[span.start * width..span.end * width], width)
                };
                let (q, dy) = (rows(q, q_width), rows(dy, q_width));
                let part = self.group_backward(head, q, rows(k, k_width), rows(v, k_width), dy);
                (span, head, part)
            })
            .collect();
        let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        for (span, head, (dq, dk, dv)) in parts {
            let [all_q, all_k, all_v] = &mut gradients;
            for (offset, dq) in dq.iter().enumerate() {
                let at = (head * self.shape.group() + offset) * width;
                scatter(&mut all_q[span.start * q_width..], q_width, at, dq, width);
            }
            scatter(&mut all_k[span.start * k_width..], k_width, head * width, &dk, width);
            scatter(&mut all_v[span.start * k_width..], k_width, head * width, &dv, width);
        }
        gradients
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
        let (q_width, k_width) =
            (self.shape.heads * self.shape.head_dim, self.shape.kv_heads * self.shape.head_dim);
        let outs: Vec<Vec<f32>> = self
            .spans
            .par_iter()
            .map(|span| {
                let rows = span.start * k_width..span.end * k_width;
                let view = KvView { keys: &k[rows.clone()], values: &v[rows] };
                let q = &q[span.start * q_width..span.end * q_width];
                self.shape.sequence(Rows::whole(q, q_width), 0, view)
            })
            .collect();
        Ok((CpuStorage::F32(outs.concat()), lq.shape().clone()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kv::{CacheId, KvCache},
        layers::finite_difference::{check, random},
        step::SequenceSpan,
    };

    const SHAPE: AttentionShape = AttentionShape { heads: 4, kv_heads: 2, head_dim: 6 };

    fn step(lengths: &[usize]) -> Step {
        let zeros = vec![0u32; 64];
        Step::whole(lengths.iter().map(|&length| &zeros[..length]))
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let (q, k, v) = (random(1, (13, 24)), random(2, (13, 12)), random(3, (13, 12)));
        let step = step(&[10, 1, 2]);
        check(&[&q, &k, &v], |x| attend(SHAPE, &step, &x[0], &x[1], &x[2]));
    }

    #[test]
    fn a_row_has_the_same_bits_alone_in_chunks_and_in_a_batch() {
        let (q, k, v) = (random(1, (40, 24)), random(2, (40, 12)), random(3, (40, 12)));
        let batch = attend(SHAPE, &step(&[17, 23]), &q, &k, &v).unwrap();
        let rows = |x: &Tensor, from, count| x.narrow(0, from, count).unwrap();
        let alone =
            attend(SHAPE, &step(&[23]), &rows(&q, 17, 23), &rows(&k, 17, 23), &rows(&v, 17, 23));
        let expected = rows(&batch, 17, 23).to_vec2::<f32>().unwrap();
        assert_eq!(alone.unwrap().to_vec2::<f32>().unwrap(), expected);

        let mut cache = KvCache::default();
        let mut chunked = Vec::new();
        for chunk in [0..9usize, 9..10, 10..11, 11..23] {
            let step = Step {
                tokens: vec![0; chunk.len()],
                positions: chunk.clone().map(|at| at as u32).collect(),
                sequences: vec![SequenceSpan { range: 0..chunk.len(), cache: CacheId(5) }],
                ..Step::default()
            };
            let part = |x| rows(x, 17 + chunk.start, chunk.len());
            let out = attend_cached(SHAPE, &step, 0, &mut cache, &part(&q), &part(&k), &part(&v))
                .unwrap();
            chunked.extend(out.to_vec2::<f32>().unwrap());
        }
        assert_eq!(chunked, expected);
    }

    #[test]
    fn cache_that_misses_positions_is_an_error() {
        let (q, k, v) = (random(1, (1, 24)), random(2, (1, 12)), random(3, (1, 12)));
        let step = Step {
            tokens: vec![0],
            positions: vec![3],
            sequences: vec![SequenceSpan { range: 0..1, cache: CacheId(0) }],
            ..Step::default()
        };
        let result = attend_cached(SHAPE, &step, 0, &mut KvCache::default(), &q, &k, &v);
        assert!(matches!(result, Err(Error::Request(_))));
        assert!(attend(SHAPE, &step, &q, &k, &v).is_err());
    }
}

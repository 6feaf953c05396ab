//! Gradient of one head's attention over a whole sequence.

use super::{BLOCK, HeadBlocks, HeadShape, PackedHead, causal_weights, raw_scores};
use crate::kernels::{
    LANES, Packed, Rows,
    dispatch::{Kernel, dispatch},
    elementary::{sum_lanes, tanh},
    matmul::{columns_product, serial_product},
    tile::tiles,
};

/// Gradients of one head, row-major.
pub(crate) struct HeadGradients {
    /// `(rows, key_dim)`
    pub(crate) q: Vec<f32>,
    /// `(length, key_dim)`
    pub(crate) keys: Vec<f32>,
    /// `(length, value_dim)`
    pub(crate) values: Vec<f32>,
}

/// Gradient of [`super::head_forward`] for a whole sequence (`first = 0`, as many queries as keys),
/// given the gradient `d_out (rows, value_dim)` of its result.
///
/// With `P` the softmax weights and `c' = 1 - tanh(scale q k / softcap)^2` (1 without a cap):
/// `dV = P^T dO`, `dP = dO V^T`, `dS = P (dP - rowsum(dP P)) c' scale`, `dQ = dS K`, `dK = dS^T Q`.
pub(crate) fn head_backward(
    shape: HeadShape<'_>,
    q: Rows<'_>,
    keys: Rows<'_>,
    values: Rows<'_>,
    d_out: Rows<'_>,
) -> HeadGradients {
    let length = q.rows;
    let stride = length.next_multiple_of(LANES);
    let mut weights = vec![0.0; length * stride];
    let mut d_scores = vec![0.0; length * stride];
    dispatch(ScoreGradients {
        shape,
        q,
        head: &PackedHead::new(keys, values),
        values: &Packed::from_transposed(values),
        d_out,
        stride,
        weights: &mut weights,
        d_scores: &mut d_scores,
    });
    // On this thread: the caller runs one task per head.
    let square = |values| Rows { values, stride, rows: length, width: length };
    HeadGradients {
        q: serial_product(square(&d_scores), keys),
        keys: columns_product(square(&d_scores), q),
        values: columns_product(square(&weights), d_out),
    }
}

/// Computes `P` and `dS` of all rows, `(rows, stride)` each, which start as zeros.
pub(super) struct ScoreGradients<'a> {
    pub(super) shape: HeadShape<'a>,
    pub(super) q: Rows<'a>,
    pub(super) head: &'a PackedHead,
    /// Values transposed: columns are positions.
    pub(super) values: &'a Packed,
    pub(super) d_out: Rows<'a>,
    pub(super) stride: usize,
    pub(super) weights: &'a mut [f32],
    pub(super) d_scores: &'a mut [f32],
}

impl Kernel for ScoreGradients<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { shape, q, head, values, d_out, stride, weights, d_scores } = self;
        let mut slopes = vec![1.0f32; BLOCK * stride];
        for start in (0..q.rows).step_by(BLOCK) {
            let rows = start..q.rows.min(start + BLOCK);
            let span = shape.span(rows.clone());
            let weights = &mut weights[start * stride..];
            causal_weights::<ROWS>(&shape, rows.clone(), q, head, stride, weights);
            cap_slopes::<ROWS>(&shape, rows.clone(), q, head, stride, &mut slopes);
            let d_scores = &mut d_scores[start * stride..];
            let d_block = &d_out.values[start * d_out.stride..];
            for first in span.clone().step_by(LANES) {
                let values = values.panel(first / LANES);
                let (count, depth) = (rows.len(), shape.value_dim);
                tiles::<ROWS>(d_block, d_out.stride, count, depth, values, |row, sums| {
                    d_scores[row * stride + first..][..LANES].copy_from_slice(sums);
                });
            }
            for row in 0..rows.len() {
                // To the end of the last block, where P is zero and dP is not.
                let end = span.end.next_multiple_of(LANES);
                let all = row * stride + span.start..row * stride + end;
                let (p, d) = (&weights[all.clone()], &mut d_scores[all.clone()]);
                let mean = sum_lanes([&*d, p], |[d, p]| d * p);
                for ((d, p), slope) in d.iter_mut().zip(p).zip(&slopes[all]) {
                    *d = p * (*d - mean) * slope * shape.scale;
                }
            }
        }
    }
}

/// Derivative of the cap at each score of a block of rows; ones stay without a cap.
#[inline(always)]
fn cap_slopes<const ROWS: usize>(
    shape: &HeadShape<'_>,
    rows: std::ops::Range<usize>,
    q: Rows<'_>,
    head: &impl HeadBlocks,
    stride: usize,
    slopes: &mut [f32],
) {
    let Some(cap) = shape.softcap else { return };
    raw_scores::<ROWS>(shape, rows.clone(), q, head, stride, slopes);
    for slope in &mut slopes[..rows.len() * stride] {
        let t = tanh(*slope * shape.scale / cap);
        *slope = 1.0 - t * t;
    }
}

//! Causal attention of one head of one sequence, and its gradient.

use super::{
    LANES, Packed, Rows,
    dispatch::{Kernel, dispatch},
    elementary::{exp, sum_lanes},
    matmul::transpose,
    tile::tiles,
};

/// Query rows handled at once; the bits do not depend on it.
const BLOCK: usize = 8;

/// Sizes of one head's attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadShape {
    /// Position of the first query row; the keys start at position 0.
    pub(crate) first: usize,
    /// Width of the head.
    pub(crate) width: usize,
}

impl HeadShape {
    /// `1 / sqrt(width)`, as HF scales scores.
    fn scale(self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

/// `softmax(q K^T / sqrt(width)) V` with causal mask.
///
/// - `q`: `(rows, width)`, positions `first..first + rows`
/// - `keys`, `values`: `(length, width)` from position 0, `length >= first + rows`
///
/// Row `i` is computed from keys `0..=first + i` only, in order of position.
pub(crate) fn head_forward(
    shape: HeadShape,
    q: Rows<'_>,
    keys: Rows<'_>,
    values: Rows<'_>,
) -> Vec<f32> {
    let mut out = vec![0.0; q.rows * shape.width];
    let keys = Packed::from_transposed(keys);
    let values = Packed::from_rows(values);
    dispatch(Forward { shape, q, keys: &keys, values: &values, out: &mut out });
    out
}

struct Forward<'a> {
    shape: HeadShape,
    q: Rows<'a>,
    keys: &'a Packed,
    values: &'a Packed,
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { shape, q, keys, values, out } = self;
        let stride = keys.columns().div_ceil(LANES) * LANES;
        let mut weights = vec![0.0f32; BLOCK * stride];
        for start in (0..q.rows).step_by(BLOCK) {
            let rows = BLOCK.min(q.rows - start);
            let limit = shape.first + start + rows;
            let block = Rows { values: &q.values[start * q.stride..], rows, ..q };
            causal_weights::<ROWS>(shape, start, block, keys, &mut weights);
            for panel in 0..shape.width.div_ceil(LANES) {
                let first = panel * LANES;
                let count = LANES.min(shape.width - first);
                tiles::<ROWS>(&weights, stride, rows, limit, values.panel(panel), |row, sums| {
                    let at = (start + row) * shape.width + first;
                    out[at..][..count].copy_from_slice(&sums[..count]);
                });
            }
        }
    }
}

/// Softmax weights of a block of query rows into `weights (rows, stride)`; zero after the diagonal.
#[inline(always)]
fn causal_weights<const ROWS: usize>(
    shape: HeadShape,
    start: usize,
    q: Rows<'_>,
    keys: &Packed,
    weights: &mut [f32],
) {
    let stride = keys.columns().div_ceil(LANES) * LANES;
    let scale = shape.scale();
    let limit = shape.first + start + q.rows;
    for panel in 0..limit.div_ceil(LANES) {
        tiles::<ROWS>(q.values, q.stride, q.rows, shape.width, keys.panel(panel), |row, sums| {
            for (j, sum) in sums.iter().enumerate() {
                weights[row * stride + panel * LANES + j] = sum * scale;
            }
        });
    }
    for row in 0..q.rows {
        let seen = shape.first + start + row + 1;
        let (scores, rest) = weights[row * stride..][..stride].split_at_mut(seen);
        rest.fill(0.0);
        softmax(scores);
    }
}

/// `e^(s - max) / sum`, in place.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score = exp(*score - top);
    }
    let total = sum_lanes(scores.len(), |index| scores[index]);
    for score in scores.iter_mut() {
        *score /= total;
    }
}

/// Gradients of one head, row-major.
pub(crate) struct HeadGradients {
    /// `(rows, width)`
    pub(crate) q: Vec<f32>,
    /// `(length, width)`
    pub(crate) keys: Vec<f32>,
    /// `(length, width)`
    pub(crate) values: Vec<f32>,
}

/// Gradient of [`head_forward`] for a whole sequence (`first = 0`, as many queries as keys), given
/// the gradient `d_out (rows, width)` of its result.
///
/// With `P` the softmax weights: `dV = P^T dO`, `dP = dO V^T`,
/// `dS = P (dP - rowsum(dP P)) / sqrt(width)`, `dQ = dS K`, `dK = dS^T Q`.
pub(crate) fn head_backward(
    shape: HeadShape,
    q: Rows<'_>,
    keys: Rows<'_>,
    values: Rows<'_>,
    d_out: Rows<'_>,
) -> HeadGradients {
    let length = q.rows;
    let stride = length.div_ceil(LANES) * LANES;
    let mut weights = vec![0.0; length * stride];
    let mut d_scores = vec![0.0; length * stride];
    dispatch(ScoreGradients {
        shape,
        q,
        keys: &Packed::from_transposed(keys),
        values: &Packed::from_transposed(values),
        d_out,
        weights: &mut weights,
        d_scores: &mut d_scores,
    });
    let square = |values| Rows { values, stride, rows: length, width: length };
    HeadGradients {
        q: serial_product(square(&d_scores), keys),
        keys: serial_product(Rows::whole(&transpose(square(&d_scores)), length), q),
        values: serial_product(Rows::whole(&transpose(square(&weights)), length), d_out),
    }
}

/// `a b` on this thread: the caller runs one task per head.
fn serial_product(a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    let packed = Packed::from_rows(b);
    let mut out = vec![0.0; a.rows * b.width];
    dispatch(Product { a, b: &packed, out: &mut out });
    out
}

struct Product<'a> {
    a: Rows<'a>,
    b: &'a Packed,
    out: &'a mut [f32],
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { a, b, out } = self;
        let width = b.columns();
        for panel in 0..width.div_ceil(LANES) {
            let first = panel * LANES;
            let count = LANES.min(width - first);
            tiles::<ROWS>(a.values, a.stride, a.rows, b.depth(), b.panel(panel), |row, sums| {
                out[row * width + first..][..count].copy_from_slice(&sums[..count]);
            });
        }
    }
}

/// Computes `P` and `dS` of all rows, `(rows, stride)` each.
struct ScoreGradients<'a> {
    shape: HeadShape,
    q: Rows<'a>,
    keys: &'a Packed,
    values: &'a Packed,
    d_out: Rows<'a>,
    weights: &'a mut [f32],
    d_scores: &'a mut [f32],
}

impl Kernel for ScoreGradients<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { shape, q, keys, values, d_out, weights, d_scores } = self;
        let stride = keys.columns().div_ceil(LANES) * LANES;
        let scale = shape.scale();
        for start in (0..q.rows).step_by(BLOCK) {
            let rows = BLOCK.min(q.rows - start);
            let limit = start + rows;
            let block = Rows { values: &q.values[start * q.stride..], rows, ..q };
            let weights = &mut weights[start * stride..];
            causal_weights::<ROWS>(shape, start, block, keys, weights);
            let d_stride = d_out.stride;
            let d_out = &d_out.values[start * d_stride..];
            let d_scores = &mut d_scores[start * stride..];
            for panel in 0..limit.div_ceil(LANES) {
                let values = values.panel(panel);
                tiles::<ROWS>(d_out, d_stride, rows, shape.width, values, |row, sums| {
                    d_scores[row * stride + panel * LANES..][..LANES].copy_from_slice(sums);
                });
            }
            for row in 0..rows {
                let p = &weights[row * stride..][..stride];
                let d = &mut d_scores[row * stride..][..stride];
                let mean = sum_lanes(start + row + 1, |j| d[j] * p[j]);
                for (d, p) in d.iter_mut().zip(p) {
                    *d = p * (*d - mean) * scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::kernels::{at_every_level, dispatch_at};

    #[test]
    fn every_level_gives_the_same_bits() {
        let (rows, first, width) = (21, 13, 20);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut random = |count: usize| -> Vec<f32> {
            (0..count * width).map(|_| rng.random_range(-2.0f32..2.0)).collect()
        };
        let (q, k, v, d_out) =
            (random(rows), random(rows + first), random(rows + first), random(rows));
        let rows_of = |values| Rows::whole(values, width);
        let keys = Packed::from_transposed(rows_of(&k));
        let values = Packed::from_rows(rows_of(&v));
        at_every_level(rows * width, |level, out| {
            let shape = HeadShape { first, width };
            let q = rows_of(&q);
            dispatch_at(level, Forward { shape, q, keys: &keys, values: &values, out });
        });
        let head =
            |values: &[f32]| Packed::from_transposed(Rows::whole(&values[..rows * width], width));
        let (keys, values) = (head(&k), head(&v));
        let stride = rows.div_ceil(LANES) * LANES;
        at_every_level(2 * rows * stride, |level, out| {
            let (weights, d_scores) = out.split_at_mut(rows * stride);
            let (shape, keys, values) = (HeadShape { first: 0, width }, &keys, &values);
            let (q, d_out) = (rows_of(&q), rows_of(&d_out));
            dispatch_at(level, ScoreGradients { shape, q, keys, values, d_out, weights, d_scores });
        });
    }
}

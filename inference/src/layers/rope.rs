//! Rotary position embedding (Su et al. 2021).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    config::RopeSpec,
    layers::{contiguous, tensor, with_values},
};

/// Rotation of heads of one width.
#[derive(Clone, Debug)]
pub struct Rope {
    spec: RopeSpec,
    head_dim: usize,
}

/// Cosines and sines of a step's tokens.
#[derive(Clone, Debug)]
pub struct Rotation {
    tables: Arc<Tables>,
}

#[derive(Debug)]
struct Tables {
    /// `(tokens, pairs)`
    cos: Vec<f32>,
    sin: Vec<f32>,
    tokens: usize,
    pairs: usize,
    first: usize,
    interleaved: bool,
    head_dim: usize,
}

impl Rope {
    /// Rotates heads of `head_dim`; `spec` fits in them.
    pub const fn new(spec: RopeSpec, head_dim: usize) -> Self {
        Self { spec, head_dim }
    }

    /// The rotation of tokens at these positions. The angle of pair `i` at position `p` is
    /// `p f_i`, rounded to f32 where HF rounds it.
    pub fn at(&self, positions: &[u32]) -> Rotation {
        let RopeSpec { first, interleaved, frequencies, factor } = &self.spec;
        let angles = positions.iter().flat_map(|&p| frequencies.iter().map(move |f| p as f32 * f));
        let (sin, cos) = angles
            .map(|angle| libm::sincos(f64::from(angle)))
            .map(|(sin, cos)| (sin as f32 * factor, cos as f32 * factor))
            .unzip();
        let tables = Tables {
            cos,
            sin,
            tokens: positions.len(),
            pairs: frequencies.len(),
            first: *first,
            interleaved: *interleaved,
            head_dim: self.head_dim,
        };
        Rotation { tables: Arc::new(tables) }
    }
}

impl Rotation {
    /// Rotates every head of `x (tokens, heads * head_dim)`; differentiable.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if `x` has other rows or is not whole heads wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, self.tables.first, self.tables.head_dim)
    }

    /// Rotates `x (tokens, heads * 2 pairs)` that holds the rotated parts of heads alone.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_part(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, 0, 2 * self.tables.pairs)
    }

    fn apply(&self, x: &Tensor, first: usize, head_dim: usize) -> Result<Tensor> {
        let op = Op { tables: Arc::clone(&self.tables), first, head_dim, direction: 1.0 };
        Ok(x.contiguous()?.apply_op1(op)?)
    }
}

struct Op {
    tables: Arc<Tables>,
    first: usize,
    head_dim: usize,
    /// 1 rotates forward, -1 back: the rotation's transpose is its inverse.
    direction: f32,
}

impl Op {
    fn rotate(&self, x: &[f32], width: usize) -> Vec<f32> {
        let pairs = self.tables.pairs;
        let mut out = x.to_vec();
        for (token, row) in out.chunks_exact_mut(width).enumerate() {
            let at = token * pairs;
            let (cos, sin) = (&self.tables.cos[at..][..pairs], &self.tables.sin[at..][..pairs]);
            for head in row.chunks_exact_mut(self.head_dim) {
                let part = &mut head[self.first..][..2 * pairs];
                if self.tables.interleaved {
                    for (pair, (cos, sin)) in part.chunks_exact_mut(2).zip(cos.iter().zip(sin)) {
                        let sin = self.direction * sin;
                        let (a, b) = (pair[0], pair[1]);
                        pair[0] = a * cos - b * sin;
                        pair[1] = b * cos + a * sin;
                    }
                } else {
                    let (low, high) = part.split_at_mut(pairs);
                    for i in 0..pairs {
                        let sin = self.direction * sin[i];
                        let (a, b) = (low[i], high[i]);
                        low[i] = a * cos[i] - b * sin;
                        high[i] = b * cos[i] + a * sin;
                    }
                }
            }
        }
        out
    }
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = l.shape().dims2()?;
        if rows != self.tables.tokens || width == 0 || !width.is_multiple_of(self.head_dim) {
            let (tokens, head_dim) = (self.tables.tokens, self.head_dim);
            bail!("rope of {tokens} tokens and heads of {head_dim} on ({rows}, {width})");
        }
        Ok((CpuStorage::F32(self.rotate(contiguous(x, l)?, width)), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let back = Self { tables: Arc::clone(&self.tables), direction: -self.direction, ..*self };
        let dx = with_values(dy, |dy| back.rotate(dy, width))?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_difference::{check, random};

    fn rope(head_dim: usize, first: usize, pairs: usize, interleaved: bool) -> Rope {
        let frequencies = (0..pairs).map(|i| 0.3f32.powi(i as i32)).collect();
        Rope::new(RopeSpec { first, interleaved, frequencies, factor: 1.25 }, head_dim)
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for (first, pairs) in [(0, 3), (0, 2), (2, 2)] {
            for interleaved in [false, true] {
                let rotation = rope(6, first, pairs, interleaved).at(&[0, 7, 39]);
                check(&[&random(1, (3, 12))], |v| rotation.forward(&v[0]));
            }
        }
        let rotation = rope(6, 2, 2, true).at(&[0, 7, 39]);
        check(&[&random(1, (3, 4))], |v| rotation.forward_part(&v[0]));
    }

    #[test]
    fn score_depends_on_the_distance_only() {
        for interleaved in [false, true] {
            let rope = rope(8, 0, 4, interleaved);
            let (q, k) = (random(2, (1, 8)), random(3, (1, 8)));
            let score = |a: u32, b: u32| {
                let turn = |x: &Tensor, at| rope.at(&[at]).forward(x).unwrap();
                (turn(&q, a) * turn(&k, b)).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
            };
            assert!((score(9, 4) - score(45, 40)).abs() < 1e-5);
            assert!((score(9, 4) - score(9, 5)).abs() > 1e-4);
        }
    }

    #[test]
    fn values_outside_the_rotated_part_stay() {
        let x = random(4, (2, 12));
        let turned = rope(6, 1, 2, true).at(&[5, 6]).forward(&x).unwrap();
        let (x, turned) = (x.to_vec2::<f32>().unwrap(), turned.to_vec2::<f32>().unwrap());
        for head in [0, 6] {
            assert_eq!((x[1][head], x[1][head + 5]), (turned[1][head], turned[1][head + 5]));
            assert_ne!(x[1][head + 1], turned[1][head + 1]);
        }
        // One part alone is turned as it is within its head.
        let part = random(4, (2, 12)).narrow(1, 7, 4).unwrap();
        let part = rope(6, 1, 2, true).at(&[5, 6]).forward_part(&part).unwrap();
        assert_eq!(part.to_vec2::<f32>().unwrap()[1], turned[1][7..11]);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let rotation = rope(6, 0, 3, false).at(&[0, 1]);
        assert!(rotation.forward(&random(1, (3, 12))).is_err());
        assert!(rotation.forward(&random(1, (2, 13))).is_err());
    }
}

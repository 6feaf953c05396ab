//! Rotary position embedding (Su et al. 2021), in the half-split form of Hugging Face.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use crate::{
    Error, Result,
    layers::{contiguous, tensor, with_values},
};

/// Cosines and sines of all positions.
#[derive(Clone, Debug)]
pub struct Rope {
    tables: Arc<Tables>,
}

#[derive(Debug)]
struct Tables {
    /// `(positions, head_dim / 2)`
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    /// Tables for heads of `head_dim` (even) at positions below `positions`. The angle of pair `i`
    /// at position `p` is `p theta^(-2i / head_dim)`, rounded to f32 where HF rounds it.
    pub fn new(head_dim: usize, positions: usize, theta: f64) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|i| 1.0 / libm::pow(theta, 2.0 * i as f64 / head_dim as f64) as f32)
            .collect();
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        let (sin, cos) = angles
            .map(|angle| libm::sincos(f64::from(angle)))
            .map(|(sin, cos)| (sin as f32, cos as f32))
            .unzip();
        Self { tables: Arc::new(Tables { cos, sin, half }) }
    }

    /// Rotates every head of `x (tokens, heads * head_dim)` by its token's position.
    ///
    /// # Errors
    /// [`Error::Request`] if a position is outside the tables or their count is not the tokens'.
    pub fn forward(&self, x: &Tensor, positions: &Arc<[u32]>) -> Result<Tensor> {
        let known = self.tables.cos.len() / self.tables.half;
        if let Some(at) = positions.iter().find(|&&at| at as usize >= known) {
            return Err(Error::Request(format!("position {at} is not below {known}")));
        }
        let op = Op {
            tables: Arc::clone(&self.tables),
            positions: Arc::clone(positions),
            direction: 1.0,
        };
        Ok(x.contiguous()?.apply_op1(op)?)
    }
}

struct Op {
    tables: Arc<Tables>,
    positions: Arc<[u32]>,
    /// 1 rotates forward, -1 back: the rotation's transpose is its inverse.
    direction: f32,
}

impl Op {
    fn rotate(&self, x: &[f32], width: usize) -> Vec<f32> {
        let half = self.tables.half;
        let mut out = vec![0.0; x.len()];
        let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for ((x, out), &position) in rows.zip(self.positions.iter()) {
            let at = position as usize * half;
            let (cos, sin) = (&self.tables.cos[at..][..half], &self.tables.sin[at..][..half]);
            for (x, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
                for i in 0..half {
                    let sin = self.direction * sin[i];
                    out[i] = x[i] * cos[i] - x[i + half] * sin;
                    out[i + half] = x[i + half] * cos[i] + x[i] * sin;
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
        if rows != self.positions.len() || width == 0 || !width.is_multiple_of(2 * self.tables.half)
        {
            bail!("rope of {} positions on ({rows}, {width})", self.positions.len());
        }
        Ok((CpuStorage::F32(self.rotate(contiguous(x, l)?, width)), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let back = Self {
            tables: Arc::clone(&self.tables),
            positions: Arc::clone(&self.positions),
            direction: -self.direction,
        };
        let dx = with_values(dy, |dy| back.rotate(dy, width))?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_difference::{check, random};

    #[test]
    fn gradients_equal_finite_differences() {
        let rope = Rope::new(6, 40, 10_000.0);
        let positions: Arc<[u32]> = Arc::from([0, 7, 39]);
        check(&[&random(1, (3, 12))], |v| rope.forward(&v[0], &positions));
    }

    #[test]
    fn score_depends_on_the_distance_only() {
        let rope = Rope::new(8, 64, 10_000.0);
        let (q, k) = (random(2, (1, 8)), random(3, (1, 8)));
        let score = |a: u32, b: u32| {
            let turn = |x: &Tensor, at| rope.forward(x, &Arc::from([at])).unwrap();
            (turn(&q, a) * turn(&k, b)).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!((score(9, 4) - score(45, 40)).abs() < 1e-5);
        assert!((score(9, 4) - score(9, 5)).abs() > 1e-4);
    }
}

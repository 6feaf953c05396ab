//! Layer normalisation.

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};

use crate::{
    kernels::{Kernel, dispatch, sum_lanes},
    layers::{contiguous, tensor, with_values},
};

pub(super) struct Op {
    pub(super) eps: f32,
}

/// Mean of a row and `1 / sqrt(var + eps)`.
#[inline(always)]
pub(crate) fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum_lanes([row], |[x]| x) / count;
    let squares = sum_lanes([row], |[x]| (x - mean) * (x - mean));
    (mean, 1.0 / (squares / count + eps).sqrt())
}

struct Forward<'a> {
    x: &'a [f32],
    w: &'a [f32],
    b: &'a [f32],
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let width = self.w.len();
        for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x, self.eps);
            for i in 0..width {
                y[i] = self.w[i] * ((x[i] - mean) * scale) + self.b[i];
            }
        }
    }
}

/// With `s = 1 / sqrt(var + eps)`, `n = (x - mean) s` and `g = dy w`:
/// `dx = s (g - mean(g) - n mean(g n))`, `dw = sum over rows dy n`, `db = sum over rows dy`.
struct Backward<'a> {
    x: &'a [f32],
    w: &'a [f32],
    dy: &'a [f32],
    eps: f32,
    dx: &'a mut [f32],
    dw: &'a mut [f32],
    db: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let (width, w) = (self.w.len(), self.w);
        let count = width as f32;
        let rows = self.x.chunks_exact(width).zip(self.dy.chunks_exact(width));
        for ((x, dy), dx) in rows.zip(self.dx.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x, self.eps);
            let level = sum_lanes([dy, w], |[dy, w]| dy * w) / count;
            let along = sum_lanes([dy, w, x], |[dy, w, x]| dy * w * ((x - mean) * scale)) / count;
            for i in 0..width {
                let n = (x[i] - mean) * scale;
                dx[i] = scale * (dy[i] * w[i] - level - n * along);
                self.dw[i] += dy[i] * n;
                self.db[i] += dy[i];
            }
        }
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, width) = lx.shape().dims2()?;
        let (x, w, b) = (contiguous(x, lx)?, contiguous(w, lw)?, contiguous(b, lb)?);
        if width == 0 || w.len() != width || b.len() != width {
            bail!("norm of width {} and {} on rows of {width}", w.len(), b.len());
        }
        let mut y = vec![0.0; x.len()];
        dispatch(Forward { x, w, b, eps: self.eps, y: &mut y });
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [mut dx, mut dw, mut db] = [x, w, b].map(|t| vec![0.0; t.elem_count()]);
        let eps = self.eps;
        with_values(x, |x| {
            with_values(w, |w| {
                with_values(dy, |dy| {
                    let (dx, dw, db) = (&mut dx[..], &mut dw[..], &mut db[..]);
                    dispatch(Backward { x, w, dy, eps, dx, dw, db });
                })
            })
        })???;
        Ok((
            Some(tensor(dx, x.shape())?),
            Some(tensor(dw, w.shape())?),
            Some(tensor(db, b.shape())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{at_every_level, dispatch_at},
        layers::{
            finite_difference::{check, random},
            norm::{Norm, NormKind},
        },
    };

    #[test]
    fn gradients_equal_finite_differences() {
        let inputs = [random(1, (4, 21)), random(2, (1, 21)), random(3, (1, 21))];
        check(&[&inputs[0], &inputs[1], &inputs[2]], |v| {
            let (w, b) = (v[1].flatten_all()?, v[2].flatten_all()?);
            Norm::new(NormKind::Layer, w, Some(b), 1e-5)?.forward(&v[0])
        });
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let values = |seed, shape| with_values(&random(seed, shape), <[f32]>::to_vec).unwrap();
        let (x, w, b, dy) =
            (values(1, (5, 37)), values(2, (1, 37)), values(3, (1, 37)), values(4, (5, 37)));
        let (x, w, b, dy, eps) = (&x[..], &w[..], &b[..], &dy[..], 1e-5);
        at_every_level(5 * 37, |level, y| dispatch_at(level, Forward { x, w, b, eps, y }));
        at_every_level(7 * 37, |level, out| {
            let (dx, rest) = out.split_at_mut(5 * 37);
            let (dw, db) = rest.split_at_mut(37);
            dispatch_at(level, Backward { x, w, dy, eps, dx, dw, db });
        });
    }

    #[test]
    fn rows_have_the_weights_mean_and_spread() {
        let (w, b) = (tensor(vec![2.0; 32], 32).unwrap(), tensor(vec![3.0; 32], 32).unwrap());
        let norm = Norm::new(NormKind::Layer, w, Some(b), 1e-6).unwrap();
        for row in norm.forward(&random(3, (3, 32))).unwrap().to_vec2::<f32>().unwrap() {
            let mean = row.iter().sum::<f32>() / 32.0;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 32.0;
            assert!((mean - 3.0).abs() < 1e-4 && (variance - 4.0).abs() < 1e-3);
        }
    }
}

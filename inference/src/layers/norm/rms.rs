//! Root-mean-square normalisation.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    kernels::{Kernel, dispatch, sum_lanes},
    layers::{contiguous, tensor, with_values},
};

pub(super) struct Op {
    pub(super) eps: f32,
}

#[inline(always)]
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    let squares = sum_lanes([row], |[x]| x * x);
    1.0 / (squares / row.len() as f32 + eps).sqrt()
}

struct Forward<'a> {
    x: &'a [f32],
    w: &'a [f32],
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let width = self.w.len();
        for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, self.eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(self.w) {
                *y = w * (x * scale);
            }
        }
    }
}

/// With `s = 1 / rms` and `g = dy w`: `dx = s (g - x s^2 mean(g x))`, `dw = sum over rows dy x s`.
struct Backward<'a> {
    x: &'a [f32],
    w: &'a [f32],
    dy: &'a [f32],
    eps: f32,
    dx: &'a mut [f32],
    dw: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let width = self.w.len();
        let rows = self.x.chunks_exact(width).zip(self.dy.chunks_exact(width));
        for ((x, dy), dx) in rows.zip(self.dx.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, self.eps);
            let along = sum_lanes([dy, self.w, x], |[dy, w, x]| dy * w * x) / width as f32;
            for i in 0..width {
                dx[i] = scale * (dy[i] * self.w[i] - x[i] * (scale * scale * along));
                self.dw[i] += dy[i] * (x[i] * scale);
            }
        }
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, width) = lx.shape().dims2()?;
        let (x, w) = (contiguous(x, lx)?, contiguous(w, lw)?);
        if w.len() != width || width == 0 {
            bail!("norm of width {} on rows of {width}", w.len());
        }
        let mut y = vec![0.0; x.len()];
        dispatch(Forward { x, w, eps: self.eps, y: &mut y });
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let mut dx = vec![0.0; x.elem_count()];
        let mut dw = vec![0.0; w.elem_count()];
        let eps = self.eps;
        with_values(x, |x| {
            with_values(w, |w| {
                with_values(dy, |dy| {
                    dispatch(Backward { x, w, dy, eps, dx: &mut dx, dw: &mut dw });
                })
            })
        })???;
        Ok((Some(tensor(dx, x.shape())?), Some(tensor(dw, w.shape())?)))
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
        let (x, w) = (random(1, (4, 21)), random(2, (1, 21)));
        for kind in [NormKind::Rms, NormKind::RmsPlusOne] {
            check(&[&x, &w], |v| Norm::new(kind, v[1].flatten_all()?, None, 1e-5)?.forward(&v[0]));
        }
    }

    #[test]
    fn heads_are_normalised_alone() {
        let weight = || random(2, (1, 5)).flatten_all().unwrap();
        let norm = Norm::new(NormKind::Rms, weight(), None, 1e-5).unwrap();
        let x = random(1, (2, 15));
        let ours = norm.forward_heads(&x, 3).unwrap().to_vec2::<f32>().unwrap();
        let alone = norm.forward(&x.narrow(1, 5, 5).unwrap()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(ours[1][5..10], alone[1]);
        check(&[&x, &random(2, (1, 5))], |v| {
            Norm::new(NormKind::Rms, v[1].flatten_all()?, None, 1e-5)?.forward_heads(&v[0], 3)
        });
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let values = |seed, shape| with_values(&random(seed, shape), <[f32]>::to_vec).unwrap();
        let (x, w, dy) = (values(1, (5, 37)), values(2, (1, 37)), values(3, (5, 37)));
        let (x, w, dy, eps) = (&x[..], &w[..], &dy[..], 1e-5);
        at_every_level(5 * 37, |level, y| dispatch_at(level, Forward { x, w, eps, y }));
        at_every_level(6 * 37, |level, out| {
            let (dx, dw) = out.split_at_mut(5 * 37);
            dispatch_at(level, Backward { x, w, dy, eps, dx, dw });
        });
    }

    #[test]
    fn rows_have_unit_mean_square() {
        let norm =
            Norm::new(NormKind::Rms, tensor(vec![1.0; 32], 32).unwrap(), None, 1e-6).unwrap();
        let y = norm.forward(&random(3, (3, 32))).unwrap().to_vec2::<f32>().unwrap();
        for row in y {
            let mean = row.iter().map(|v| v * v).sum::<f32>() / 32.0;
            assert!((mean - 1.0).abs() < 1e-4);
        }
    }
}

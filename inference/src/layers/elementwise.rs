//! Small operations on rows: bias, soft cap, softmax.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    kernels::{Kernel, dispatch, exp, max_lanes, sum_lanes, tanh},
    layers::{contiguous, row_width, tensor, with_values},
};

/// `x + b` for each row of `x (tokens, features)` and `b (features,)`; differentiable in both.
///
/// # Errors
/// [`crate::Error::Tensor`] if the widths differ.
pub fn add_bias(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op2(b, Bias)?)
}

struct Bias;

impl CustomOp2 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (width, b) = (row_width(lx)?, contiguous(b, lb)?);
        if b.len() != width {
            bail!("bias of width {} for rows of {width}", b.len());
        }
        let mut out = contiguous(x, lx)?.to_vec();
        for row in out.chunks_exact_mut(width) {
            row.iter_mut().zip(b).for_each(|(x, b)| *x += b);
        }
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        if !b.track_op() {
            return Ok((Some(dy.clone()), None));
        }
        let mut gradient = vec![0.0; b.elem_count()];
        with_values(dy, |dy| {
            for row in dy.chunks_exact(gradient.len()) {
                gradient.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
            }
        })?;
        Ok((Some(dy.clone()), Some(tensor(gradient, b.shape())?)))
    }
}

/// `cap tanh(x / cap)`, elementwise; differentiable.
///
/// # Errors
/// [`crate::Error::Tensor`] if `x` is not on the CPU.
pub fn softcap(x: &Tensor, cap: f32) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Softcap { cap })?)
}

struct Softcap {
    cap: f32,
}

struct CapForward<'a> {
    x: &'a [f32],
    cap: f32,
    out: &'a mut [f32],
}

impl Kernel for CapForward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = self.cap * tanh(x / self.cap);
        }
    }
}

impl CustomOp1 for Softcap {
    fn name(&self) -> &'static str {
        "softcap"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = contiguous(x, l)?;
        let mut out = vec![0.0; x.len()];
        dispatch(CapForward { x, cap: self.cap, out: &mut out });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    /// `dx = dy (1 - (y / cap)^2)`
    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = |(y, dy): (&f32, &f32)| dy * (1.0 - (y / self.cap) * (y / self.cap));
        let dx = with_values(y, |y| {
            with_values(dy, |dy| y.iter().zip(dy).map(gradient).collect::<Vec<f32>>())
        })??;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// Softmax of each row of `x (tokens, features)`; differentiable.
///
/// # Errors
/// [`crate::Error::Tensor`] if the rows are empty.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Softmax)?)
}

struct Softmax;

struct SoftmaxForward<'a> {
    x: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl Kernel for SoftmaxForward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width)) {
            let top = max_lanes(x);
            for (out, x) in out.iter_mut().zip(x) {
                *out = exp(x - top);
            }
            let total = sum_lanes([&*out], |[p]| p);
            out.iter_mut().for_each(|value| *value /= total);
        }
    }
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (width, x) = (row_width(l)?, contiguous(x, l)?);
        let mut out = vec![0.0; x.len()];
        dispatch(SoftmaxForward { x, width, out: &mut out });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    /// `dx = y (dy - sum(dy y))`
    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let mut gradient = vec![0.0; x.elem_count()];
        with_values(y, |y| {
            with_values(dy, |dy| {
                let rows = y.chunks_exact(width).zip(dy.chunks_exact(width));
                for ((y, dy), dx) in rows.zip(gradient.chunks_exact_mut(width)) {
                    let along = sum_lanes([dy, y], |[dy, y]| dy * y);
                    for i in 0..width {
                        dx[i] = y[i] * (dy[i] - along);
                    }
                }
            })
        })??;
        Ok(Some(tensor(gradient, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{at_every_level, dispatch_at},
        layers::finite_difference::{check, random},
    };

    #[test]
    fn gradients_equal_finite_differences() {
        let x = (random(1, (4, 19)) * 3.0).unwrap();
        check(&[&x, &random(2, (1, 19))], |v| add_bias(&v[0], &v[1].flatten_all()?));
        check(&[&x], |v| softcap(&v[0], 1.5));
        check(&[&x], |v| softmax(&v[0]));
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let x = with_values(&random(1, (3, 21)), <[f32]>::to_vec).unwrap();
        let (x, cap, width) = (&x[..], 0.7, 21);
        at_every_level(126, |level, out| {
            let (capped, out) = out.split_at_mut(63);
            dispatch_at(level, CapForward { x, cap, out: capped });
            dispatch_at(level, SoftmaxForward { x, width, out });
        });
    }

    #[test]
    fn known_values() {
        let x = tensor(vec![0.0, 2f32.ln(), 3.0, -60.0], (2, 2)).unwrap();
        let weights = softmax(&x).unwrap().to_vec2::<f32>().unwrap();
        assert!((weights[0][0] - 1.0 / 3.0).abs() < 1e-6 && weights[1][0] == 1.0);
        let capped = softcap(&x, 2.0).unwrap().to_vec2::<f32>().unwrap();
        assert!((capped[1][0] - 2.0 * 1.5f32.tanh()).abs() < 1e-6 && capped[1][1] == -2.0);
        assert!(add_bias(&x, &tensor(vec![1.0; 3], 3).unwrap()).is_err());
    }
}

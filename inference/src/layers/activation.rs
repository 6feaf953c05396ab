//! Activations of the MLP, with a gate and without.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    kernels::{Kernel, dispatch, exp, sigmoid, tanh},
    layers::{contiguous, tensor, with_values},
};

/// Runs a kernel with the curve of an [`Activation`].
macro_rules! with_curve {
    ($activation:expr, $kernel:ident { $($field:ident),* }) => {
        match $activation {
            Activation::Silu => dispatch($kernel::<Silu> { $($field,)* curve: PhantomData }),
            Activation::Gelu => dispatch($kernel::<Gelu> { $($field,)* curve: PhantomData }),
            Activation::GeluTanh => dispatch($kernel::<GeluTanh> { $($field,)* curve: PhantomData }),
        }
    };
}

/// An elementwise activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^-x)`
    Silu,
    /// `x P(X <= x)` for a standard normal `X` (Hendrycks and Gimpel 2016).
    Gelu,
    /// Its approximation `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluTanh,
}

impl Activation {
    /// The activation that `transformers` calls by this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "gelu" => Some(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            _ => None,
        }
    }

    /// `act(gate) * up`, elementwise (Shazeer 2020); differentiable in both.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if the shapes differ.
    pub fn gated(self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        Ok(gate.contiguous()?.apply_op2(&up.contiguous()?, Gated(self))?)
    }

    /// `act(x)`, elementwise; differentiable.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if `x` is not on the CPU.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        Ok(x.contiguous()?.apply_op1(Plain(self))?)
    }

    /// `act(x)` in place of every `x`, with the bits of [`Self::forward`].
    pub(crate) fn replace(self, values: &mut [f32]) {
        with_curve!(self, Replace { values });
    }
}

/// A function of one value and its derivative, compiled into each loop.
trait Curve {
    fn value(x: f32) -> f32;
    fn slope(x: f32) -> f32;
}

struct Silu;
struct Gelu;
struct GeluTanh;

impl Curve for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * sigmoid(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let s = sigmoid(x);
        s * (1.0 + x * (1.0 - s))
    }
}

/// `P(X <= x)` for a standard normal `X`, absolute error below 3e-7: `erf` by Abramowitz and Stegun
/// 1964, 7.1.26.
#[inline(always)]
fn normal_below(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_72;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * (p * t * exp(-z * z));
    if x < 0.0 { tail } else { 1.0 - tail }
}

impl Curve for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * normal_below(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        // 1 / sqrt(2 pi)
        normal_below(x) + x * (0.398_942_3 * exp(-0.5 * x * x))
    }
}

/// `sqrt(2 / pi)`
const ROOT: f32 = 0.797_884_6;
const CUBE: f32 = 0.044_715;

impl Curve for GeluTanh {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        0.5 * x * (1.0 + tanh(ROOT * (x + CUBE * x * x * x)))
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let t = tanh(ROOT * (x + CUBE * x * x * x));
        0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * (ROOT * (1.0 + 3.0 * CUBE * x * x))
    }
}

/// `out = act(gate) up`
struct Forward<'a, C> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
    curve: PhantomData<C>,
}

impl<C: Curve> Kernel for Forward<'_, C> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for ((out, gate), up) in self.out.iter_mut().zip(self.gate).zip(self.up) {
            *out = C::value(*gate) * up;
        }
    }
}

/// `dup = dy act(g)`, `dg = dy up act'(g)`.
struct Backward<'a, C> {
    gate: &'a [f32],
    up: &'a [f32],
    dy: &'a [f32],
    d_gate: &'a mut [f32],
    d_up: &'a mut [f32],
    curve: PhantomData<C>,
}

impl<C: Curve> Kernel for Backward<'_, C> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let inputs = self.gate.iter().zip(self.up).zip(self.dy);
        for (((g, up), dy), (d_gate, d_up)) in
            inputs.zip(self.d_gate.iter_mut().zip(self.d_up.iter_mut()))
        {
            *d_up = dy * C::value(*g);
            *d_gate = dy * up * C::slope(*g);
        }
    }
}

/// `out = act(x)`
struct PlainForward<'a, C> {
    x: &'a [f32],
    out: &'a mut [f32],
    curve: PhantomData<C>,
}

impl<C: Curve> Kernel for PlainForward<'_, C> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = C::value(*x);
        }
    }
}

/// `x = act(x)`
struct Replace<'a, C> {
    values: &'a mut [f32],
    curve: PhantomData<C>,
}

impl<C: Curve> Kernel for Replace<'_, C> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for value in self.values {
            *value = C::value(*value);
        }
    }
}

/// `dx = dy act'(x)`
struct PlainBackward<'a, C> {
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    curve: PhantomData<C>,
}

impl<C: Curve> Kernel for PlainBackward<'_, C> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for ((dx, x), dy) in self.dx.iter_mut().zip(self.x).zip(self.dy) {
            *dx = dy * C::slope(*x);
        }
    }
}

struct Gated(Activation);

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated-activation"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        lg: &Layout,
        up: &CpuStorage,
        lu: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        if lg.shape() != lu.shape() {
            bail!("gate {:?} and up {:?} differ", lg.shape(), lu.shape());
        }
        let (gate, up) = (contiguous(gate, lg)?, contiguous(up, lu)?);
        let mut values = vec![0.0; gate.len()];
        let out = &mut values[..];
        with_curve!(self.0, Forward { gate, up, out });
        Ok((CpuStorage::F32(values), lg.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let shape = gate.shape();
        let mut gate_gradient = vec![0.0; gate.elem_count()];
        let mut up_gradient = vec![0.0; up.elem_count()];
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(dy, |dy| {
                    let (d_gate, d_up) = (&mut gate_gradient[..], &mut up_gradient[..]);
                    with_curve!(self.0, Backward { gate, up, dy, d_gate, d_up });
                })
            })
        })???;
        Ok((Some(tensor(gate_gradient, shape)?), Some(tensor(up_gradient, shape)?)))
    }
}

struct Plain(Activation);

impl CustomOp1 for Plain {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = contiguous(x, l)?;
        let mut values = vec![0.0; x.len()];
        let out = &mut values[..];
        with_curve!(self.0, PlainForward { x, out });
        Ok((CpuStorage::F32(values), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut gradient = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(dy, |dy| {
                let dx = &mut gradient[..];
                with_curve!(self.0, PlainBackward { x, dy, dx });
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

    const ALL: [Activation; 3] = [Activation::Silu, Activation::Gelu, Activation::GeluTanh];

    #[test]
    fn gradients_equal_finite_differences() {
        let gate = (random(1, (3, 19)) * 4.0).unwrap();
        for activation in ALL {
            check(&[&gate, &random(2, (3, 19))], |v| activation.gated(&v[0], &v[1]));
            check(&[&gate], |v| activation.forward(&v[0]));
        }
    }

    fn every_level_agrees<C: Curve>() {
        let values = |seed| with_values(&random(seed, (3, 21)), <[f32]>::to_vec).unwrap();
        let (gate, up, dy) = (values(1), values(2), values(3));
        let (gate, up, dy) = (&gate[..], &up[..], &dy[..]);
        let curve = PhantomData::<C>;
        at_every_level(63, |level, out| dispatch_at(level, Forward { gate, up, out, curve }));
        at_every_level(126, |level, out| {
            let (d_gate, d_up) = out.split_at_mut(63);
            dispatch_at(level, Backward { gate, up, dy, d_gate, d_up, curve });
        });
        at_every_level(126, |level, out| {
            let (out, dx) = out.split_at_mut(63);
            dispatch_at(level, PlainForward { x: gate, out, curve });
            dispatch_at(level, PlainBackward { x: gate, dy, dx, curve });
        });
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        every_level_agrees::<Silu>();
        every_level_agrees::<Gelu>();
        every_level_agrees::<GeluTanh>();
    }

    /// Values of scipy's `x * norm.cdf(x)` and of the formulas in f64.
    #[test]
    fn known_values() {
        let at = |activation: Activation, x: f32| {
            let x = tensor(vec![x], (1, 1)).unwrap();
            activation.forward(&x).unwrap().to_vec2::<f32>().unwrap()[0][0]
        };
        let near = |ours: f32, exact: f32| assert!((ours - exact).abs() < 1e-6, "{ours} {exact}");
        near(at(Activation::Silu, 1.0), 0.731_058_6);
        near(at(Activation::Gelu, 1.0), 0.841_344_8);
        near(at(Activation::Gelu, -0.5), -0.154_268_77);
        near(at(Activation::GeluTanh, 1.0), 0.841_192);
        near(at(Activation::GeluTanh, -2.0), -0.045_402_306);
    }

    #[test]
    fn gelu_is_within_a_millionth_of_the_exact_value() {
        for step in -1000..=1000 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x) * 0.5 * (1.0 + libm::erf(f64::from(x) / 2f64.sqrt()));
            assert!((f64::from(Gelu::value(x)) - exact).abs() < 1e-6, "{x}");
        }
    }
}

//! The gated activation of the MLP.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    kernels::{Kernel, dispatch, sigmoid},
    layers::{contiguous, tensor, with_values},
};

/// `silu(gate) * up`, elementwise, `silu(x) = x / (1 + e^-x)` (Shazeer 2020).
///
/// # Errors
/// [`crate::Error::Tensor`] if the shapes differ.
pub fn silu_gate(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    Ok(gate.contiguous()?.apply_op2(&up.contiguous()?, Op)?)
}

struct Op;

struct Forward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        for ((out, gate), up) in self.out.iter_mut().zip(self.gate).zip(self.up) {
            *out = gate * sigmoid(*gate) * up;
        }
    }
}

/// `dup = dy silu(g)`, `dg = dy up s (1 + g (1 - s))` with `s` the sigmoid of `g`.
struct Backward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    dy: &'a [f32],
    d_gate: &'a mut [f32],
    d_up: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let inputs = self.gate.iter().zip(self.up).zip(self.dy);
        for (((g, up), dy), (d_gate, d_up)) in
            inputs.zip(self.d_gate.iter_mut().zip(self.d_up.iter_mut()))
        {
            let s = sigmoid(*g);
            *d_up = dy * (g * s);
            *d_gate = dy * up * (s * (1.0 + g * (1.0 - s)));
        }
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "silu-gate"
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
        let mut out = vec![0.0; gate.len()];
        dispatch(Forward { gate, up, out: &mut out });
        Ok((CpuStorage::F32(out), lg.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let shape = gate.shape();
        let mut d_gate = vec![0.0; gate.elem_count()];
        let mut d_up = vec![0.0; up.elem_count()];
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(dy, |dy| {
                    let (d_gate, d_up) = (&mut d_gate, &mut d_up);
                    dispatch(Backward { gate, up, dy, d_gate, d_up });
                })
            })
        })???;
        Ok((Some(tensor(d_gate, shape)?), Some(tensor(d_up, shape)?)))
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
        let gate = (random(1, (3, 19)) * 4.0).unwrap();
        check(&[&gate, &random(2, (3, 19))], |v| silu_gate(&v[0], &v[1]));
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let values = |seed| with_values(&random(seed, (3, 21)), <[f32]>::to_vec).unwrap();
        let (gate, up, dy) = (values(1), values(2), values(3));
        let (gate, up, dy) = (&gate[..], &up[..], &dy[..]);
        at_every_level(63, |level, out| dispatch_at(level, Forward { gate, up, out }));
        at_every_level(126, |level, out| {
            let (d_gate, d_up) = out.split_at_mut(63);
            dispatch_at(level, Backward { gate, up, dy, d_gate, d_up });
        });
    }

    #[test]
    fn silu_of_one_is_known() {
        let one = tensor(vec![1.0], (1, 1)).unwrap();
        let value = silu_gate(&one, &one).unwrap().to_vec2::<f32>().unwrap()[0][0];
        assert!((value - 0.731_058_6).abs() < 1e-6);
    }
}

//! A frozen projection with its low-rank delta as one differentiable operation.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    kernels::{Packed, Rows, Weight, add_scaled, add_scaled_rows, columns_product, matmul},
    layers::{Linear, contiguous, row_width, tensor, with_values},
};

/// What becomes of the gradients of `A` and `B`, each a sum over tokens of outer products.
pub(crate) trait Factors: Send + Sync {
    /// `dA = dh^T x` from `dh (tokens, r)` and `x (tokens, d_in)`; `None` keeps it from the graph.
    fn a(&self, dh: Rows<'_>, x: Rows<'_>) -> Option<Vec<f32>>;

    /// `dB = dy^T h` from `dy (tokens, d_out)` and `h (tokens, r)`.
    fn b(&self, dy: Rows<'_>, h: Rows<'_>) -> Option<Vec<f32>>;
}

/// One gradient for all tokens, as the graph expects it.
pub(crate) struct Summed;

impl Factors for Summed {
    fn a(&self, dh: Rows<'_>, x: Rows<'_>) -> Option<Vec<f32>> {
        Some(columns_product(dh, x))
    }

    fn b(&self, dy: Rows<'_>, h: Rows<'_>) -> Option<Vec<f32>> {
        Some(columns_product(dy, h))
    }
}

/// `y = x W^T + b + s (x A^T) B^T` as an operation on `x`, `A (r, d_in)` and `B (d_out, r)`.
///
/// One node of the graph where the plain form has six: each of those would have its own copy of the
/// activations, and of their gradients on the way back.
struct Adapted<F> {
    weight: Arc<Weight>,
    bias: Option<Vec<f32>>,
    scale: f32,
    factors: F,
    /// `x A^T (tokens, r)` of the forward pass, for the backward pass.
    hidden: OnceLock<Vec<f32>>,
}

/// `linear` with the delta of `a`, `b` and `scale`; `None` if its weight or bias is trained too.
///
/// # Errors
/// [`crate::Error::Tensor`] if the shapes do not fit.
pub(crate) fn project<F: Factors + 'static>(
    linear: &Linear,
    x: &Tensor,
    (a, b, scale): (&Tensor, &Tensor, f64),
    factors: F,
) -> Result<Option<Tensor>> {
    let Some(weight) = linear.frozen_weight() else { return Ok(None) };
    let bias = linear.bias().map(|bias| with_values(bias, <[f32]>::to_vec)).transpose()?;
    let (weight, hidden) = (Arc::clone(weight), OnceLock::new());
    let op = Adapted { weight, bias, scale: scale as f32, factors, hidden };
    Ok(Some(x.contiguous()?.apply_op3(a, b, op)?))
}

impl<F> Adapted<F> {
    fn forward(&self, x: Rows<'_>, a: &[f32], b: &[f32]) -> Vec<f32> {
        let (mut y, hidden) = (self.weight.product(x), matmul(x, &transposed(a, x.width)));
        if let Some(bias) = &self.bias {
            for row in y.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        let hidden = Rows::whole(self.hidden.get_or_init(|| hidden), a.len() / x.width);
        add_scaled(hidden, &transposed(b, hidden.width), self.scale, &mut y);
        y
    }
}

impl<F: Factors> Adapted<F> {
    /// Gradients in `x`, if it is asked for, `A` and `B`, as of [`CustomOp3::bwd`].
    fn gradients(
        &self,
        (x, asked): (Rows<'_>, bool),
        a: Rows<'_>,
        b: Rows<'_>,
        dy: Rows<'_>,
    ) -> [Option<Vec<f32>>; 3] {
        let factors = || {
            let dz: Vec<f32> = dy.values.iter().map(|dy| dy * self.scale).collect();
            let dz = Rows::whole(&dz, dy.width);
            let dh = matmul(dz, &Packed::from_rows(b));
            let hidden = self.hidden.get().expect("the forward pass comes first");
            let da = self.factors.a(Rows::whole(&dh, b.width), x);
            (da, self.factors.b(dz, Rows::whole(hidden, b.width)), dh)
        };
        // The factors are many small products, each too small to be shared out.
        let (dx, (da, db, dh)) = rayon::join(|| asked.then(|| self.weight.backward(dy)), factors);
        let dx = dx.map(|mut dx| {
            add_scaled_rows(Rows::whole(&dh, b.width), a, 1.0, &mut dx);
            dx
        });
        [dx, da, db]
    }
}

fn transposed(matrix: &[f32], width: usize) -> Packed {
    Packed::from_transposed(Rows::whole(matrix, width))
}

impl<F: Factors> CustomOp3 for Adapted<F> {
    fn name(&self) -> &'static str {
        "adapted-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, d_in) = lx.shape().dims2()?;
        let (rank, d_out) = (row_width(lb)?, lb.shape().dims2()?.0);
        let wanted = (self.weight.d_in(), self.weight.d_out());
        if (d_in, d_out) != wanted || la.shape().dims2()? != (rank, d_in) {
            bail!("input of width {d_in} and factors to {d_out} for a projection {wanted:?}");
        }
        let x = Rows::whole(contiguous(x, lx)?, d_in);
        let y = self.forward(x, contiguous(a, la)?, contiguous(b, lb)?);
        Ok((CpuStorage::F32(y), (rows, d_out).into()))
    }

    /// With `dz = s dy` and `dh = dz B`: `dx = dy W + dh A`, `dA = dh^T x`, `dB = dz^T (x A^T)`.
    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((rank, d_in), (d_out, _)) = (a.dims2()?, b.dims2()?);
        let [dx, da, db] = with_values(x, |values| {
            let x = (Rows::whole(values, d_in), x.track_op());
            with_values(a, |a| {
                let a = Rows::whole(a, d_in);
                with_values(b, |b| {
                    let b = Rows::whole(b, rank);
                    with_values(dy, |dy| self.gradients(x, a, b, Rows::whole(dy, d_out)))
                })
            })
        })????;
        let shaped = |of: &Tensor, values: Option<Vec<f32>>| {
            values.map(|values| tensor(values, of.shape())).transpose()
        };
        Ok((shaped(x, dx)?, shaped(a, da)?, shaped(b, db)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::WeightFormat,
        layers::finite_difference::{check, random},
    };

    fn op(bias: Option<Vec<f32>>) -> Adapted<Summed> {
        let values = with_values(&random(9, (33, 21)), <[f32]>::to_vec).unwrap();
        let weight = Arc::new(Weight::from_values(&values, 21, WeightFormat::F32).unwrap());
        Adapted { weight, bias, scale: 0.75, factors: Summed, hidden: OnceLock::new() }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let (x, a, b) = (random(1, (5, 21)), random(2, (3, 21)), random(3, (33, 3)));
        check(&[&x, &a, &b], |v| Ok(v[0].apply_op3(&v[1], &v[2], op(None))?));
    }

    #[test]
    fn equals_the_plain_form_to_the_bit() {
        let (x, a, b) = (random(1, (50, 21)), random(2, (3, 21)), random(3, (33, 3)));
        let bias = with_values(&random(4, (1, 33)), <[f32]>::to_vec).unwrap();
        let variables = || [&x, &a, &b].map(|t| candle_core::Var::from_tensor(t).unwrap());
        let run = |y: Tensor, of: &[candle_core::Var; 3]| {
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let values = |t: &Tensor| with_values(t, <[f32]>::to_vec).unwrap();
            let gradients = of.each_ref().map(|v| values(gradients.get(v).unwrap()));
            (values(&y), gradients)
        };
        let of = variables();
        let [x, a, b] = &of;
        let fused = run(x.apply_op3(a, b, op(Some(bias.clone()))).unwrap(), &of);
        let of = variables();
        let [x, a, b] = &of;
        let frozen = Linear::of_weight(op(None).weight);
        let frozen = frozen.with_bias(Some(tensor(bias, 33).unwrap())).unwrap();
        let hidden = Linear::trainable(a).unwrap().forward(x).unwrap();
        let delta = Linear::trainable(b).unwrap().forward(&hidden).unwrap();
        let y = (frozen.forward(x).unwrap() + (delta * 0.75).unwrap()).unwrap();
        assert_eq!(fused, run(y, &of));
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let (x, a, b) = (random(1, (5, 21)), random(2, (3, 21)), random(3, (33, 3)));
        assert!(x.apply_op3(&a, &random(3, (32, 3)), op(None)).is_err());
        assert!(x.apply_op3(&random(2, (2, 21)), &b, op(None)).is_err());
        assert!(random(1, (5, 20)).apply_op3(&a, &b, op(None)).is_err());
    }
}

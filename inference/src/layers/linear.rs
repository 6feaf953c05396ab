//! The linear projection `x W^T + b`.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, Var, bail};

use crate::{
    Error, Result,
    kernels::{Packed, Rows, Weight, WeightFormat, matmul, transpose},
    layers::{contiguous, elementwise::add_bias, row_width, tensor, with_values},
};

/// A projection. Its weight is frozen (packed once) or trainable (packed at each use).
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Tensor>,
    d_in: usize,
    d_out: usize,
}

#[derive(Clone, Debug)]
enum Parameter {
    Frozen(Arc<Weight>),
    Trainable(Tensor),
}

impl Linear {
    /// A projection whose weight `W (d_out, d_in)`, row-major, never changes.
    ///
    /// # Errors
    /// [`Error::Shape`] if `weight` does not have `d_out * d_in` values, or a size is 0.
    pub fn frozen(weight: &[f32], d_in: usize, d_out: usize) -> Result<Self> {
        if d_in == 0 || d_out == 0 || weight.len() != d_in * d_out {
            return Err(Error::Shape(format!(
                "a ({d_out}, {d_in}) weight has {} values",
                weight.len()
            )));
        }
        Ok(Self::of_weight(Arc::new(Weight::from_values(weight, d_in, WeightFormat::F32)?)))
    }

    /// A projection with a weight that never changes, in whatever form.
    pub fn of_weight(weight: Arc<Weight>) -> Self {
        let (d_in, d_out) = (weight.d_in(), weight.d_out());
        Self { weight: Parameter::Frozen(weight), bias: None, d_in, d_out }
    }

    /// A projection whose weight `(d_out, d_in)` is a variable that gradients are taken of.
    ///
    /// # Errors
    /// [`Error::Tensor`] if `weight` is not a matrix.
    pub fn trainable(weight: &Var) -> Result<Self> {
        let (d_out, d_in) = weight.dims2()?;
        let weight = Parameter::Trainable(weight.as_tensor().clone());
        Ok(Self { weight, bias: None, d_in, d_out })
    }

    /// The same projection with this bias `(d_out,)`, a variable if it is trained.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has another width.
    pub fn with_bias(self, bias: Option<Tensor>) -> Result<Self> {
        if let Some(bias) = bias.as_ref().filter(|bias| bias.dims() != [self.d_out]) {
            let (dims, d_out) = (bias.dims(), self.d_out);
            return Err(Error::Shape(format!("bias {dims:?} of a projection to {d_out}")));
        }
        Ok(Self { bias, ..self })
    }

    /// The bias, `(d_out,)`.
    pub const fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Input width.
    pub const fn d_in(&self) -> usize {
        self.d_in
    }

    /// Output width.
    pub const fn d_out(&self) -> usize {
        self.d_out
    }

    /// Bytes of memory that a frozen weight takes; 0 for a variable.
    pub fn weight_bytes(&self) -> usize {
        match &self.weight {
            Parameter::Frozen(weight) => weight.bytes(),
            Parameter::Trainable(_) => 0,
        }
    }

    /// The weight, if it is frozen and so is the bias.
    pub(crate) fn frozen_weight(&self) -> Option<&Arc<Weight>> {
        match &self.weight {
            Parameter::Frozen(weight) if self.bias.as_ref().is_none_or(|b| !b.track_op()) => {
                Some(weight)
            }
            _ => None,
        }
    }

    /// The weight `(d_out, d_in)`, row-major, widened to f32.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it cannot be read.
    pub fn weight(&self) -> Result<Vec<f32>> {
        match &self.weight {
            Parameter::Frozen(weight) => Ok(weight.to_values()),
            Parameter::Trainable(weight) => Ok(with_values(weight, <[f32]>::to_vec)?),
        }
    }

    /// `x W^T + b`: `(tokens, d_in)` to `(tokens, d_out)`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if `x` has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        let y = match &self.weight {
            Parameter::Frozen(weight) => x.apply_op1(FrozenProduct(Arc::clone(weight)))?,
            Parameter::Trainable(weight) => x.apply_op2(weight, Product)?,
        };
        match &self.bias {
            Some(bias) => add_bias(&y, bias),
            None => Ok(y),
        }
    }
}

/// `x W^T` as an operation on `x` alone.
struct FrozenProduct(Arc<Weight>);

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let weight = &self.0;
        let (rows, width) = l.shape().dims2()?;
        if width != weight.d_in() {
            bail!("input of width {width} for a projection of {}", weight.d_in());
        }
        let out = weight.product(Rows::whole(contiguous(x, l)?, width));
        Ok((CpuStorage::F32(out), (rows, weight.d_out()).into()))
    }

    /// `dx = dy W` with the widened weight.
    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let width = self.0.d_out();
        let dx = with_values(dy, |dy| self.0.backward(Rows::whole(dy, width)))?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// `x W^T` as an operation on `x` and `W`.
struct Product;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        product(x, lx, w, lw)
    }

    /// `dx = dy W`, `dW = dy^T x`.
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_out, d_in) = w.dims2()?;
        with_values(dy, |dy| {
            let dx = input_gradient(x, w, dy)?;
            let dy = Rows::whole(dy, d_out);
            let turned = transpose(dy);
            let x = with_values(x, |x| Packed::from_rows(Rows::whole(x, d_in)))?;
            let dw = matmul(Rows::whole(&turned, dy.rows), &x);
            Ok((dx, Some(tensor(dw, w.shape())?)))
        })?
    }
}

/// `x W^T` for `x (rows, d_in)` and `W (d_out, d_in)`.
pub(crate) fn product(
    x: &CpuStorage,
    lx: &Layout,
    w: &CpuStorage,
    lw: &Layout,
) -> candle_core::Result<(CpuStorage, Shape)> {
    let (rows, width) = lx.shape().dims2()?;
    if row_width(lw)? != width {
        bail!("input of width {width} for a projection of {}", row_width(lw)?);
    }
    let weight = Packed::from_transposed(Rows::whole(contiguous(w, lw)?, width));
    let out = matmul(Rows::whole(contiguous(x, lx)?, width), &weight);
    Ok((CpuStorage::F32(out), (rows, weight.columns()).into()))
}

/// `dx = dy W`; `None` if nothing before `x` is trained.
pub(crate) fn input_gradient(
    x: &Tensor,
    w: &Tensor,
    dy: &[f32],
) -> candle_core::Result<Option<Tensor>> {
    if !x.track_op() {
        return Ok(None);
    }
    let (d_out, d_in) = w.dims2()?;
    let weight = with_values(w, |w| Packed::from_rows(Rows::whole(w, d_in)))?;
    Ok(Some(tensor(matmul(Rows::whole(dy, d_out), &weight), x.shape())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_difference::{check, random};

    #[test]
    fn gradients_equal_finite_differences() {
        let (x, w) = (random(1, (5, 7)), random(2, (9, 7)));
        check(&[&x, &w], |v| Ok(v[0].apply_op2(&v[1], Product)?));
        let frozen = Linear::frozen(&with_values(&w, <[f32]>::to_vec).unwrap(), 7, 9).unwrap();
        check(&[&x], |v| frozen.forward(&v[0]));
    }

    #[test]
    fn equals_candles_matmul() {
        let (x, w) = (random(3, (33, 48)), random(4, (40, 48)));
        let linear = Linear::frozen(&with_values(&w, <[f32]>::to_vec).unwrap(), 48, 40).unwrap();
        let ours = linear.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        let reference = x.matmul(&w.t().unwrap()).unwrap().to_vec2::<f32>().unwrap();
        for (ours, reference) in ours.iter().flatten().zip(reference.iter().flatten()) {
            assert!((ours - reference).abs() < 1e-5);
        }
        assert_eq!(linear.weight().unwrap(), with_values(&w, <[f32]>::to_vec).unwrap());
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(matches!(Linear::frozen(&[0.0; 5], 2, 3), Err(Error::Shape(_))));
        let linear = Linear::frozen(&[0.0; 6], 2, 3).unwrap();
        assert!(linear.forward(&random(0, (4, 3))).is_err());
    }
}

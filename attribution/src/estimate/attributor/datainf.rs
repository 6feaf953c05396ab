//! DataInf: the mean of damped rank-one inverses instead of the inverse of their mean.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    Attributor, Query,
    gradients::{Gradients, finite},
};
use crate::{
    Error, Result,
    estimate::kernel::{add_scaled, dot},
};

/// What the paper divides the mean squared gradient by to get its damping.
const SHARE: f64 = 10.0;

/// Kwon et al. 2024 (arXiv:2310.00902), eq. 5: per tensor `l`
///
/// `lambda_l = factor / 10 * mean_i,j g_ilj^2` and
/// `P_l = 1/(n lambda_l) sum_i [ I - g_il g_il^T / (lambda_l + |g_il|^2) ]`;
/// the score is `sum_l g_ql^T P_l g_il`.
///
/// A query costs three passes over the gradients, `O(n p)`: products `a_j = g_ql . g_jl`, then
/// `v = g_ql - (1/n) sum_j a_j / (lambda_l + |g_jl|^2) g_jl`, then `v . g_il / lambda_l`. A tensor
/// whose gradients are all zero adds nothing.
#[derive(Clone, Debug)]
pub struct DataInf<'a> {
    gradients: &'a Gradients,
    factor: f64,
    tensors: Vec<Tensor>,
}

#[derive(Clone, Debug)]
struct Tensor {
    columns: Range<usize>,
    lambda: f64,
    /// `1 / (n (lambda_l + |g_jl|^2))`, `(n,)`.
    weights: Vec<f64>,
}

impl<'a> DataInf<'a> {
    /// With `factor` times the paper's damping; 1 is the paper's.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the factor is a finite number above 0; [`Error::NoSignal`] if every
    /// gradient is zero.
    pub fn new(gradients: &'a Gradients, factor: f64) -> Result<Self> {
        if !factor.is_finite() || factor <= 0.0 {
            return Err(Error::setting("a factor of the damping must be above 0", factor));
        }
        let n = gradients.len() as f64;
        let tensor = |columns: &Range<usize>| {
            let squares = gradients.squares(columns);
            let mean = squares.iter().sum::<f64>() / (n * columns.len() as f64);
            let lambda = factor * mean / SHARE;
            let weights = squares.into_iter().map(|square| 1.0 / (n * (lambda + square)));
            Tensor { columns: columns.clone(), lambda, weights: weights.collect() }
        };
        let mut tensors: Vec<Tensor> = gradients.layout().ranges().iter().map(tensor).collect();
        tensors.retain(|tensor| tensor.lambda > 0.0);
        if tensors.is_empty() {
            return Err(Error::NoSignal);
        }
        Ok(Self { gradients, factor, tensors })
    }

    /// Adds a tensor's part of every row's score.
    fn add(&self, tensor: &Tensor, q: &[f32], sums: &mut [f64]) {
        let products = self.gradients.products(&tensor.columns, q);
        let mut v: Vec<f64> = q[tensor.columns.clone()].iter().map(|x| f64::from(*x)).collect();
        // Cut by columns, so that each number has one order of additions.
        const PIECE: usize = 512;
        v.par_chunks_mut(PIECE).enumerate().for_each(|(piece, v)| {
            let start = tensor.columns.start + piece * PIECE;
            for (j, (a, weight)) in products.iter().zip(&tensor.weights).enumerate() {
                add_scaled(v, -a * weight, &self.gradients.row(j)[start..start + v.len()]);
            }
        });
        let scores = self.gradients.wide_products(&tensor.columns, &v);
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score / tensor.lambda);
    }
}

impl Attributor for DataInf<'_> {
    fn name(&self) -> String {
        if self.factor == 1.0 {
            return "DataInf".into();
        }
        format!("DataInf, damping x {}", self.factor)
    }

    fn rows(&self) -> usize {
        self.gradients.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        self.gradients.layout().check(query.gradient)?;
        let mut sums = vec![0.0; self.rows()];
        self.tensors.iter().for_each(|tensor| self.add(tensor, query.gradient, &mut sums));
        finite(sums)
    }

    /// `O(n^2 p)`.
    fn self_influence(&self) -> Option<Vec<f32>> {
        let own = |i: usize| {
            let row = self.gradients.row(i);
            let part = |tensor: &Tensor| {
                let of = |j: usize| &self.gradients.row(j)[tensor.columns.clone()];
                let own = &row[tensor.columns.clone()];
                let shrunk = tensor.weights.iter().enumerate();
                let shrunk = shrunk.map(|(j, weight)| dot(own, of(j)).powi(2) * weight);
                (dot(own, own) - shrunk.sum::<f64>()) / tensor.lambda
            };
            self.tensors.iter().map(part).sum::<f64>()
        };
        let all: Vec<f64> = (0..self.rows()).into_par_iter().map(own).collect();
        finite(all).ok()
    }
}

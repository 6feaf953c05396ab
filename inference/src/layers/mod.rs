//! Differentiable operations on packed `(tokens, features)` activations.
//!
//! Each is a candle custom operation with a gradient of its own, on the fixed-order kernels.
//! (candle-nn's fused norm, softmax and rope drop gradients in silence.)

pub mod activation;
pub(crate) mod adapted;
pub mod attention;
pub mod columns;
pub mod elementwise;
pub mod embedding;
pub mod experts;
pub mod linear;
pub mod lora;
pub mod loss;
pub mod norm;
pub mod rope;
mod storage;

pub use linear::Linear;
pub(crate) use storage::{contiguous, row_width, tensor, with_values};

#[cfg(test)]
pub(crate) mod finite_difference;

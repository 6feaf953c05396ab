//! Fixed-order CPU arithmetic in f32.
//!
//! Every result is a sum of products taken in an order that depends on the row's own shape only:
//! never on other rows, on the number of threads, or on the processor. Products and sums are rounded
//! separately (no fused multiply-add), so wider vector instructions change the speed and not the
//! bits. Elementary functions are polynomials of our own or from `libm`, because the system's may
//! choose another algorithm on another processor.

mod affine;
mod attention;
mod block;
mod dispatch;
mod elementary;
pub(crate) mod lora;
mod matmul;
mod matrix;
mod narrow;
pub(crate) mod panel;
mod quant;
mod share;
mod tile;
mod weight;

pub(crate) use affine::Affine;
pub(crate) use attention::{
    BlockValues, HeadBlocks, HeadGradients, HeadShape, PackedHead, head_backward, head_forward,
};
pub use dispatch::Level;
#[cfg(test)]
pub(crate) use dispatch::at_every_level;
#[cfg(test)]
pub(crate) use dispatch::dispatch_at;
pub(crate) use dispatch::{Kernel, dispatch};
pub(crate) use elementary::{exp, max_lanes, sigmoid, sum_lanes, tanh};
pub use matmul::matmul;
pub(crate) use matmul::{add_scaled, add_scaled_rows, columns_product};
pub use matrix::{Packed, Rows, transpose};
pub(crate) use narrow::Half;
pub(crate) use quant::Quant;
pub(crate) use share::on_the_pool;
pub(crate) use tile::LANES;
pub use weight::{Weight, WeightFormat};

//! Activations in 8-bit blocks, the other operand of a product with quantised weights.

use crate::kernels::{
    Rows,
    dispatch::{Kernel, dispatch},
};

/// Inputs of one block.
pub(super) const BLOCK: usize = 32;

/// 32 values of one row: integers from -127 to 127 times a scale.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(super) struct Block {
    /// Four integers in each, the first in the lowest byte.
    pub(super) codes: [i32; 8],
    pub(super) scale: f32,
    /// Sums of the integers of each half.
    pub(super) sums: [i32; 2],
}

/// Rows of activations in blocks of 32 values.
///
/// A row's blocks depend on that row only.
#[derive(Debug)]
pub(crate) struct Activations {
    pub(super) rows: usize,
    /// Blocks per row, the last ones padded with zeros.
    pub(super) blocks: usize,
    /// `(blocks, rows)`: what a tile needs of a block lies side by side.
    pub(super) values: Vec<Block>,
}

impl Activations {
    /// Quantises `x`, with `blocks` blocks in each row.
    pub(super) fn new(x: Rows<'_>, blocks: usize) -> Self {
        assert!(x.width <= blocks * BLOCK, "rows are wider than their blocks");
        let values = vec![Block::default(); x.rows * blocks];
        let mut activations = Self { rows: x.rows, blocks, values };
        dispatch(Quantise { x, into: &mut activations });
        activations
    }
}

struct Quantise<'a> {
    x: Rows<'a>,
    into: &'a mut Activations,
}

impl Kernel for Quantise<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { x, into } = self;
        for row in 0..x.rows {
            let values = &x.values[row * x.stride..][..x.width];
            let (whole, rest) = values.as_chunks::<BLOCK>();
            for (block, values) in whole.iter().enumerate() {
                quantise_block(values, &mut into.values[block * x.rows + row]);
            }
            if !rest.is_empty() {
                let mut values = [0.0; BLOCK];
                values[..rest.len()].copy_from_slice(rest);
                quantise_block(&values, &mut into.values[whole.len() * x.rows + row]);
            }
        }
    }
}

/// With `d = max|x| / 127`: integers `round(x / d)`, ties to even, and the scale `d`.
#[inline(always)]
fn quantise_block(values: &[f32; BLOCK], into: &mut Block) {
    // Magnitudes are compared as integers, so that a NaN counts as the largest: the scale of a block
    // with a value that is not finite is not finite either.
    let mut top = 0u32;
    for value in values {
        top = top.max(value.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(top);
    // Without a normal quotient the block is rounded to zero.
    let zero = largest < 1e-30;
    let inverse = if zero { 0.0 } else { 127.0 / largest };
    // The integer nearest to v stands in the low bits of v + 1.5 * 2^23.
    const ROUND: f32 = 12_582_912.0;
    let mut bytes = [0i8; BLOCK];
    for (byte, value) in bytes.iter_mut().zip(values) {
        *byte = (value * inverse + ROUND).to_bits() as i8;
    }
    into.scale = if zero { 0.0 } else { largest / 127.0 };
    for (half, sum) in bytes.as_chunks::<16>().0.iter().zip(&mut into.sums) {
        *sum = half.iter().map(|&byte| i32::from(byte)).sum();
    }
    for (code, four) in into.codes.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *code = i32::from_le_bytes(four.map(|byte| byte as u8));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_within_half_a_step(x in prop::collection::vec(-1e4f32..1e4, 1..100)) {
            let blocks = x.len().div_ceil(BLOCK) + 1;
            let quantised = Activations::new(Rows::whole(&x, x.len()), blocks);
            let bytes: Vec<i8> = quantised.values.iter().flat_map(|block| block.codes)
                .flat_map(|code| code.to_le_bytes().map(|byte| byte as i8)).collect();
            for (index, &byte) in bytes.iter().enumerate() {
                let scale = quantised.values[index / BLOCK].scale;
                let value = x.get(index).copied().unwrap_or(0.0);
                prop_assert!((f32::from(byte) * scale - value).abs() <= 0.500_01 * scale);
            }
            for (half, sum) in bytes.chunks(16).zip(quantised.values.iter().flat_map(|block| block.sums)) {
                prop_assert_eq!(half.iter().map(|&byte| i32::from(byte)).sum::<i32>(), sum);
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let quantised = Activations::new(Rows::whole(&[1.0, bad, 2.0], 3), 1);
            assert!(!quantised.values[0].scale.is_finite());
        }
    }
}

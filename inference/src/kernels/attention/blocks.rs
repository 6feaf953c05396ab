//! One head's keys and values in blocks of 16 positions.

use crate::kernels::{
    LANES, Packed, Rows,
    tile::{load, rows_of, store},
};

/// Values of one block: row `t` starts at `t * stride` and may be read 16 lanes at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockValues<'a> {
    /// The block's rows from the head's first column on, and 15 values more.
    pub(crate) values: &'a [f32],
    /// Distance between positions.
    pub(crate) stride: usize,
}

/// Keys and values of one head from position 0, block by block.
///
/// Lanes beyond the sequence's end may hold anything finite: they are never looked at.
pub(crate) trait HeadBlocks: Sync {
    /// Keys of a block, transposed: `(key_dim, 16)`.
    fn keys(&self, block: usize) -> &[f32];

    /// Values of a block.
    fn values(&self, block: usize) -> BlockValues<'_>;
}

/// A head packed from contiguous rows.
#[derive(Debug)]
pub(crate) struct PackedHead {
    keys: Packed,
    values: Vec<f32>,
    stride: usize,
}

impl PackedHead {
    /// Packs `keys (length, key_dim)` and `values (length, value_dim)`.
    pub(crate) fn new(keys: Rows<'_>, values: Rows<'_>) -> Self {
        let stride = values.width;
        let mut padded = Vec::with_capacity(values.rows * stride + LANES);
        for row in 0..values.rows {
            padded.extend_from_slice(&values.values[row * values.stride..][..stride]);
        }
        padded.resize(values.rows * stride + LANES, 0.0);
        Self { keys: Packed::from_transposed(keys), values: padded, stride }
    }
}

impl HeadBlocks for PackedHead {
    #[inline(always)]
    fn keys(&self, block: usize) -> &[f32] {
        self.keys.panel(block)
    }

    #[inline(always)]
    fn values(&self, block: usize) -> BlockValues<'_> {
        let values = &self.values[block * LANES * self.stride..];
        BlockValues { values, stride: self.stride }
    }
}

/// Adds `weights V` for one block to `out (rows, value_dim)`.
///
/// - `weights`: rows of `count <= 16` values, `weight_stride` apart
///
/// Each element's products are added in order of position to what `out` holds.
///
/// # Panics
/// If the weights or the block's values are too short.
#[inline(always)]
pub(super) fn add_weighted_values<const ROWS: usize>(
    weights: &[f32],
    weight_stride: usize,
    count: usize,
    block: BlockValues<'_>,
    value_dim: usize,
    out: &mut [f32],
) {
    for first in (0..value_dim).step_by(LANES) {
        let width = LANES.min(value_dim - first);
        let values = &block.values[first..];
        let mut rest = &mut *out;
        let mut weights = weights;
        macro_rules! rows_of {
            ($size:expr) => {
                while rest.len() >= $size * value_dim {
                    let (rows, after) = rest.split_at_mut($size * value_dim);
                    let stride = block.stride;
                    add_tile::<{ $size }>(
                        weights,
                        weight_stride,
                        count,
                        values,
                        stride,
                        rows,
                        value_dim,
                        first,
                        width,
                    );
                    rest = after;
                    if !rest.is_empty() {
                        weights = &weights[$size * weight_stride..];
                    }
                }
            };
        }
        rows_of!(ROWS);
        rows_of!(4);
        rows_of!(2);
        rows_of!(1);
    }
}

/// `R` rows by 16 columns of [`add_weighted_values`].
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a register tile: three matrices with their strides")]
fn add_tile<const R: usize>(
    weights: &[f32],
    weight_stride: usize,
    count: usize,
    values: &[f32],
    value_stride: usize,
    out: &mut [f32],
    out_stride: usize,
    first: usize,
    width: usize,
) {
    let mut rows = rows_of::<R>(weights, weight_stride, 0);
    for row in &mut rows {
        *row = &row[..count];
    }
    let mut sums = [[0.0f32; LANES]; R];
    for (r, sum) in sums.iter_mut().enumerate() {
        load(&out[r * out_stride + first..][..width], sum);
    }
    assert!(count > 0 && (count - 1) * value_stride + LANES <= values.len(), "block is too short");
    for k in 0..count {
        // SAFETY: the assertion above, for `k <= count - 1`.
        let column = unsafe { &*values.as_ptr().add(k * value_stride).cast::<[f32; LANES]>() };
        // Written out for the same reason as in `tile`.
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: every row of weights has `count` values, and `k < count`.
                    let weight = unsafe { *rows[$r].get_unchecked(k) };
                    let sum: &mut [f32; LANES] = &mut sums[$r];
                    for j in 0..LANES {
                        sum[j] += weight * column[j];
                    }
                }
            )*};
        }
        accumulate!(0 1 2 3 4 5 6 7);
    }
    for (r, sum) in sums.iter().enumerate() {
        store(sum, &mut out[r * out_stride + first..][..width]);
    }
}

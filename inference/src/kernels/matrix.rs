//! Matrices by rows, and by panels of 16 columns.

use rayon::prelude::*;

use super::tile::{LANES, Panel};

/// Rows of a row-major matrix, possibly some columns of a wider one.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Values; row `i` starts at `i * stride`.
    pub values: &'a [f32],
    /// Distance between rows.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Values per row.
    pub width: usize,
}

impl<'a> Rows<'a> {
    /// A whole row-major matrix of rows of `width` values.
    ///
    /// # Panics
    /// If `values` is not whole rows.
    pub fn whole(values: &'a [f32], width: usize) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "values are not whole rows");
        Self { values, stride: width, rows: values.len() / width, width }
    }

    /// Rows `at`.
    pub(crate) fn range(&self, at: std::ops::Range<usize>) -> Self {
        Self { values: &self.values[at.start * self.stride..], rows: at.len(), ..*self }
    }

    /// `width` columns from `first` on.
    pub fn columns(&self, first: usize, width: usize) -> Self {
        Self { values: &self.values[first..], width, ..*self }
    }
}

/// A `(depth, columns)` matrix in panels of 16 columns, the form that the tile reads in sequence.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    panels: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Packed {
    /// Packs a row-major `(depth, columns)` matrix.
    pub fn from_rows(matrix: Rows<'_>) -> Self {
        let mut packed = Self::zeroed(matrix.rows, matrix.width);
        for (panel, target) in packed.panels.chunks_mut(matrix.rows.max(1) * LANES).enumerate() {
            let first = panel * LANES;
            let count = LANES.min(matrix.width - first);
            for (k, lanes) in target.chunks_mut(LANES).enumerate() {
                let row = &matrix.values[k * matrix.stride + first..][..count];
                lanes[..count].copy_from_slice(row);
            }
        }
        packed
    }

    /// Packs the transpose of a row-major `(columns, depth)` matrix: for a weight `W (d_out, d_in)`
    /// this is `W^T`, so that `x W^T` is [`matmul`] with it.
    pub fn from_transposed(matrix: Rows<'_>) -> Self {
        let mut packed = Self::zeroed(matrix.width, matrix.rows);
        for (panel, target) in packed.panels.chunks_mut(matrix.width.max(1) * LANES).enumerate() {
            let first = panel * LANES;
            for j in 0..LANES.min(matrix.rows - first) {
                let row = &matrix.values[(first + j) * matrix.stride..][..matrix.width];
                for (k, value) in row.iter().enumerate() {
                    target[k * LANES + j] = *value;
                }
            }
        }
        packed
    }

    /// A `(depth, columns)` matrix whose panels `fill(panel, values)` writes, on the threads of the pool;
    /// values that it leaves are zero.
    pub(super) fn filled(
        depth: usize,
        columns: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let mut packed = Self::zeroed(depth, columns);
        let panels = packed.panels.par_chunks_mut(depth.max(1) * LANES).enumerate();
        // A panel alone is less work than waking a thread.
        panels.with_min_len(4).for_each(|(panel, values)| fill(panel, values));
        packed
    }

    fn zeroed(depth: usize, columns: usize) -> Self {
        Self { panels: vec![0.0; columns.div_ceil(LANES) * depth * LANES], depth, columns }
    }

    /// Rows of the matrix: the sum's length.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix: the result's width.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes held.
    pub const fn bytes(&self) -> usize {
        4 * self.panels.len()
    }

    /// One panel, `(depth, 16)`.
    #[inline(always)]
    pub(super) fn panel(&self, index: usize) -> &[f32] {
        &self.panels[index * self.depth * LANES..][..self.depth * LANES]
    }

    /// The matrix back as row-major `(columns, depth)`: the weight that was packed transposed.
    pub fn to_transposed(&self) -> Vec<f32> {
        let mut matrix = vec![0.0; self.columns * self.depth];
        for (column, row) in matrix.chunks_mut(self.depth.max(1)).enumerate() {
            let panel = self.panel(column / LANES);
            for (k, value) in row.iter_mut().enumerate() {
                *value = panel[k * LANES + column % LANES];
            }
        }
        matrix
    }
}

/// A `(depth, columns)` matrix in panels of 16 columns.
pub(crate) trait Panels: Sync {
    /// One panel.
    type Panel<'a>: Panel
    where
        Self: 'a;

    /// Whether its values are not stored as f32.
    const NARROW: bool;

    /// Rows of the matrix.
    fn depth(&self) -> usize;

    /// Columns of the matrix.
    fn columns(&self) -> usize;

    /// Columns `16 index..` of the matrix.
    fn panel(&self, index: usize) -> Self::Panel<'_>;
}

impl Panels for Packed {
    type Panel<'a> = &'a [f32];
    const NARROW: bool = false;

    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    #[inline(always)]
    fn panel(&self, index: usize) -> &[f32] {
        Self::panel(self, index)
    }
}

/// The columns of a row-major matrix in panels, read where they lie.
#[derive(Clone, Copy)]
pub(super) struct Wide<'a>(Rows<'a>);

impl<'a> Wide<'a> {
    /// `None` if the last panel would not be whole.
    pub(super) fn new(matrix: Rows<'a>) -> Option<Self> {
        matrix.width.is_multiple_of(LANES).then_some(Self(matrix))
    }
}

/// A panel of [`Wide`].
#[derive(Clone, Copy)]
pub(super) struct WidePanel<'a> {
    values: &'a [f32],
    stride: usize,
}

impl Panel for WidePanel<'_> {
    #[inline(always)]
    fn check(self, depth: usize) {
        let end = depth.checked_sub(1).map_or(0, |last| last * self.stride + LANES);
        assert!(self.values.len() >= end, "panel is too short for depth {depth}");
    }

    #[inline(always)]
    unsafe fn lanes(self, k: usize) -> [f32; LANES] {
        // SAFETY: `k * stride + LANES` is within the length that `check` compared with.
        unsafe {
            self.values.as_ptr().add(k.wrapping_mul(self.stride)).cast::<[f32; LANES]>().read()
        }
    }
}

impl Panels for Wide<'_> {
    type Panel<'b>
        = WidePanel<'b>
    where
        Self: 'b;
    const NARROW: bool = false;

    fn depth(&self) -> usize {
        self.0.rows
    }

    fn columns(&self) -> usize {
        self.0.width
    }

    #[inline(always)]
    fn panel(&self, index: usize) -> WidePanel<'_> {
        WidePanel { values: &self.0.values[index * LANES..], stride: self.0.stride }
    }
}

/// The transpose of a row-major matrix.
pub fn transpose(matrix: Rows<'_>) -> Vec<f32> {
    let mut out = vec![0.0; matrix.rows * matrix.width];
    // Blocks keep both sides in cache.
    const BLOCK: usize = 32;
    for row_block in (0..matrix.rows).step_by(BLOCK) {
        for column_block in (0..matrix.width).step_by(BLOCK) {
            let count = BLOCK.min(matrix.rows - row_block);
            for column in column_block..matrix.width.min(column_block + BLOCK) {
                let from = &matrix.values[row_block * matrix.stride + column..];
                let to = &mut out[column * matrix.rows + row_block..][..count];
                for (to, from) in to.iter_mut().zip(from.iter().step_by(matrix.stride)) {
                    *to = *from;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_the_matrix() {
        let w: Vec<f32> = (0..37 * 21).map(|value| value as f32).collect();
        let rows = Rows::whole(&w, 21);
        assert_eq!(Packed::from_transposed(rows).to_transposed(), w);
        let turned = transpose(rows);
        assert_eq!(Packed::from_rows(Rows::whole(&turned, 37)).to_transposed(), w);
    }
}

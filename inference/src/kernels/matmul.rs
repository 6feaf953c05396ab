//! Matrix product of packed activations with a packed matrix.

use rayon::prelude::*;

use super::{
    dispatch::{Kernel, Level, dispatch, dispatch_at},
    share::{Output, Task, shared},
    tile::{LANES, Panel, load, store, tiles_from},
};

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

    /// Row `at`.
    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &'a [f32] {
        &self.values[at * self.stride..][..self.width]
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

    /// Rows of the matrix.
    fn depth(&self) -> usize;

    /// Columns of the matrix.
    fn columns(&self) -> usize;

    /// Columns `16 index..` of the matrix.
    fn panel(&self, index: usize) -> Self::Panel<'_>;
}

impl Panels for Packed {
    type Panel<'a> = &'a [f32];

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

/// `a B` for `a (rows, depth)` and `B (depth, columns)`, row-major.
///
/// Element `(i, j)` is the sum over `k = 0, 1, ...` in this order of the rounded products
/// `a[i][k] B[k][j]`.
///
/// # Panics
/// If `a` is not `depth` wide.
pub fn matmul(a: Rows<'_>, b: &Packed) -> Vec<f32> {
    product(a, b)
}

/// [`matmul`] with a matrix in any form.
pub(crate) fn product<B: Panels>(a: Rows<'_>, b: &B) -> Vec<f32> {
    let mut out = vec![0.0f32; a.rows * b.columns()];
    add_product(Level::detect(), a, b, &mut out);
    out
}

/// `out += a b`, each sum going on from the element of `out`: adding the parts of a long sum one
/// after another gives the bits of the whole.
///
/// # Panics
/// If `a` is not `depth` wide or `out` not `(rows, columns)`.
pub(crate) fn add_product<B: Panels>(level: Level, a: Rows<'_>, b: &B, out: &mut [f32]) {
    assert_eq!(a.width, b.depth(), "inner sizes of a matrix product differ");
    assert_eq!(out.len(), a.rows * b.columns(), "output of another size");
    shared(out, b.columns(), b.depth(), |out, task| {
        dispatch_at(level, Block { a, b, out, task });
    });
}

/// Some rows of `a` times some panels of `b`.
struct Block<'a, B> {
    a: Rows<'a>,
    b: &'a B,
    out: &'a Output<'a>,
    task: Task,
}

impl<B: Panels> Kernel for Block<'_, B> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { a, b, out, task: Task { rows, panels } } = self;
        let values = &a.values[rows.start * a.stride..];
        for panel in panels {
            let start = |row: usize| {
                let mut sums = [0.0; LANES];
                // SAFETY: the row and panel are this task's.
                load(unsafe { out.part(rows.start + row, panel) }, &mut sums);
                sums
            };
            let finish = |row: usize, sums: &[f32; LANES]| {
                // SAFETY: the row and panel are this task's.
                store(sums, unsafe { out.part(rows.start + row, panel) });
            };
            let matrix = b.panel(panel);
            tiles_from::<ROWS>(values, a.stride, rows.len(), b.depth(), matrix, start, finish);
        }
    }
}

/// `a^T b` for `a (rows, p)` and `b (rows, q)`, row-major `(p, q)`.
///
/// Element `(i, j)` is the sum over rows in their order of the rounded products `a[t][i] b[t][j]`: the
/// bits of [`matmul`] with the transpose, without turning or packing anything. For a narrow `a` or `b`.
///
/// # Panics
/// If they have not as many rows.
pub(crate) fn columns_product(a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    assert_eq!(a.rows, b.rows, "rows of a product of columns differ");
    // The inner loop runs over the wider one.
    if a.width > b.width {
        return transpose(Rows::whole(&columns_product(b, a), a.width));
    }
    let mut out = vec![0.0; a.width * b.width];
    dispatch(OuterSum { a, b, out: &mut out });
    out
}

/// `out[i] += a[t][i] b[t]` for all rows `t`.
struct OuterSum<'a> {
    a: Rows<'a>,
    b: Rows<'a>,
    out: &'a mut [f32],
}

impl Kernel for OuterSum<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { a, b, out } = self;
        for t in 0..a.rows {
            let (gains, row) = (a.row(t), b.row(t));
            for (sums, gain) in out.chunks_exact_mut(b.width).zip(gains) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += gain * x);
            }
        }
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
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn random(seed: u64, count: usize) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// The specification: one element after another.
    fn plain(a: Rows<'_>, weight: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        for row in 0..a.rows {
            for column in weight.chunks(a.width) {
                let mut sum = 0.0f32;
                for (k, w) in column.iter().enumerate() {
                    sum += a.values[row * a.stride + k] * w;
                }
                out.push(sum);
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_level_gives_the_bits_of_the_plain_loop(
            rows in 1usize..140, depth in 1usize..70, columns in 1usize..90, seed: u64,
        ) {
            let (x, w) = (random(seed, rows * depth), random(!seed, columns * depth));
            let packed = Packed::from_transposed(Rows::whole(&w, depth));
            let expected = plain(Rows::whole(&x, depth), &w);
            for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
                let mut out = vec![0.0; rows * columns];
                add_product(level, Rows::whole(&x, depth), &packed, &mut out);
                prop_assert_eq!(&out, &expected);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch_or_the_thread_count() {
        let (depth, columns) = (192, 1024);
        let (x, w) = (random(1, 200 * depth), random(2, columns * depth));
        let packed = Packed::from_transposed(Rows::whole(&w, depth));
        let together = matmul(Rows::whole(&x, depth), &packed);
        for (row, expected) in together.chunks(columns).enumerate() {
            let alone = matmul(Rows::whole(&x[row * depth..][..depth], depth), &packed);
            assert_eq!(alone, expected);
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| matmul(Rows::whole(&x, depth), &packed)), together);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_product_of_columns_has_the_bits_of_the_product_with_the_transpose(
            rows in 1usize..70, p in 1usize..40, q in 1usize..90, seed: u64,
        ) {
            let (a, b) = (random(seed, rows * p), random(!seed, rows * q));
            let (a, b) = (Rows::whole(&a, p), Rows::whole(&b, q));
            let turned = transpose(a);
            let expected = matmul(Rows::whole(&turned, rows), &Packed::from_rows(b));
            prop_assert_eq!(columns_product(a, b), expected);
        }
    }

    #[test]
    fn packing_keeps_the_matrix() {
        let w = random(3, 37 * 21);
        let rows = Rows::whole(&w, 21);
        assert_eq!(Packed::from_transposed(rows).to_transposed(), w);
        let turned = transpose(rows);
        assert_eq!(Packed::from_rows(Rows::whole(&turned, 37)).to_transposed(), w);
    }
}

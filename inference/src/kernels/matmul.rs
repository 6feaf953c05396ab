//! Matrix product of packed activations with a packed matrix.

use rayon::prelude::*;

use super::{
    dispatch::{Kernel, Level, dispatch_at},
    tile::{LANES, tiles},
};

/// Rows that one task computes when rows are shared out among threads.
const TASK_ROWS: usize = 64;
/// Products below which a second thread costs more than it gains.
const SERIAL_PRODUCTS: usize = 1 << 18;

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

/// `a B` for `a (rows, depth)` and `B (depth, columns)`, row-major.
///
/// Element `(i, j)` is the sum over `k = 0, 1, ...` in this order of the rounded products
/// `a[i][k] B[k][j]`.
///
/// # Panics
/// If `a` is not `depth` wide.
pub fn matmul(a: Rows<'_>, b: &Packed) -> Vec<f32> {
    matmul_at(Level::detect(), a, b)
}

fn matmul_at(level: Level, a: Rows<'_>, b: &Packed) -> Vec<f32> {
    assert_eq!(a.width, b.depth, "inner sizes of a matrix product differ");
    let width = b.columns;
    let mut out = vec![0.0f32; a.rows * width];
    if out.is_empty() {
        return out;
    }
    let panels = width.div_ceil(LANES);
    if a.rows * width * b.depth < SERIAL_PRODUCTS {
        dispatch_at(level, Block { a, b, panels: 0..panels, out: &mut out, width });
    } else if a.rows > TASK_ROWS {
        out.par_chunks_mut(TASK_ROWS * width).enumerate().for_each(|(task, out)| {
            let first = task * TASK_ROWS;
            let a = Rows { values: &a.values[first * a.stride..], rows: out.len() / width, ..a };
            dispatch_at(level, Block { a, b, panels: 0..panels, out, width });
        });
    } else {
        by_panels(level, a, b, &mut out);
    }
    out
}

/// Shares the columns out among threads: for few rows, as in decoding.
fn by_panels(level: Level, a: Rows<'_>, b: &Packed, out: &mut [f32]) {
    let panels = b.columns.div_ceil(LANES);
    let share = panels.div_ceil(4 * rayon::current_num_threads()).max(1);
    let parts: Vec<(usize, usize, Vec<f32>)> = (0..panels.div_ceil(share))
        .into_par_iter()
        .map(|part| {
            let range = part * share..panels.min((part + 1) * share);
            let first = range.start * LANES;
            let width = b.columns.min(range.end * LANES) - first;
            let mut out = vec![0.0; a.rows * width];
            dispatch_at(level, Block { a, b, panels: range, out: &mut out, width });
            (first, width, out)
        })
        .collect();
    for (first, width, part) in parts {
        for (row, values) in part.chunks(width).enumerate() {
            out[row * b.columns + first..][..width].copy_from_slice(values);
        }
    }
}

/// All rows of `a` times some panels of `b`; `out` is `(rows, width)`.
struct Block<'a> {
    a: Rows<'a>,
    b: &'a Packed,
    panels: std::ops::Range<usize>,
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for Block<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { a, b, panels, out, width } = self;
        let begin = panels.start;
        for panel in panels {
            let first = (panel - begin) * LANES;
            let count = LANES.min(width - first);
            tiles::<ROWS>(a.values, a.stride, a.rows, b.depth, b.panel(panel), |row, sums| {
                out[row * width + first..][..count].copy_from_slice(&sums[..count]);
            });
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
                prop_assert_eq!(&matmul_at(level, Rows::whole(&x, depth), &packed), &expected);
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

    #[test]
    fn packing_keeps_the_matrix() {
        let w = random(3, 37 * 21);
        let rows = Rows::whole(&w, 21);
        assert_eq!(Packed::from_transposed(rows).to_transposed(), w);
        let turned = transpose(rows);
        assert_eq!(Packed::from_rows(Rows::whole(&turned, 37)).to_transposed(), w);
    }
}

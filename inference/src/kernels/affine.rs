//! Affine maps of many rows at once, on the calling thread.

use super::{
    Packed, Rows,
    dispatch::{Kernel, Level, dispatch_at},
    tile::{LANES, load, store},
};

/// Inputs that are summed up before the next rows come: two panels of so many are 48 KiB, which stay
/// in the first cache while all rows pass by. The bits do not depend on it.
const DEPTH: usize = 384;

/// A frozen `x W^T + b`.
#[derive(Debug)]
pub(crate) struct Affine {
    matrix: Packed,
    /// Padded with zeros to whole panels.
    bias: Vec<f32>,
}

impl Affine {
    /// - `weight`: `(d_out, d_in)`
    /// - `bias`: `(d_out,)`
    ///
    /// # Panics
    /// If the bias has another length.
    pub(crate) fn new(weight: Rows<'_>, mut bias: Vec<f32>) -> Self {
        assert_eq!(weight.rows, bias.len(), "bias of another width");
        bias.resize(weight.rows.next_multiple_of(LANES), 0.0);
        Self { matrix: Packed::from_transposed(weight), bias }
    }

    /// Width of the result.
    pub(crate) const fn columns(&self) -> usize {
        self.matrix.columns()
    }

    /// `x W^T + b`, `(rows, d_out)`.
    ///
    /// Element `(i, j)` is the sum over `k = 0, 1, ...` in this order of the rounded products
    /// `x[i][k] W[j][k]`, as of [`matmul`](super::matmul), plus `b[j]`.
    ///
    /// # Panics
    /// If `x` is not `d_in` wide.
    pub(crate) fn of(&self, x: Rows<'_>) -> Vec<f32> {
        let mut out = vec![0.0; x.rows * self.columns()];
        self.write(Level::detect(), x, &mut out);
        out
    }

    fn write(&self, level: Level, x: Rows<'_>, out: &mut [f32]) {
        assert_eq!(x.width, self.matrix.depth(), "inner sizes of a matrix product differ");
        assert_eq!(out.len(), x.rows * self.columns(), "output of another size");
        dispatch_at(level, Apply { map: self, x, out });
    }
}

struct Apply<'a> {
    map: &'a Affine,
    x: Rows<'a>,
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(mut self) {
        let panels = self.map.columns().div_ceil(LANES);
        let mut panel = 0;
        // 32 registers of 512 bits hold the sums of two panels.
        while ROWS == 8 && panel + 2 <= panels {
            self.strip::<ROWS, 2>(panel);
            panel += 2;
        }
        while panel < panels {
            self.strip::<ROWS, 1>(panel);
            panel += 1;
        }
    }
}

impl Apply<'_> {
    /// All rows by `P` panels from `first` on.
    #[inline(always)]
    fn strip<const ROWS: usize, const P: usize>(&mut self, first: usize) {
        let depth = self.map.matrix.depth();
        for start in (0..depth).step_by(DEPTH) {
            let part = start..depth.min(start + DEPTH);
            let mut row = 0;
            macro_rules! blocks {
                ($size:expr) => {
                    while self.x.rows - row >= $size {
                        self.block::<{ $size }, P>(row, first, part.clone());
                        row += $size;
                    }
                };
            }
            blocks!(ROWS);
            blocks!(4);
            blocks!(2);
            blocks!(1);
        }
    }

    /// Adds the inputs `part` to the sums of `R` rows, and the bias behind the last of them.
    #[inline(always)]
    fn block<const R: usize, const P: usize>(
        &mut self,
        row: usize,
        first: usize,
        part: std::ops::Range<usize>,
    ) {
        let Self { map, x, out } = self;
        let (width, depth) = (map.columns(), map.matrix.depth());
        let panels: [&[f32]; P] = std::array::from_fn(|p| {
            &map.matrix.panel(first + p)[part.start * LANES..part.end * LANES]
        });
        let rows: [&[f32]; R] =
            std::array::from_fn(|r| &x.values[(row + r) * x.stride..][part.clone()]);
        let mut sums = [[[0.0f32; LANES]; P]; R];
        let place = |r: usize, p: usize| {
            let column = (first + p) * LANES;
            let start = (row + r) * width + column;
            start..start + LANES.min(width - column)
        };
        if part.start > 0 {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (p, sums) in sums.iter_mut().enumerate() {
                    load(&out[place(r, p)], sums);
                }
            }
        }
        let mut sums = accumulate(rows, panels, part.len(), sums);
        for (r, sums) in sums.iter_mut().enumerate() {
            for (p, sums) in sums.iter_mut().enumerate() {
                if part.end == depth {
                    let bias = &map.bias[(first + p) * LANES..][..LANES];
                    sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
                }
                store(sums, &mut out[place(r, p)]);
            }
        }
    }
}

/// Adds the products of `R` rows and `P` panels to `sums`, input after input.
///
/// # Panics
/// If a row or panel has fewer than `depth` inputs.
#[inline(always)]
fn accumulate<const R: usize, const P: usize>(
    rows: [&[f32]; R],
    panels: [&[f32]; P],
    depth: usize,
    mut sums: [[[f32; LANES]; P]; R],
) -> [[[f32; LANES]; P]; R] {
    // Sliced here, so that the loop has no checks.
    let rows = rows.map(|row| &row[..depth]);
    let panels = panels.map(|panel| &panel[..depth * LANES]);
    for k in 0..depth {
        let columns: [[f32; LANES]; P] = std::array::from_fn(|p| {
            // SAFETY: `(k + 1) * LANES` is within the panel, sliced above.
            unsafe { panels[p].as_ptr().add(k * LANES).cast::<[f32; LANES]>().read() }
        });
        // Written out: left as a loop over rows, the compiler vectorises across them, with gathers.
        macro_rules! add {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: `k < depth`, the length of every row.
                    let value = unsafe { *rows[$r].get_unchecked(k) };
                    let sums: &mut [[f32; LANES]; P] = &mut sums[$r];
                    for p in 0..P {
                        for j in 0..LANES {
                            sums[p][j] += value * columns[p][j];
                        }
                    }
                }
            )*};
        }
        add!(0 1 2 3 4 5 6 7);
    }
    sums
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_level_gives_the_bits_of_the_plain_loop(
            rows in 1usize..30, depth in 1usize..900, columns in 1usize..90, seed: u64,
        ) {
            let (x, w) = (random(seed, rows * depth), random(!seed, columns * depth));
            let bias = random(seed ^ 1, columns);
            let mut expected = Vec::new();
            for row in x.chunks(depth) {
                for (weight, bias) in w.chunks(depth).zip(&bias) {
                    expected.push(row.iter().zip(weight).fold(0.0, |sum, (x, w)| sum + x * w) + bias);
                }
            }
            let map = Affine::new(Rows::whole(&w, depth), bias);
            for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
                let mut out = vec![f32::NAN; rows * columns];
                map.write(level, Rows::whole(&x, depth), &mut out);
                prop_assert_eq!(&out, &expected);
            }
            prop_assert_eq!(map.of(Rows::whole(&x, depth)), expected);
        }
    }

    #[test]
    fn rows_may_be_columns_of_a_wider_matrix() {
        let (x, w) = (random(1, 5 * 40), random(2, 3 * 7));
        let map = Affine::new(Rows::whole(&w, 7), vec![0.5; 3]);
        let narrow: Vec<f32> = x.chunks(40).flat_map(|row| row[9..16].to_vec()).collect();
        let part = Rows::whole(&x, 40).columns(9, 7);
        assert_eq!(map.of(part), map.of(Rows::whole(&narrow, 7)));
    }
}

//! Products in blocks: some rows by one panel or two.

use std::ops::Range;

use super::{
    Rows,
    dispatch::{Kernel, Level, dispatch_at},
    matrix::Panels,
    share::{Output, Task, alone, shared},
    tile::{LANES, Left, Panel, load, rows_of, store, tile},
};

/// Panel rows that are summed up before the next rows of `A` come: 48 KiB, which stay in the first
/// cache while all rows pass by. The bits do not depend on it.
const HELD: usize = 768;
/// Rows of `A` from which on panels that are not f32 are widened once for all of them.
const WIDENED: usize = 8;

/// A matrix `A` on the left of a product.
pub(super) trait Operand: Copy + Sync {
    /// Some of its rows.
    type Tile<const R: usize>: Left<R>;

    fn rows(self) -> usize;

    /// Inputs of a row.
    fn depth(self) -> usize;

    /// Some inputs of `R` rows from `first` on.
    fn tile<const R: usize>(self, first: usize, inputs: Range<usize>) -> Self::Tile<R>;
}

impl<'a> Operand for Rows<'a> {
    type Tile<const R: usize> = [&'a [f32]; R];

    #[inline(always)]
    fn rows(self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn depth(self) -> usize {
        self.width
    }

    #[inline(always)]
    fn tile<const R: usize>(self, first: usize, inputs: Range<usize>) -> [&'a [f32]; R] {
        rows_of(&self.values[inputs.start..], self.stride, first)
    }
}

/// The transpose of a matrix, which is read where it lies.
#[derive(Clone, Copy)]
pub(super) struct Turned<'a>(pub(super) Rows<'a>);

impl<'a> Operand for Turned<'a> {
    type Tile<const R: usize> = Columns<'a>;

    #[inline(always)]
    fn rows(self) -> usize {
        let Self(matrix) = self;
        matrix.width
    }

    #[inline(always)]
    fn depth(self) -> usize {
        let Self(matrix) = self;
        matrix.rows
    }

    #[inline(always)]
    fn tile<const R: usize>(self, first: usize, inputs: Range<usize>) -> Columns<'a> {
        Columns(self.0.range(inputs).columns(first, R))
    }
}

/// Columns of a row-major matrix as rows.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(Rows<'a>);

impl<const R: usize> Left<R> for Columns<'_> {
    #[inline(always)]
    fn check(self, depth: usize) {
        let Rows { values, stride, rows, width } = self.0;
        let end = depth.checked_sub(1).map_or(0, |last| last * stride + R);
        assert!(depth <= rows && R <= width && end <= values.len(), "too few rows for {depth}");
    }

    #[inline(always)]
    unsafe fn value(self, r: usize, k: usize) -> f32 {
        // SAFETY: `r < R`, and `check` compared the end of row `k` with the length.
        unsafe { *self.0.values.get_unchecked(k.wrapping_mul(self.0.stride).wrapping_add(r)) }
    }
}

/// What becomes of the sums of a product.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    /// They are the result.
    Stored,
    /// They go on from what is there: adding the parts of a long sum one after another gives the
    /// bits of the whole.
    Continued,
    /// A bias for each column, padded to whole panels, is added to them.
    Biased(&'a [f32]),
    /// So many times the finished sums are added to what is there.
    Scaled(f32),
}

/// `A B`: element `(i, j)` is the sum over `k = 0, 1, ...` in this order of the rounded products
/// `a[i][k] b[k][j]`.
pub(super) struct Product<'a, A, B> {
    pub(super) a: A,
    pub(super) b: &'a B,
    pub(super) end: End<'a>,
}

impl<A: Operand, B: Panels> Product<'_, A, B> {
    /// Computes it into `out` on the threads of the pool.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is not `(rows, columns)`.
    pub(super) fn write(&self, level: Level, out: &mut [f32]) {
        self.check(out);
        shared(out, self.b.columns(), self.b.depth(), |out, task| self.compute(level, out, task));
    }

    /// [`Self::write`] on the calling thread.
    pub(super) fn write_alone(&self, level: Level, out: &mut [f32]) {
        self.check(out);
        alone(out, self.b.columns(), |out, task| self.compute(level, out, task));
    }

    fn check(&self, out: &[f32]) {
        assert_eq!(self.a.depth(), self.b.depth(), "inner sizes of a matrix product differ");
        assert_eq!(out.len(), self.a.rows() * self.b.columns(), "output of another size");
        if let End::Biased(bias) = self.end {
            assert_eq!(
                bias.len(),
                self.b.columns().next_multiple_of(LANES),
                "bias of another width"
            );
        }
    }

    fn compute(&self, level: Level, out: &Output<'_>, task: Task) {
        dispatch_at(level, Blocks { product: self, out, task });
    }
}

/// Some rows of a product by some of its panels.
struct Blocks<'a, A, B> {
    product: &'a Product<'a, A, B>,
    out: &'a Output<'a>,
    task: Task,
}

impl<A: Operand, B: Panels> Kernel for Blocks<'_, A, B> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Range { start: mut panel, end } = self.task.panels;
        macro_rules! strips {
            ($rows:expr, $panels:literal) => {
                while end - panel >= $panels {
                    self.strip::<{ $rows }, $panels>(panel);
                    panel += $panels;
                }
            };
        }
        // 32 registers of 512 bits hold the sums of 8 rows and two panels. With fewer rows the matrix
        // comes from memory, which is fastest in one stream.
        if ROWS == 8 && self.task.rows.len() >= ROWS {
            strips!(ROWS, 2);
        }
        strips!(ROWS, 1);
    }
}

impl<A: Operand, B: Panels> Blocks<'_, A, B> {
    /// All rows by `P` panels from `first` on.
    #[inline(always)]
    fn strip<const ROWS: usize, const P: usize>(&self, first: usize) {
        let depth = self.product.b.depth();
        // What is scaled must be whole.
        let share = if matches!(self.product.end, End::Scaled(_)) { depth } else { HELD / P };
        let mut widened = vec![];
        let mut start = 0;
        loop {
            let inputs = start..depth.min(start + share);
            if B::NARROW && self.task.rows.len() >= WIDENED {
                widened.resize(P * inputs.len() * LANES, 0.0);
                let parts = widened.chunks_exact_mut(inputs.len() * LANES);
                let mut held: [&[f32]; P] = [&[]; P];
                for (p, part) in parts.enumerate() {
                    widen(self.product.b.panel(first + p), inputs.clone(), part);
                    held[p] = part;
                }
                self.rows::<ROWS, P>(held, 0, first, inputs.clone());
            } else {
                let mut panels = [self.product.b.panel(first); P];
                for (p, panel) in panels.iter_mut().enumerate() {
                    *panel = self.product.b.panel(first + p);
                }
                self.rows::<ROWS, P>(panels, inputs.start, first, inputs.clone());
            }
            start = inputs.end;
            if start == depth {
                break;
            }
        }
    }

    /// All rows by `panels`, which are those from `first` on, for some inputs; the first of them is in
    /// row `held` of the panels.
    #[inline(always)]
    fn rows<const ROWS: usize, const P: usize>(
        &self,
        panels: [impl Panel; P],
        held: usize,
        first: usize,
        inputs: Range<usize>,
    ) {
        let mut row = self.task.rows.start;
        macro_rules! blocks {
            ($size:expr) => {
                while self.task.rows.end - row >= $size {
                    self.block::<{ $size }, P>(row, (first, panels), held, inputs.clone());
                    row += $size;
                }
            };
        }
        blocks!(ROWS);
        blocks!(4);
        blocks!(2);
        blocks!(1);
    }

    /// Adds the products of `inputs` to the sums of `R` rows and `P` panels.
    #[inline(always)]
    fn block<const R: usize, const P: usize>(
        &self,
        row: usize,
        (first, panels): (usize, [impl Panel; P]),
        held: usize,
        inputs: Range<usize>,
    ) {
        let Product { a, b, end } = self.product;
        let goes_on = inputs.start > 0 || matches!(end, End::Continued);
        let last = inputs.end == b.depth();
        let mut sums = [[[0.0f32; LANES]; P]; R];
        if goes_on {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (p, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: the row and panel are this task's.
                    load(unsafe { self.out.part(row + r, first + p) }, sums);
                }
            }
        }
        let place = (held, inputs.len());
        let mut sums = tile::<R, P>(a.tile::<R>(row, inputs), panels, place, sums);
        for (r, sums) in sums.iter_mut().enumerate() {
            for (p, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the row and panel are this task's.
                let out = unsafe { self.out.part(row + r, first + p) };
                match end {
                    End::Biased(bias) if last => {
                        let bias = &bias[(first + p) * LANES..][..LANES];
                        sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
                    }
                    End::Scaled(scale) => {
                        let mut there = [0.0; LANES];
                        load(out, &mut there);
                        let sums = sums.iter_mut().zip(there);
                        sums.for_each(|(sum, there)| *sum = there + *scale * *sum);
                    }
                    _ => {}
                }
                store(sums, out);
            }
        }
    }
}

/// Rows `inputs` of a panel as f32.
#[inline(always)]
fn widen(panel: impl Panel, inputs: Range<usize>, out: &mut [f32]) {
    panel.check(inputs.end);
    for (lanes, k) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(inputs) {
        // SAFETY: `check` accepted a depth above `k`.
        *lanes = unsafe { panel.lanes(k) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::kernels::{
        Packed,
        narrow::{Half, HalfPanels, PackedHalf},
        transpose,
    };

    /// Values that bf16 has.
    fn random(seed: u64, count: usize) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let cut = |value: f32| f32::from_bits(value.to_bits() & 0xffff_0000);
        (0..count).map(|_| cut(rng.random_range(-1.0..1.0))).collect()
    }

    /// What one sum becomes.
    fn finished(
        end: End<'_>,
        there: f32,
        column: usize,
        products: impl Iterator<Item = f32>,
    ) -> f32 {
        match end {
            End::Stored => products.fold(0.0, |sum, product| sum + product),
            End::Continued => products.fold(there, |sum, product| sum + product),
            End::Biased(bias) => products.fold(0.0, |sum, product| sum + product) + bias[column],
            End::Scaled(scale) => there + scale * products.fold(0.0, |sum, product| sum + product),
        }
    }

    /// Every level, on this thread and shared out, gives `expected`.
    fn check<A: Operand, B: Panels>(a: A, b: &B, end: End<'_>, there: &[f32], expected: &[f32]) {
        let product = Product { a, b, end };
        for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
            let [mut alone, mut shared] = [there.to_vec(), there.to_vec()];
            product.write_alone(level, &mut alone);
            assert_eq!(alone, expected, "{level:?}");
            product.write(level, &mut shared);
            assert_eq!(shared, expected, "{level:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_operand_and_end_has_the_bits_of_the_plain_loop(
            rows in 1usize..40, depth in 1usize..900, columns in 1usize..90, seed: u64,
        ) {
            let (x, w) = (random(seed, rows * depth), random(!seed, columns * depth));
            let (there, mut bias) = (random(seed ^ 1, rows * columns), random(seed ^ 2, columns));
            bias.resize(columns.next_multiple_of(LANES), 0.0);
            let (x, w) = (Rows::whole(&x, depth), Rows::whole(&w, depth));
            let turned = transpose(x);
            let bits: Vec<u16> = w.values.iter().map(|w| (w.to_bits() >> 16) as u16).collect();
            let (packed, half) =
                (Packed::from_transposed(w), PackedHalf::from_transposed(Half::Bf16, &bits, depth));
            for end in [End::Stored, End::Continued, End::Biased(&bias), End::Scaled(0.75)] {
                let mut expected = Vec::new();
                for (place, there) in there.iter().enumerate() {
                    let (row, column) = (x.range(place / columns..rows), place % columns);
                    let weight = &w.values[column * depth..][..depth];
                    let products = row.values.iter().zip(weight).map(|(x, w)| x * w);
                    expected.push(finished(end, *there, column, products));
                }
                check(x, &packed, end, &there, &expected);
                check(x, &HalfPanels::<false>(&half), end, &there, &expected);
                check(Turned(Rows::whole(&turned, rows)), &packed, end, &there, &expected);
            }
        }
    }
}

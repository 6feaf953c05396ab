//! The register tile: a few rows by some panels of columns.

/// Columns of a panel: one 512-bit vector of f32.
pub(crate) const LANES: usize = 16;

/// One panel of a matrix `B`: 16 columns, row after row, in whatever form they are stored.
pub(crate) trait Panel: Copy {
    /// # Panics
    /// If the panel has fewer than `depth` rows.
    fn check(self, depth: usize);

    /// Row `k` of the panel as f32.
    ///
    /// # Safety
    /// `k` is below a depth that [`Self::check`] accepted.
    unsafe fn lanes(self, k: usize) -> [f32; LANES];
}

impl Panel for &[f32] {
    #[inline(always)]
    fn check(self, depth: usize) {
        assert!(self.len() >= depth * LANES, "panel of {} values for depth {depth}", self.len());
    }

    #[inline(always)]
    unsafe fn lanes(self, k: usize) -> [f32; LANES] {
        // SAFETY: `(k + 1) * LANES` is within the length that `check` compared with.
        unsafe { self.as_ptr().add(k.wrapping_mul(LANES)).cast::<[f32; LANES]>().read() }
    }
}

/// `R` rows of a matrix `A`, however they lie in memory.
pub(crate) trait Left<const R: usize>: Copy {
    /// # Panics
    /// If the rows have fewer than `depth` inputs.
    fn check(self, depth: usize);

    /// Input `k` of row `r`.
    ///
    /// # Safety
    /// `r` is below `R`, and `k` below a depth that [`Self::check`] accepted.
    unsafe fn value(self, r: usize, k: usize) -> f32;
}

impl<const R: usize> Left<R> for [&[f32]; R] {
    #[inline(always)]
    fn check(self, depth: usize) {
        for row in self {
            assert!(row.len() >= depth, "row of {} values for depth {depth}", row.len());
        }
    }

    #[inline(always)]
    unsafe fn value(self, r: usize, k: usize) -> f32 {
        // SAFETY: `k` is below the length that `check` compared with.
        unsafe { *self[r].get_unchecked(k) }
    }
}

/// The part of a panel that lies in the result. A whole one without a call of `memmove`, and `sums` may
/// stay in registers.
#[inline(always)]
pub(super) fn load(from: &[f32], sums: &mut [f32; LANES]) {
    match from.first_chunk() {
        Some(whole) => *sums = *whole,
        None => {
            let mut part = [0.0; LANES];
            part[..from.len()].copy_from_slice(from);
            *sums = part;
        }
    }
}

/// The opposite of [`load`].
#[inline(always)]
pub(super) fn store(sums: &[f32; LANES], to: &mut [f32]) {
    match to.first_chunk_mut() {
        Some(whole) => *whole = *sums,
        None => {
            let part = *sums;
            if let Some(half) = to.first_chunk_mut::<8>() {
                half.copy_from_slice(&part[..8]);
                to[8..].iter_mut().zip(&part[8..]).for_each(|(to, sum)| *to = *sum);
            } else {
                to.iter_mut().zip(&part).for_each(|(to, sum)| *to = *sum);
            }
        }
    }
}

/// `R` rows times `depth` rows of `P` panels of `B` from row `first` on, added to `sums`.
///
/// Element `[r][p][j]` is `((sums[r][p][j] + a[r][0] b[0][j]) + a[r][1] b[1][j]) + ...`, whatever `R`
/// and `P` are.
///
/// # Panics
/// If a row or a panel is too short.
#[inline(always)]
pub(super) fn tile<const R: usize, const P: usize>(
    rows: impl Left<R>,
    panels: [impl Panel; P],
    (first, depth): (usize, usize),
    mut sums: [[[f32; LANES]; P]; R],
) -> [[[f32; LANES]; P]; R] {
    rows.check(depth);
    for panel in panels {
        panel.check(first + depth);
    }
    for k in 0..depth {
        let mut columns = [[0.0; LANES]; P];
        for p in 0..P {
            // SAFETY: `check` accepted a depth above `first + k`.
            columns[p] = unsafe { panels[p].lanes(first.wrapping_add(k)) };
        }
        // Written out: left as a loop over rows, the compiler vectorises across them, with gathers.
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: `check` accepted a depth above `k`.
                    let value = unsafe { rows.value($r, k) };
                    let sums: &mut [[f32; LANES]; P] = &mut sums[$r];
                    for p in 0..P {
                        for j in 0..LANES {
                            sums[p][j] += value * columns[p][j];
                        }
                    }
                }
            )*};
        }
        accumulate!(0 1 2 3 4 5 6 7);
    }
    sums
}

/// `R` rows from `first` on, each with all values from its first on.
#[inline(always)]
pub(super) fn rows_of<const R: usize>(values: &[f32], stride: usize, first: usize) -> [&[f32]; R] {
    // Not `from_fn`, which is not inlined into a function of other target features.
    let mut rows: [&[f32]; R] = [&[]; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &values[(first + r) * stride..];
    }
    rows
}

/// Multiplies `rows` rows by one panel and hands over each finished row.
///
/// Row blocks of `ROWS`, then 4, 2 and 1: the block size does not enter any element's order.
#[inline(always)]
pub(super) fn tiles<const ROWS: usize>(
    a: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    panel: impl Panel,
    mut finish: impl FnMut(usize, &[f32; LANES]),
) {
    let mut row = 0;
    macro_rules! blocks {
        ($size:expr) => {
            while rows - row >= $size {
                let rows = rows_of::<{ $size }>(a, stride, row);
                let sums = tile::<{ $size }, 1>(rows, [panel], (0, depth), [[[0.0; LANES]]; $size]);
                for (offset, [values]) in sums.iter().enumerate() {
                    finish(row + offset, values);
                }
                row += $size;
            }
        };
    }
    blocks!(ROWS);
    blocks!(4);
    blocks!(2);
    blocks!(1);
}

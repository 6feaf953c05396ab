//! The register tile: a few rows by one panel of columns.

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
        unsafe { self.as_ptr().add(k * LANES).cast::<[f32; LANES]>().read() }
    }
}

/// The part of a panel that lies in the result; a whole one without a call of `memmove`.
#[inline(always)]
pub(super) fn load(from: &[f32], sums: &mut [f32; LANES]) {
    match from.first_chunk() {
        Some(whole) => *sums = *whole,
        None => sums[..from.len()].copy_from_slice(from),
    }
}

/// The opposite of [`load`].
#[inline(always)]
pub(super) fn store(sums: &[f32; LANES], to: &mut [f32]) {
    match to.first_chunk_mut() {
        Some(whole) => *whole = *sums,
        None => to.copy_from_slice(&sums[..to.len()]),
    }
}

/// `R` rows times one panel of `B`, added to `sums`.
///
/// - `a`: rows of `depth` values, `stride` apart
/// - `panel`: `(depth, LANES)`, columns of `B`
///
/// Element `[r][j]` is `((sums[r][j] + a[r][0] b[0][j]) + a[r][1] b[1][j]) + ...`, whatever `R` is.
///
/// # Panics
/// If `a` or `panel` is too short.
#[inline(always)]
pub(super) fn tile<const R: usize>(
    a: &[f32],
    stride: usize,
    depth: usize,
    panel: impl Panel,
    mut sums: [[f32; LANES]; R],
) -> [[f32; LANES]; R] {
    // Sliced here, so that the loop has no index arithmetic and no checks.
    let rows: [&[f32]; R] = std::array::from_fn(|r| &a[r * stride..][..depth]);
    panel.check(depth);
    for k in 0..depth {
        // SAFETY: `check` accepted `depth`.
        let column = unsafe { panel.lanes(k) };
        // Written out: left as a loop over rows, the compiler vectorises across them, with gathers.
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: `k < depth`, the length of every row.
                    let value = unsafe { *rows[$r].get_unchecked(k) };
                    let sum: &mut [f32; LANES] = &mut sums[$r];
                    for j in 0..LANES {
                        sum[j] += value * column[j];
                    }
                }
            )*};
        }
        accumulate!(0 1 2 3 4 5 6 7);
    }
    sums
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
    finish: impl FnMut(usize, &[f32; LANES]),
) {
    tiles_from::<ROWS>(a, stride, rows, depth, panel, |_| [0.0; LANES], finish);
}

/// As [`tiles`], with sums that start at `start(row)` instead of zero.
#[inline(always)]
pub(super) fn tiles_from<const ROWS: usize>(
    a: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    panel: impl Panel,
    start: impl Fn(usize) -> [f32; LANES],
    mut finish: impl FnMut(usize, &[f32; LANES]),
) {
    let mut row = 0;
    macro_rules! blocks {
        ($size:expr) => {
            while rows - row >= $size {
                let mut sums = [[0.0; LANES]; $size];
                for (offset, sums) in sums.iter_mut().enumerate() {
                    *sums = start(row + offset);
                }
                let sums = tile::<{ $size }>(&a[row * stride..], stride, depth, panel, sums);
                for (offset, values) in sums.iter().enumerate() {
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

//! The register tile: a few rows by one panel of columns.

/// Columns of a panel: one 512-bit vector of f32.
pub(crate) const LANES: usize = 16;

/// `R` rows times one panel of `B`.
///
/// - `a`: rows of `depth` values, `stride` apart
/// - `panel`: `(depth, LANES)`, columns of `B`
///
/// Element `[r][j]` is `((0 + a[r][0] b[0][j]) + a[r][1] b[1][j]) + ...`, whatever `R` is.
///
/// # Panics
/// If `a` or `panel` is too short.
#[inline(always)]
pub(super) fn tile<const R: usize>(
    a: &[f32],
    stride: usize,
    depth: usize,
    panel: &[f32],
) -> [[f32; LANES]; R] {
    // Sliced here, so that the loop has no index arithmetic and no checks.
    let rows: [&[f32]; R] = std::array::from_fn(|r| &a[r * stride..][..depth]);
    let (columns, _) = panel[..depth * LANES].as_chunks::<LANES>();
    let mut sums = [[0.0f32; LANES]; R];
    for (k, column) in columns.iter().enumerate() {
        // Written out: left as a loop over rows, the compiler vectorises across them, with gathers.
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: there are `depth` columns, so `k < depth`, the length of every row.
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
    panel: &[f32],
    mut finish: impl FnMut(usize, &[f32; LANES]),
) {
    let mut row = 0;
    macro_rules! blocks {
        ($size:expr) => {
            while rows - row >= $size {
                let sums = tile::<{ $size }>(&a[row * stride..], stride, depth, panel);
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

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
    assert!(depth == 0 || a.len() >= (R - 1) * stride + depth);
    let (columns, _) = panel[..depth * LANES].as_chunks::<LANES>();
    let mut sums = [[0.0f32; LANES]; R];
    for (k, column) in columns.iter().enumerate() {
        for r in 0..R {
            // SAFETY: `k < depth`, and `(R - 1) * stride + depth <= a.len()` is asserted above.
            let value = unsafe { *a.get_unchecked(r * stride + k) };
            for j in 0..LANES {
                sums[r][j] += value * column[j];
            }
        }
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

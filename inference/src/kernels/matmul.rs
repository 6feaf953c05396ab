//! Products of matrices.

use super::{
    block::{End, Product, Turned},
    dispatch::Level,
    matrix::{Packed, Panels, Rows, Wide, transpose},
    tile::LANES,
};

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
    Product { a, b, end: End::Stored }.write(Level::detect(), &mut out);
    out
}

/// `out += a b`, each sum going on from the element of `out`: adding the parts of a long sum one
/// after another gives the bits of the whole.
///
/// # Panics
/// If `a` is not `depth` wide or `out` not `(rows, columns)`.
pub(crate) fn add_product<B: Panels>(level: Level, a: Rows<'_>, b: &B, out: &mut [f32]) {
    Product { a, b, end: End::Continued }.write(level, out);
}

/// `out += scale (a b)`: the bits of [`matmul`], then scaled, then added.
///
/// # Panics
/// As [`add_product`].
pub(crate) fn add_scaled<B: Panels>(a: Rows<'_>, b: &B, scale: f32, out: &mut [f32]) {
    Product { a, b, end: End::Scaled(scale) }.write(Level::detect(), out);
}

/// Calls `$body` with the row-major matrix as panels: where it lies if they are whole.
macro_rules! in_panels {
    ($matrix:expr, $panels:ident => $body:expr) => {
        match Wide::new($matrix) {
            Some($panels) => $body,
            None => {
                let $panels = Packed::from_rows($matrix);
                $body
            }
        }
    };
}

/// `a b` of two row-major matrices on this thread, with the bits of [`matmul`].
pub(crate) fn serial_product(a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.width];
    in_panels!(b, b => Product { a, b: &b, end: End::Stored }.write_alone(Level::detect(), &mut out));
    out
}

/// `out += scale (a b)` for row-major matrices, as [`add_scaled`].
pub(crate) fn add_scaled_rows(a: Rows<'_>, b: Rows<'_>, scale: f32, out: &mut [f32]) {
    in_panels!(b, b => add_scaled(a, &b, scale, out));
}

/// `a^T b` for `a (rows, p)` and `b (rows, q)`, row-major `(p, q)`, on this thread.
///
/// Element `(i, j)` is the sum over rows in their order of the rounded products `a[t][i] b[t][j]`: the
/// bits of [`matmul`] with the transpose, which is not made.
///
/// # Panics
/// If they have not as many rows.
pub(crate) fn columns_product(a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    assert_eq!(a.rows, b.rows, "rows of a product of columns differ");
    // Panels of the wider one.
    if b.width < LANES && b.width < a.width {
        return transpose(Rows::whole(&columns_product(b, a), a.width));
    }
    let mut out = vec![0.0; a.width * b.width];
    if a.rows == 0 {
        return out;
    }
    let a = Turned(a);
    in_panels!(b, b => Product { a, b: &b, end: End::Stored }.write_alone(Level::detect(), &mut out));
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
            rows in 0usize..70, p in 1usize..40, q in 1usize..90, seed: u64,
        ) {
            let (a, b) = (random(seed, rows * p), random(!seed, rows * q));
            let (a, b) = (Rows::whole(&a, p), Rows::whole(&b, q));
            let turned = transpose(a);
            if rows == 0 {
                prop_assert_eq!(columns_product(a, b), vec![0.0; p * q]);
                return Ok(());
            }
            let turned = Rows::whole(&turned, rows);
            let expected = matmul(turned, &Packed::from_rows(b));
            prop_assert_eq!(serial_product(turned, b), &expected[..]);
            let mut scaled = vec![0.5; p * q];
            add_scaled_rows(turned, b, 2.0, &mut scaled);
            let twice: Vec<f32> = expected.iter().map(|sum| 0.5 + 2.0 * sum).collect();
            prop_assert_eq!(scaled, twice);
            prop_assert_eq!(columns_product(a, b), expected);
        }
    }
}

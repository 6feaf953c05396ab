//! Affine maps of many rows at once, on the calling thread.

use super::{
    LANES, Packed, Rows,
    block::{End, Product},
    dispatch::Level,
};

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

    fn write(&self, level: Level, a: Rows<'_>, out: &mut [f32]) {
        Product { a, b: &self.matrix, end: End::Biased(&self.bias) }.write_alone(level, out);
    }
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

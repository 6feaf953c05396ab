//! Matrices in ggml's Q8_0, Q4_K and Q6_K, multiplied with activations in 8-bit blocks.
//!
//! The values are ggml's to the bit; only their order differs: 16 columns side by side, so that one
//! instruction multiplies four inputs of each. There is one copy of a matrix. Sums are exact integers
//! inside a block of 32 inputs and f32 from block to block, so that a row's bits depend on neither
//! the batch, nor the threads, nor the processor.

mod activations;
mod pack;
mod product;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use self::activations::Activations;
use self::{activations::BLOCK, vector::Line};
use super::{LANES, Level, Rows};
use crate::{Error, Result};

/// Inputs that share a K-quant's outer scale.
const SUPER_BLOCK: usize = 256;

/// A format of quantised weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quant {
    /// 32 inputs: f16 scale, i8 codes.
    Q8_0,
    /// 256 inputs: two f16 scales; each 32: 6-bit scale and minimum, 4-bit codes.
    Q4K,
    /// 256 inputs: an f16 scale; each 16: i8 scale, 6-bit codes.
    Q6K,
}

impl Quant {
    /// Inputs of one stored block.
    pub(crate) const fn block(self) -> usize {
        match self {
            Self::Q8_0 => BLOCK,
            Self::Q4K | Self::Q6K => SUPER_BLOCK,
        }
    }

    /// Bytes of one stored block in a file.
    pub(crate) const fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// Lines of 64 bytes that hold the codes of 32 inputs of 16 columns.
    const fn lines(self) -> usize {
        match self {
            Self::Q8_0 => 8,
            Self::Q4K => 4,
            Self::Q6K => 6,
        }
    }
}

/// A quantised `(depth, columns)` matrix in panels of 16 columns.
///
/// All fields are ordered by panel, then by block of 32 inputs (or of 256), then by column.
#[derive(Debug)]
pub(crate) struct QuantMatrix {
    format: Quant,
    depth: usize,
    columns: usize,
    /// Blocks of 32 inputs in a column; padding beyond them is not kept.
    blocks: usize,
    /// Q8_0: `code + 128`, lines of four inputs. Others: low nibbles for the first 16 inputs, high
    /// nibbles for the rest; Q6_K then has two lines with two more bits for each code.
    codes: Vec<Line>,
    /// f16 bits: Q8_0's for each block, the others' for each 256 inputs.
    scales: Vec<[u16; LANES]>,
    /// Q4_K: f16 bits of the scale of the minima for each 256 inputs.
    minimum_scales: Vec<[u16; LANES]>,
    /// Q4_K: for each block, 6-bit scales, then minima.
    small: Vec<[[u8; LANES]; 2]>,
    /// Q6_K: for each half block.
    signed: Vec<[[i8; LANES]; 2]>,
}

impl QuantMatrix {
    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.codes)
            + size_of_val(&*self.scales)
            + size_of_val(&*self.minimum_scales)
            + size_of_val(&*self.small)
            + size_of_val(&*self.signed)
    }

    /// `a B`, row-major.
    ///
    /// # Panics
    /// If `a` is not `depth` wide.
    pub(crate) fn product(&self, a: Rows<'_>) -> Vec<f32> {
        self.product_at(Level::detect(), a)
    }

    fn product_at(&self, level: Level, a: Rows<'_>) -> Vec<f32> {
        assert_eq!(a.width, self.depth, "inner sizes of a matrix product differ");
        let mut out = vec![0.0; a.rows * self.columns];
        let activations = Activations::new(a, self.blocks);
        product::run(level, self, &activations, &mut out);
        out
    }

    /// Panel `index` as f32, `(depth, 16)`.
    pub(crate) fn widen_panel(&self, index: usize, out: &mut [f32]) {
        for (k, lanes) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(self.depth) {
            *lanes = std::array::from_fn(|lane| self.value(index, k, lane));
        }
    }

    /// ggml's dequantised value of input `k` of a column.
    pub(crate) fn value(&self, panel: usize, k: usize, lane: usize) -> f32 {
        let half = |bits: u16| half::f16::from_bits(bits).to_f32();
        let (block, at) = (panel * self.blocks + k / BLOCK, k % BLOCK);
        let outer = panel * self.blocks.div_ceil(8) + k / SUPER_BLOCK;
        let code = f32::from(self.code(block, at, lane));
        match self.format {
            Quant::Q8_0 => half(self.scales[block][lane]) * code,
            Quant::Q4K => {
                let [scale, minimum] = self.small[block].map(|values| f32::from(values[lane]));
                let scale = half(self.scales[outer][lane]) * scale;
                scale * code - half(self.minimum_scales[outer][lane]) * minimum
            }
            Quant::Q6K => {
                let scale = f32::from(self.signed[block][at / 16][lane]);
                half(self.scales[outer][lane]) * scale * code
            }
        }
    }

    /// The code of input `at` of a block.
    fn code(&self, block: usize, at: usize, lane: usize) -> i8 {
        let lines = &self.codes[block * self.format.lines()..][..self.format.lines()];
        let byte = |line: usize| lines[line].0[lane * 4 + at % 4];
        let nibble = || (byte(at % 16 / 4) >> (at / 16 * 4)) & 15;
        match self.format {
            Quant::Q8_0 => (byte(at / 4) ^ 128) as i8,
            Quant::Q4K => nibble() as i8,
            Quant::Q6K => {
                let high = (byte(4 + at / 16) >> (at % 16 / 4 * 2)) & 3;
                (nibble() | high << 4) as i8 - 32
            }
        }
    }
}

fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Weights(what.into()))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Blocks of any bits at all, but for finite scales.
    fn any_matrix(format: Quant, depth: usize, columns: usize) -> QuantMatrix {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let count = depth.div_ceil(format.block()) * columns;
        let mut data = vec![0u8; count * format.block_bytes()];
        rng.fill(&mut data[..]);
        let offsets: &[usize] = match format {
            Quant::Q8_0 => &[0],
            Quant::Q4K => &[0, 2],
            Quant::Q6K => &[208],
        };
        for block in data.chunks_exact_mut(format.block_bytes()) {
            for offset in offsets {
                let scale = half::f16::from_f32(rng.random_range(-1.0..1.0));
                block[*offset..][..2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        QuantMatrix::from_blocks(format, &data, depth).unwrap()
    }

    #[test]
    fn every_level_gives_the_same_bits_for_any_codes() {
        for (format, depth) in [(Quant::Q8_0, 96), (Quant::Q4K, 300), (Quant::Q6K, 512)] {
            let matrix = any_matrix(format, depth, 53);
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(8);
            let x: Vec<f32> = (0..15 * depth).map(|_| rng.random_range(-3.0..3.0)).collect();
            let results = [Level::Baseline, Level::Avx2, Level::Avx512]
                .map(|level| matrix.product_at(level, Rows::whole(&x, depth)));
            let bits = results.map(|r| r.into_iter().map(f32::to_bits).collect::<Vec<_>>());
            assert_eq!(bits[0], bits[1], "{format:?}");
            assert_eq!(bits[0], bits[2], "{format:?}");
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch_or_the_thread_count() {
        for format in [Quant::Q8_0, Quant::Q4K, Quant::Q6K] {
            let (depth, columns) = (512, 2048);
            let matrix = any_matrix(format, depth, columns);
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
            let x: Vec<f32> = (0..70 * depth).map(|_| rng.random_range(-3.0..3.0)).collect();
            let together = matrix.product(Rows::whole(&x, depth));
            for (row, expected) in together.chunks(columns).enumerate() {
                let alone = matrix.product(Rows::whole(&x[row * depth..][..depth], depth));
                assert_eq!(alone, expected);
            }
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let again = pool.install(|| matrix.product(Rows::whole(&x, depth)));
                assert_eq!(again, together);
            }
        }
    }
}

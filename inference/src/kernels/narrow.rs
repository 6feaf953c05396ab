//! Matrices in 16-bit and 8-bit floats, widened exactly in the tile.
//!
//! The sums are those of [`super::Packed`] on the widened values, to the bit.

use float8::F8E4M3;

use super::{LANES, Rows, matrix::Panels, tile::Panel};

/// Inputs that share one scale of an [`PackedF8`] column.
pub(crate) const F8_BLOCK: usize = 128;
/// Largest finite E4M3 value.
const F8_MAX: f32 = 448.0;

/// A 16-bit float format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// 8 bits of exponent, 7 of fraction.
    Bf16,
    /// 5 bits of exponent, 10 of fraction.
    F16,
}

/// A `(depth, columns)` matrix of bf16 or f16 in panels of 16 columns.
#[derive(Debug)]
pub(crate) struct PackedHalf {
    pub(crate) format: Half,
    panels: Vec<u16>,
    depth: usize,
    columns: usize,
}

impl PackedHalf {
    /// Packs the transpose of a row-major `(columns, depth)` matrix, given by its bits.
    pub(crate) fn from_transposed(format: Half, bits: &[u16], depth: usize) -> Self {
        let columns = bits.len() / depth;
        let panels = pack(bits, depth);
        Self { format, panels, depth, columns }
    }

    pub(crate) const fn bytes(&self) -> usize {
        2 * self.panels.len()
    }
}

/// `(columns, depth)` row-major to panels `(columns / 16, depth, 16)`, padded with zeros.
fn pack<T: Copy + Default>(values: &[T], depth: usize) -> Vec<T> {
    let columns = values.len() / depth;
    let mut panels = vec![T::default(); columns.div_ceil(LANES) * LANES * depth];
    for (column, row) in values.chunks_exact(depth).enumerate() {
        let panel = &mut panels[column / LANES * LANES * depth..][..LANES * depth];
        for (lanes, value) in panel.chunks_exact_mut(LANES).zip(row) {
            lanes[column % LANES] = *value;
        }
    }
    panels
}

/// A panel of bf16, or of f16 if `F16`.
#[derive(Clone, Copy)]
pub(crate) struct HalfPanel<'a, const F16: bool>(&'a [u16]);

impl<const F16: bool> Panel for HalfPanel<'_, F16> {
    #[inline(always)]
    fn check(self, depth: usize) {
        assert!(self.0.len() >= depth * LANES, "panel is too short for depth {depth}");
    }

    #[inline(always)]
    unsafe fn lanes(self, k: usize) -> [f32; LANES] {
        // SAFETY: `(k + 1) * LANES` is within the length that `check` compared with.
        let bits =
            unsafe { self.0.as_ptr().add(k.wrapping_mul(LANES)).cast::<[u16; LANES]>().read() };
        if F16 {
            bits.map(widen_f16)
        } else {
            bits.map(|bits| f32::from_bits(u32::from(bits) << 16))
        }
    }
}

/// The f16 with these bits, if it is finite.
///
/// Its exponent and fraction, taken for those of an f32, are the value times `2^-112`; this holds
/// for subnormal ones too, and the product with a power of two is exact.
#[inline(always)]
fn widen_f16(bits: u16) -> f32 {
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * SCALE;
    f32::from_bits(magnitude.to_bits() | u32::from(bits & 0x8000) << 16)
}

/// View of a [`PackedHalf`] whose format is known to the compiler.
pub(crate) struct HalfPanels<'a, const F16: bool>(pub(crate) &'a PackedHalf);

impl<const F16: bool> Panels for HalfPanels<'_, F16> {
    type Panel<'a>
        = HalfPanel<'a, F16>
    where
        Self: 'a;
    const NARROW: bool = true;

    fn depth(&self) -> usize {
        self.0.depth
    }

    fn columns(&self) -> usize {
        self.0.columns
    }

    #[inline(always)]
    fn panel(&self, index: usize) -> HalfPanel<'_, F16> {
        let size = self.0.depth * LANES;
        HalfPanel(&self.0.panels[index * size..][..size])
    }
}

/// A `(depth, columns)` matrix of FP8 E4M3 with a scale for each [`F8_BLOCK`] inputs of a column.
#[derive(Debug)]
pub(crate) struct PackedF8 {
    codes: Vec<u8>,
    /// `(columns / 16, blocks, 16)`
    scales: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl PackedF8 {
    /// Rounds the transpose of a row-major `(columns, depth)` matrix to the nearest codes, the
    /// largest value of a block to 448.
    pub(crate) fn from_transposed(matrix: Rows<'_>) -> Self {
        let (depth, columns) = (matrix.width, matrix.rows);
        let blocks = depth.div_ceil(F8_BLOCK);
        let mut codes = vec![0u8; columns * depth];
        let mut scales = vec![0.0; columns.div_ceil(LANES) * blocks * LANES];
        for (column, codes) in codes.chunks_exact_mut(depth).enumerate() {
            let row = &matrix.values[column * matrix.stride..][..depth];
            let parts = row.chunks(F8_BLOCK).zip(codes.chunks_mut(F8_BLOCK));
            for (block, (values, codes)) in parts.enumerate() {
                let largest = values.iter().fold(0.0f32, |top, value| top.max(value.abs()));
                // A block whose scale would not be a normal number is rounded to zero.
                let scale = if largest < 1e-30 { 0.0 } else { largest / F8_MAX };
                scales[(column / LANES * blocks + block) * LANES + column % LANES] = scale;
                for (code, value) in codes.iter_mut().zip(values) {
                    let scaled = if scale == 0.0 { 0.0 } else { value / scale };
                    *code = F8E4M3::from_f32(scaled.clamp(-F8_MAX, F8_MAX)).to_bits();
                }
            }
        }
        Self { codes: pack(&codes, depth), scales, depth, columns }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.scales.len()
    }
}

/// A panel of FP8 codes and its scales.
#[derive(Clone, Copy)]
pub(crate) struct F8Panel<'a> {
    codes: &'a [u8],
    scales: &'a [f32],
}

impl Panel for F8Panel<'_> {
    #[inline(always)]
    fn check(self, depth: usize) {
        let fits = self.codes.len() >= depth * LANES
            && self.scales.len() >= depth.div_ceil(F8_BLOCK) * LANES;
        assert!(fits, "panel is too short for depth {depth}");
    }

    #[inline(always)]
    unsafe fn lanes(self, k: usize) -> [f32; LANES] {
        // SAFETY: `check` compared both lengths with a depth above `k`.
        let (codes, scales) = unsafe {
            let scales = self.scales.as_ptr().add(k / F8_BLOCK * LANES);
            let codes = self.codes.as_ptr().add(k.wrapping_mul(LANES));
            (codes.cast::<[u8; LANES]>().read(), scales.cast::<[f32; LANES]>().read())
        };
        let mut lanes = [0.0; LANES];
        for j in 0..LANES {
            lanes[j] = widen_f8(codes[j]) * scales[j];
        }
        lanes
    }
}

/// The finite E4M3 value with this code, as [`widen_f16`] does it.
#[inline(always)]
fn widen_f8(code: u8) -> f32 {
    const SCALE: f32 = f32::from_bits((127 + 120) << 23);
    let magnitude = f32::from_bits(u32::from(code & 0x7f) << 20) * SCALE;
    f32::from_bits(magnitude.to_bits() | u32::from(code & 0x80) << 24)
}

impl Panels for PackedF8 {
    type Panel<'a> = F8Panel<'a>;
    const NARROW: bool = true;

    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    #[inline(always)]
    fn panel(&self, index: usize) -> F8Panel<'_> {
        let (size, blocks) = (self.depth * LANES, self.depth.div_ceil(F8_BLOCK) * LANES);
        F8Panel {
            codes: &self.codes[index * size..][..size],
            scales: &self.scales[index * blocks..][..blocks],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_code_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let value = half::f16::from_bits(bits).to_f32();
            if value.is_finite() {
                assert_eq!(widen_f16(bits).to_bits(), value.to_bits(), "{bits:#x}");
            }
        }
        for code in 0..=u8::MAX {
            let value = F8E4M3::from_bits(code).to_f32();
            if value.is_finite() {
                assert_eq!(widen_f8(code).to_bits(), value.to_bits(), "{code:#x}");
            }
        }
    }
}

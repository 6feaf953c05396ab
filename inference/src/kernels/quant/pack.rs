//! From ggml's blocks to panels.

use super::{BLOCK, LANES, Line, Quant, QuantMatrix, SUPER_BLOCK, refuse};
use crate::Result;

impl QuantMatrix {
    /// Packs the transpose of a row-major `(columns, depth)` matrix stored in ggml's blocks, each
    /// row padded to whole blocks.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if `data` has another size or a scale is not finite.
    pub(crate) fn from_blocks(format: Quant, data: &[u8], depth: usize) -> Result<Self> {
        let row_blocks = depth.div_ceil(format.block());
        let row_bytes = row_blocks * format.block_bytes();
        if row_bytes == 0 || data.is_empty() || !data.len().is_multiple_of(row_bytes) {
            return refuse(format!("{} bytes are not {format:?} rows of {depth}", data.len()));
        }
        let columns = data.len() / row_bytes;
        let mut matrix = Self::zeroed(format, depth, columns);
        for (column, row) in data.chunks_exact(row_bytes).enumerate() {
            for (index, block) in row.chunks_exact(format.block_bytes()).enumerate() {
                match format {
                    Quant::Q8_0 => matrix.pack_q8_0(column, index, block),
                    Quant::Q4K => matrix.pack_q4k(column, index, block),
                    Quant::Q6K => matrix.pack_q6k(column, index, block),
                }
            }
        }
        let all = matrix.scales.iter().chain(&matrix.minimum_scales).flatten();
        if all.into_iter().any(|bits| bits & 0x7c00 == 0x7c00) {
            return refuse("a scale is not finite");
        }
        Ok(matrix)
    }

    fn zeroed(format: Quant, depth: usize, columns: usize) -> Self {
        let panels = columns.div_ceil(LANES);
        let outer = depth.div_ceil(format.block());
        let blocks = depth.div_ceil(BLOCK);
        let only = |which: Quant, count: usize| if format == which { panels * count } else { 0 };
        Self {
            format,
            depth,
            columns,
            blocks,
            codes: vec![Line([0; 64]); panels * blocks * format.lines()],
            scales: vec![[0; LANES]; panels * outer],
            minimum_scales: vec![[0; LANES]; only(Quant::Q4K, outer)],
            small: vec![[[0; LANES]; 2]; only(Quant::Q4K, blocks)],
            signed: vec![[[0; LANES]; 2]; only(Quant::Q6K, blocks)],
        }
    }

    /// Index of a column's block of 32 inputs.
    const fn block_at(&self, column: usize, block: usize) -> usize {
        column / LANES * self.blocks + block
    }

    /// Index of a column's block of 256 inputs.
    const fn super_at(&self, column: usize, block: usize) -> usize {
        column / LANES * (self.blocks.div_ceil(SUPER_BLOCK / BLOCK)) + block
    }

    /// Blocks of 32 inputs that are kept of a block of 256: those beyond the depth are padding.
    fn parts(&self, index: usize) -> usize {
        (self.blocks - 8 * index).min(8)
    }

    fn pack_q8_0(&mut self, column: usize, index: usize, data: &[u8]) {
        let (at, lane) = (self.block_at(column, index), column % LANES);
        self.scales[at][lane] = half_bits(data);
        for (group, four) in data[2..].as_chunks::<4>().0.iter().enumerate() {
            let line = &mut self.codes[at * 8 + group];
            line.0[lane * 4..][..4].copy_from_slice(&four.map(|byte| byte ^ 128));
        }
    }

    fn pack_q4k(&mut self, column: usize, index: usize, data: &[u8]) {
        let (outer, lane) = (self.super_at(column, index), column % LANES);
        self.scales[outer][lane] = half_bits(data);
        self.minimum_scales[outer][lane] = half_bits(&data[2..]);
        let (packed, nibbles) = data[4..].split_at(12);
        for part in 0..self.parts(index) {
            let at = self.block_at(column, 8 * index + part);
            let (scale, minimum) = scale_and_minimum(part, packed);
            self.small[at][0][lane] = scale;
            self.small[at][1][lane] = minimum;
            // 32 bytes hold two blocks, the first in the low nibbles.
            let bytes = &nibbles[part / 2 * 32..][..32];
            let codes = std::array::from_fn(|i| (bytes[i] >> (part % 2 * 4)) & 15);
            self.pack_nibbles(at, lane, codes);
        }
    }

    fn pack_q6k(&mut self, column: usize, index: usize, data: &[u8]) {
        let (outer, lane) = (self.super_at(column, index), column % LANES);
        let (low, rest) = data.split_at(128);
        let (high, rest) = rest.split_at(64);
        let (scales, scale) = rest.split_at(16);
        self.scales[outer][lane] = half_bits(scale);
        for part in 0..self.parts(index) {
            let at = self.block_at(column, 8 * index + part);
            for half in 0..2 {
                self.signed[at][half][lane] = scales[2 * part + half] as i8;
            }
            // Each 128 values: 64 bytes of low nibbles and 32 of high pairs, for four blocks.
            let (group, quarter) = (part / 4, part % 4);
            let low = &low[group * 64 + quarter % 2 * 32..][..32];
            let high = &high[group * 32..][..32];
            let codes: [u8; 32] = std::array::from_fn(|i| {
                let nibble = (low[i] >> (quarter / 2 * 4)) & 15;
                nibble | ((high[i] >> (2 * quarter)) & 3) << 4
            });
            self.pack_nibbles(at, lane, codes.map(|code| code & 15));
            let lines = &mut self.codes[at * 6 + 4..][..2];
            for (i, code) in codes.iter().enumerate() {
                lines[i / 16].0[lane * 4 + i % 4] |= (code >> 4) << (i % 16 / 4 * 2);
            }
        }
    }

    fn pack_nibbles(&mut self, at: usize, lane: usize, codes: [u8; 32]) {
        let lines = &mut self.codes[at * self.format.lines()..][..4];
        for i in 0..16 {
            lines[i / 4].0[lane * 4 + i % 4] = codes[i] | codes[16 + i] << 4;
        }
    }
}

const fn half_bits(data: &[u8]) -> u16 {
    u16::from_le_bytes([data[0], data[1]])
}

/// The 6-bit scale and minimum of a part, out of Q4_K's 12 bytes.
const fn scale_and_minimum(part: usize, packed: &[u8]) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let (scale, minimum) = (packed[part - 4] >> 6, packed[part] >> 6);
        ((packed[part + 4] & 15) | scale << 4, (packed[part + 4] >> 4) | minimum << 4)
    }
}

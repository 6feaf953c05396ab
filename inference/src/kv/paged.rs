//! How keys and values lie in a block.
//!
//! A block holds 16 tokens of every layer: keys transposed, `(key_width, 16)`, so that a head's keys
//! are a panel that the kernel multiplies with; then values, `(16, value_width)`.

use std::ops::Range;

use super::{BLOCK_TOKENS, KvShape, blocks::BlockId};
use crate::kernels::{BlockValues, HeadBlocks, LANES};

/// Memory of all blocks.
#[derive(Debug)]
pub(super) struct Arena {
    shape: KvShape,
    values: Vec<f32>,
}

impl Arena {
    pub(super) fn new(shape: KvShape, blocks: usize) -> Self {
        let count = blocks * shape.layers * layer_len(shape);
        // The kernel reads values 16 at a time, beyond the last head too.
        Self { shape, values: vec![0.0; count + LANES] }
    }

    const fn offset(&self, block: BlockId, layer: usize) -> usize {
        (block as usize * self.shape.layers + layer) * layer_len(self.shape)
    }

    /// Writes the rows of these positions.
    pub(super) fn write(
        &mut self,
        table: &[BlockId],
        layer: usize,
        positions: Range<usize>,
        keys: &[f32],
        values: &[f32],
    ) {
        let KvShape { key_width, value_width, .. } = self.shape;
        let (first, tokens) = (positions.start, positions.len());
        let mut done = 0;
        while done < tokens {
            let (block, lane) = ((first + done) / BLOCK_TOKENS, (first + done) % BLOCK_TOKENS);
            let count = (BLOCK_TOKENS - lane).min(tokens - done);
            let offset = self.offset(table[block], layer);
            let (held_keys, held_values) =
                self.values[offset..].split_at_mut(BLOCK_TOKENS * key_width);
            let keys = &keys[done * key_width..][..count * key_width];
            for (column, lanes) in held_keys.chunks_exact_mut(BLOCK_TOKENS).enumerate() {
                for (token, held) in lanes[lane..lane + count].iter_mut().enumerate() {
                    *held = keys[token * key_width + column];
                }
            }
            held_values[lane * value_width..][..count * value_width]
                .copy_from_slice(&values[done * value_width..][..count * value_width]);
            done += count;
        }
    }

    /// Copies a whole block.
    pub(super) fn copy(&mut self, from: BlockId, to: BlockId) {
        let (from, to) = (self.offset(from, 0), self.offset(to, 0));
        let len = self.shape.layers * layer_len(self.shape);
        self.values.copy_within(from..from + len, to);
    }

    pub(super) const fn view<'a>(
        &'a self,
        table: &'a [BlockId],
        layer: usize,
        length: usize,
    ) -> PagedView<'a> {
        PagedView { arena: self, table, layer, length }
    }
}

const fn layer_len(shape: KvShape) -> usize {
    BLOCK_TOKENS * shape.width()
}

/// One layer of one sequence's blocks.
#[derive(Clone, Copy, Debug)]
pub struct PagedView<'a> {
    arena: &'a Arena,
    table: &'a [BlockId],
    layer: usize,
    length: usize,
}

impl<'a> PagedView<'a> {
    /// Tokens held.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The head whose keys begin at column `key` of a token's keys, and values likewise.
    pub(crate) const fn head(self, key: usize, value: usize) -> PagedHead<'a> {
        PagedHead { view: self, key, value }
    }

    /// A token's keys and values, for comparisons.
    pub fn row(&self, position: usize) -> (Vec<f32>, Vec<f32>) {
        let KvShape { key_width, value_width, .. } = self.arena.shape;
        let offset = self.arena.offset(self.table[position / BLOCK_TOKENS], self.layer);
        let lane = position % BLOCK_TOKENS;
        let block = &self.arena.values[offset..];
        let keys = (0..key_width).map(|column| block[column * BLOCK_TOKENS + lane]).collect();
        let values = &block[BLOCK_TOKENS * key_width + lane * value_width..][..value_width];
        (keys, values.to_vec())
    }
}

/// One key/value head of a [`PagedView`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PagedHead<'a> {
    view: PagedView<'a>,
    key: usize,
    value: usize,
}

impl HeadBlocks for PagedHead<'_> {
    #[inline(always)]
    fn keys(&self, block: usize) -> &[f32] {
        let PagedView { arena, table, layer, .. } = self.view;
        let keys = BLOCK_TOKENS * arena.shape.key_width;
        let offset = arena.offset(table[block], layer);
        &arena.values[offset..offset + keys][self.key * BLOCK_TOKENS..]
    }

    #[inline(always)]
    fn values(&self, block: usize) -> BlockValues<'_> {
        let PagedView { arena, table, layer, .. } = self.view;
        let KvShape { key_width, value_width, .. } = arena.shape;
        let offset = arena.offset(table[block], layer) + BLOCK_TOKENS * key_width;
        let values = &arena.values[offset..offset + BLOCK_TOKENS * value_width + LANES];
        BlockValues { values: &values[self.value..], stride: value_width }
    }
}

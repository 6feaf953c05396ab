//! Which blocks are free, and how many hold each of the others.

/// Position of a block in the pool's memory.
pub(super) type BlockId = u32;

/// In the place of a block that a sequence has left behind; no pool has so many.
pub(super) const LEFT_BEHIND: BlockId = BlockId::MAX;

/// Counts of references to blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    references: Vec<u32>,
    free: Vec<BlockId>,
}

impl Blocks {
    pub(super) fn new(count: usize) -> Self {
        let count = u32::try_from(count).expect("blocks are fewer than 2^32");
        // Taken from the end: the first blocks are used first, so untouched memory stays untouched.
        Self { references: vec![0; count as usize], free: (0..count).rev().collect() }
    }

    pub(super) const fn count(&self) -> usize {
        self.references.len()
    }

    pub(super) const fn free(&self) -> usize {
        self.free.len()
    }

    /// A free block, with one reference.
    pub(super) fn take(&mut self) -> Option<BlockId> {
        let block = self.free.pop()?;
        self.references[block as usize] = 1;
        Some(block)
    }

    pub(super) fn share(&mut self, block: BlockId) {
        self.references[block as usize] += 1;
    }

    /// Gives a reference back and returns how many are left.
    pub(super) fn release(&mut self, block: BlockId) -> u32 {
        let references = &mut self.references[block as usize];
        *references -= 1;
        if *references == 0 {
            self.free.push(block);
        }
        *references
    }

    pub(super) fn references(&self, block: BlockId) -> u32 {
        self.references[block as usize]
    }
}

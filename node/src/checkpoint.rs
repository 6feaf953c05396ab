//! How far a stage has gone along the chain, kept in the store.
//!
//! A stage reads blocks that the indexer has taken and does things once, so blocks that a
//! reorganisation may still change are read again, and what was done for a block that is gone stays
//! done. The indexer, whose tables must say what the chain says now, undoes such blocks instead.

use crate::{
    Result,
    chain::{RANGE_BLOCKS, REORG_BLOCKS},
    registry::Registry,
    store::{Store, Table, WriteBatch, get_row},
};

/// A stage's block, by its key in [`Table::Meta`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint(pub(crate) &'static [u8]);

/// The next blocks whose logs are to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    done: u64,
    /// The first.
    pub(crate) from: u64,
    /// The last.
    pub(crate) to: u64,
}

impl Checkpoint {
    /// The blocks after those that were read, up to the indexed head, some of them again; `None` if
    /// the head was read.
    pub(crate) fn next(self, store: &dyn Store, registry: &Registry) -> Result<Option<Blocks>> {
        let start = registry.contracts().deployment.block;
        let done = get_row(store, Table::Meta, self.0)?.unwrap_or(start);
        let head = registry.head().number;
        if head == done {
            return Ok(None);
        }
        // The head may be behind after a reorganisation.
        let from = done.min(head).saturating_sub(REORG_BLOCKS).max(start);
        Ok(Some(Blocks { done, from, to: head.min(from + RANGE_BLOCKS) }))
    }

    /// Notes, in the write of what the blocks hold, that they were read. False if the last of them
    /// had been before.
    pub(crate) fn read(self, blocks: Blocks, batch: &mut WriteBatch) -> bool {
        batch.put_row(Table::Meta, self.0, &blocks.to);
        blocks.to != blocks.done
    }

    /// The block before which everything is done with.
    pub(crate) fn passed(self, store: &dyn Store) -> Result<u64> {
        Ok(get_row(store, Table::Meta, self.0)?.unwrap_or(0))
    }

    /// Passes over the blocks before the first that has something open, for good; those that a
    /// reorganisation may still change are looked at again.
    ///
    /// - `from`: [`Self::passed`]
    pub(crate) fn pass(
        self,
        store: &dyn Store,
        registry: &Registry,
        from: u64,
        first_open: Option<u64>,
    ) -> Result<()> {
        let settled = registry.head().number.saturating_sub(REORG_BLOCKS);
        let next = first_open.map_or(settled, |open| open.min(settled));
        if next <= from {
            return Ok(());
        }
        let mut rows = WriteBatch::default();
        rows.put_row(Table::Meta, self.0, &next);
        store.write(rows)
    }
}

//! Published indexes, and from when they pay.

use alloy::primitives::B256;

use super::{IndexView, ModelView, Registry, SpanIndexView};
use crate::{
    Error, Result,
    store::{Table, get_row},
};

/// All fail with [`crate::Error::Store`], if the store cannot be read.
impl Registry {
    /// A model's influence index, `None` if none is published.
    pub fn index(&self, model: B256) -> Result<Option<IndexView>> {
        get_row(&*self.store, Table::Indexes, model.as_slice())
    }

    /// The indexes that were published from a block on, with the blocks, in their order.
    pub fn indexes_from(&self, block: u64) -> Result<Vec<(u64, B256)>> {
        self.published_from(Table::IndexOrder, block)
    }

    /// A model's span index, `None` if none is published.
    pub fn span_index(&self, model: B256) -> Result<Option<SpanIndexView>> {
        get_row(&*self.store, Table::SpanIndexes, model.as_slice())
    }

    /// The span indexes that were published from a block on, with the blocks, in their order.
    pub fn span_indexes_from(&self, block: u64) -> Result<Vec<(u64, B256)>> {
        self.published_from(Table::SpanIndexOrder, block)
    }

    /// Hash of the span index that pays for calls of the model signed at `time` (seconds), `None` if
    /// none does. As of the head: an index that can still be struck pays nothing yet, whatever the
    /// time.
    pub fn paying_spans(&self, model: B256, time: u64) -> Result<Option<B256>> {
        let time = time.min(self.head().timestamp);
        let index = self.span_index(model)?.filter(|index| index.is_paying(time));
        Ok(index.map(|index| index.commitment_hash()))
    }

    fn published_from(&self, table: Table, block: u64) -> Result<Vec<(u64, B256)>> {
        let from = block.to_be_bytes();
        let entries = self.store.scan(table, &[], &from, usize::MAX)?.into_iter();
        let parsed = entries.map(|(key, _)| {
            let (block, model) = key.split_first_chunk()?;
            Some((u64::from_be_bytes(*block), B256::try_from(model).ok()?))
        });
        let damaged = || Error::Store(format!("table {}: damaged key", table.name()));
        parsed.map(|entry| entry.ok_or_else(damaged)).collect()
    }

    /// From when calls of the model may earn (seconds), by what the chain says now: 0 for a base
    /// model, `None` if its index is not published or struck.
    pub fn earning_from(&self, model: &ModelView) -> Result<Option<u64>> {
        if model.base.is_zero() {
            return Ok(Some(0));
        }
        let index = self.index(model.id)?;
        Ok(index.filter(|index| !index.struck).map(|index| index.accepted_at))
    }
}

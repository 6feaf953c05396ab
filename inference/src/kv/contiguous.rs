//! The reference cache.

use std::collections::HashMap;

use super::{CacheId, KvStore, KvView, unknown};
use crate::Result;

/// Contiguous rows per sequence and layer without a bound, for evaluation and tests.
#[derive(Debug, Default)]
pub struct KvCache {
    rows: HashMap<(CacheId, usize), CachedRows>,
}

#[derive(Debug, Default)]
struct CachedRows {
    tokens: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvStore for KvCache {
    fn append(
        &mut self,
        cache: CacheId,
        layer: usize,
        tokens: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<()> {
        let held = self.rows.entry((cache, layer)).or_default();
        held.tokens += tokens;
        held.keys.extend_from_slice(keys);
        held.values.extend_from_slice(values);
        Ok(())
    }

    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>> {
        let held = self.rows.get(&(cache, layer)).ok_or_else(|| unknown(cache))?;
        Ok(KvView::Rows { keys: &held.keys, values: &held.values, length: held.tokens })
    }
}

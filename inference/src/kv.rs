//! Keys and values of running sequences.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Error, Result};

/// Names one sequence's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u64);

/// One layer's cached rows of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct KvView<'a> {
    /// Keys after rotation, `(length, kv_heads * head_dim)` row-major.
    pub keys: &'a [f32],
    /// Values, same shape.
    pub values: &'a [f32],
}

/// Where the decoder keeps keys and values.
pub trait KvStore {
    /// Appends rows of one layer: `keys` and `values` are `(tokens, kv_heads * head_dim)`.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown or full.
    fn append(&mut self, cache: CacheId, layer: usize, keys: &[f32], values: &[f32]) -> Result<()>;

    /// Everything appended so far in one layer.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown.
    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>>;
}

/// Contiguous rows per sequence and layer without a bound, for evaluation and tests.
#[derive(Debug, Default)]
pub struct KvCache {
    rows: HashMap<(CacheId, usize), (Vec<f32>, Vec<f32>)>,
}

impl KvStore for KvCache {
    fn append(&mut self, cache: CacheId, layer: usize, keys: &[f32], values: &[f32]) -> Result<()> {
        let (held_keys, held_values) = self.rows.entry((cache, layer)).or_default();
        held_keys.extend_from_slice(keys);
        held_values.extend_from_slice(values);
        Ok(())
    }

    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>> {
        let (keys, values) = self
            .rows
            .get(&(cache, layer))
            .ok_or_else(|| Error::Request(format!("cache {} is unknown", cache.0)))?;
        Ok(KvView { keys, values })
    }
}

/// Tokens by which a sequence's memory grows at least.
const BLOCK: usize = 32;

/// Keys and values of all running sequences under one budget of tokens.
///
/// A sequence takes its whole budget (prompt plus longest answer) when it is admitted, so it can
/// never run out half-way. Memory itself grows in blocks as tokens come.
#[derive(Debug)]
pub struct KvPool {
    layers: usize,
    width: usize,
    tokens: usize,
    free: usize,
    next: u64,
    caches: HashMap<CacheId, Rows>,
    /// Ids whose lease was dropped; their memory is freed at the next use of the pool.
    dropped: Arc<Mutex<Vec<CacheId>>>,
}

/// One sequence's memory: `(keys, values)` of each layer, each `(length, width)` row-major.
#[derive(Debug)]
struct Rows {
    capacity: usize,
    layers: Vec<(Vec<f32>, Vec<f32>)>,
}

/// The right to one cache of a [`KvPool`]. Dropping it frees the cache.
#[derive(Debug)]
pub struct CacheLease {
    id: CacheId,
    dropped: Arc<Mutex<Vec<CacheId>>>,
}

impl CacheLease {
    /// The cache's name in steps.
    pub const fn id(&self) -> CacheId {
        self.id
    }
}

impl Drop for CacheLease {
    fn drop(&mut self) {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

impl KvPool {
    /// A pool for a model of `layers` layers whose keys are `width = kv_heads * head_dim` wide, that
    /// holds at most `tokens` tokens: `8 * layers * width * tokens` bytes.
    pub fn new(layers: usize, width: usize, tokens: usize) -> Self {
        let (caches, dropped) = (HashMap::new(), Arc::default());
        Self { layers, width, tokens, free: tokens, next: 0, caches, dropped }
    }

    /// Takes room for a sequence of at most `capacity` tokens; `None` while too little is free.
    pub fn reserve(&mut self, capacity: usize) -> Option<CacheLease> {
        if self.free() < capacity {
            return None;
        }
        self.free -= capacity;
        let id = CacheId(self.next);
        self.next += 1;
        self.caches.insert(id, Rows { capacity, layers: vec![Default::default(); self.layers] });
        Some(CacheLease { id, dropped: Arc::clone(&self.dropped) })
    }

    /// Tokens that no sequence has taken.
    pub fn free(&mut self) -> usize {
        let dropped =
            std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for id in dropped {
            if let Some(rows) = self.caches.remove(&id) {
                self.free += rows.capacity;
            }
        }
        self.free
    }

    /// Tokens in all.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }
}

impl KvStore for KvPool {
    fn append(&mut self, cache: CacheId, layer: usize, keys: &[f32], values: &[f32]) -> Result<()> {
        let width = self.width;
        let rows = self.caches.get_mut(&cache).ok_or_else(|| unknown(cache))?;
        let capacity = rows.capacity;
        let (held_keys, held_values) =
            rows.layers.get_mut(layer).ok_or_else(|| Error::Shape(format!("layer {layer}")))?;
        if keys.len() != values.len() || !keys.len().is_multiple_of(width) {
            let (k, v) = (keys.len(), values.len());
            return Err(Error::Shape(format!("{k} keys and {v} values of width {width}")));
        }
        if held_keys.len() + keys.len() > capacity * width {
            return Err(Error::Request(format!("cache {} is full at {capacity} tokens", cache.0)));
        }
        extend(held_keys, keys, width, capacity);
        extend(held_values, values, width, capacity);
        Ok(())
    }

    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>> {
        let rows = self.caches.get(&cache).ok_or_else(|| unknown(cache))?;
        let (keys, values) =
            rows.layers.get(layer).ok_or_else(|| Error::Shape(format!("layer {layer}")))?;
        Ok(KvView { keys, values })
    }
}

fn unknown(cache: CacheId) -> Error {
    Error::Request(format!("cache {} is unknown", cache.0))
}

/// Appends `rows`; memory doubles in whole blocks, but never beyond `capacity` tokens.
fn extend(held: &mut Vec<f32>, rows: &[f32], width: usize, capacity: usize) {
    let needed = held.len() + rows.len();
    if needed > held.capacity() {
        let tokens = (needed.max(2 * held.len()) / width).next_multiple_of(BLOCK).min(capacity);
        held.reserve_exact(tokens * width - held.len());
    }
    held.extend_from_slice(rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order() {
        let mut pool = KvPool::new(2, 3, 100);
        let lease = pool.reserve(100).unwrap();
        for token in 0..100 {
            for layer in 0..2 {
                let row = [token as f32, layer as f32, 0.5];
                pool.append(lease.id(), layer, &row, &row.map(|x| -x)).unwrap();
            }
        }
        assert_eq!(pool.view(lease.id(), 1).unwrap().keys[3 * 42..3 * 43], [42.0, 1.0, 0.5]);
        assert_eq!(pool.view(lease.id(), 0).unwrap().values[3 * 42..3 * 43], [-42.0, -0.0, -0.5]);
    }

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let mut pool = KvPool::new(2, 3, 10);
        let first = pool.reserve(6).unwrap();
        assert!(pool.reserve(5).is_none());
        let second = pool.reserve(4).unwrap();
        assert_eq!(pool.free(), 0);
        let gone = first.id();
        drop((first, second));
        assert_eq!(pool.free(), 10);
        assert!(pool.view(gone, 0).is_err());
        assert!(pool.reserve(usize::MAX).is_none());
    }

    #[test]
    fn a_full_or_misshapen_append_changes_nothing() {
        let mut pool = KvPool::new(2, 3, 1);
        let lease = pool.reserve(1).unwrap();
        let id = lease.id();
        assert!(pool.append(id, 0, &[1.0; 6], &[1.0; 6]).is_err());
        assert!(pool.append(id, 0, &[1.0; 3], &[1.0; 6]).is_err());
        assert!(pool.append(id, 0, &[1.0; 2], &[1.0; 2]).is_err());
        assert!(pool.append(id, 2, &[1.0; 3], &[1.0; 3]).is_err());
        assert!(pool.append(CacheId(9), 0, &[1.0; 3], &[1.0; 3]).is_err());
        assert!(pool.view(id, 0).unwrap().keys.is_empty());
    }
}

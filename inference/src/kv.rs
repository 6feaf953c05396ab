//! Keys and values of running sequences.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Error, Result};

/// Names one sequence's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u64);

/// What a model keeps of each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Layers with a cache.
    pub layers: usize,
    /// Width of a token's keys in one layer: key heads times their width.
    pub key_width: usize,
    /// Width of a token's values in one layer.
    pub value_width: usize,
}

/// One layer's cached keys (after rotation) and values of one sequence.
#[derive(Clone, Copy, Debug)]
pub enum KvView<'a> {
    /// Contiguous rows.
    Rows {
        /// `(length, key_width)`
        keys: &'a [f32],
        /// `(length, value_width)`
        values: &'a [f32],
        /// Tokens held.
        length: usize,
    },
}

impl KvView<'_> {
    /// Tokens held.
    pub const fn length(&self) -> usize {
        match self {
            Self::Rows { length, .. } => *length,
        }
    }
}

/// Where the decoder keeps keys and values.
pub trait KvStore {
    /// Appends `tokens` rows of one layer: `keys (tokens, key_width)`, `values (tokens,
    /// value_width)`.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown or full.
    fn append(
        &mut self,
        cache: CacheId,
        layer: usize,
        tokens: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<()>;

    /// Everything appended so far in one layer.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown.
    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>>;
}

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
    fn append(
        &mut self,
        cache: CacheId,
        layer: usize,
        tokens: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<()> {
        let width = self.width;
        let rows = self.caches.get_mut(&cache).ok_or_else(|| unknown(cache))?;
        let capacity = rows.capacity;
        let (held_keys, held_values) =
            rows.layers.get_mut(layer).ok_or_else(|| Error::Shape(format!("layer {layer}")))?;
        if keys.len() != values.len() || keys.len() != tokens * width {
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
        Ok(KvView::Rows { keys, values, length: keys.len() / self.width })
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

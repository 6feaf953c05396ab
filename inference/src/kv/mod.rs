//! Keys and values of running sequences.
//!
//! - [`KvStore`]: what the decoder needs of a cache
//! - [`KvPool`]: blocks of 16 tokens from one budget, shared by sequences with the same beginning
//! - [`KvCache`]: contiguous and unbounded, the reference that the pool is tested against

mod blocks;
mod contiguous;
mod paged;
mod pool;
mod prefix;
#[cfg(test)]
mod tests;

pub use self::{
    contiguous::KvCache,
    paged::PagedView,
    pool::{CacheLease, KvPool},
    prefix::PrefixKey,
};
use crate::{Error, Result};

/// Tokens of one block of a [`KvPool`].
pub const BLOCK_TOKENS: usize = crate::kernels::LANES;

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

impl KvShape {
    /// Values of one token in one layer, keys and values together.
    pub const fn width(&self) -> usize {
        self.key_width + self.value_width
    }

    /// Bytes of `tokens` tokens in f32.
    pub const fn bytes(&self, tokens: usize) -> usize {
        size_of::<f32>() * self.layers * self.width() * tokens
    }
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
    /// Blocks of a [`KvPool`].
    Paged(PagedView<'a>),
}

impl KvView<'_> {
    /// Tokens held.
    pub const fn length(&self) -> usize {
        match self {
            Self::Rows { length, .. } => *length,
            Self::Paged(view) => view.length(),
        }
    }
}

/// Where the decoder keeps keys and values.
pub trait KvStore: Send {
    /// Appends `tokens` rows of one layer: `keys (tokens, key_width)`, `values (tokens,
    /// value_width)`.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown or full, [`Error::Shape`] if the widths are wrong.
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

fn unknown(cache: CacheId) -> Error {
    Error::Request(format!("cache {} is unknown", cache.0))
}

//! Bounds of an adapter's files.

use super::config::MAX_RANK;

/// Most that an adapter may have; more is refused before it is read or computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterLimits {
    /// Bytes of `adapter_config.json`.
    pub config_bytes: usize,
    /// Bytes of `adapter_model.safetensors`.
    pub weights_bytes: usize,
    /// Bytes of the header in it.
    pub header_bytes: usize,
    /// Tensors in it.
    pub tensors: usize,
    /// Rank at any site; at most [`MAX_RANK`].
    pub rank: usize,
}

impl Default for AdapterLimits {
    fn default() -> Self {
        Self {
            config_bytes: 1 << 20,
            weights_bytes: 1 << 29,
            header_bytes: 1 << 22,
            tensors: 1 << 14,
            rank: MAX_RANK,
        }
    }
}

//! LoRA sites: the linear projections of the decoder, and the seam through which adapters act.

use candle_core::Tensor;

use crate::Result;

/// A linear projection of a decoder layer, by its Hugging Face module name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projection {
    /// `self_attn.q_proj`
    Q,
    /// `self_attn.k_proj`
    K,
    /// `self_attn.v_proj`
    V,
    /// `self_attn.o_proj`
    O,
    /// `mlp.gate_proj`
    Gate,
    /// `mlp.up_proj`
    Up,
    /// `mlp.down_proj`
    Down,
}

impl Projection {
    /// All projections, in the order in which sites are listed.
    pub const ALL: [Self; 7] =
        [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The module's own name, as in PEFT's `target_modules`: `q_proj`.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The module's path within its layer: `self_attn.q_proj`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Q => "self_attn.q_proj",
            Self::K => "self_attn.k_proj",
            Self::V => "self_attn.v_proj",
            Self::O => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The projection with this module name (`q_proj`), if there is one.
    pub fn from_module(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.module() == name)
    }
}

/// One place where an adapter acts: a projection of a layer. Sites are ordered by layer, then as in
/// [`Projection::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId {
    /// Decoder layer, from 0.
    pub layer: usize,
    /// Projection within the layer.
    pub projection: Projection,
}

impl SiteId {
    /// The module path in a checkpoint: `model.layers.3.self_attn.q_proj`.
    pub fn module_path(self) -> String {
        format!("model.layers.{}.{}", self.layer, self.projection.path())
    }
}

/// One site's low-rank weights on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteWeights {
    /// Where they act.
    pub site: SiteId,
    /// Rank `r`, at least 1.
    pub rank: usize,
    /// Input width.
    pub d_in: usize,
    /// Output width.
    pub d_out: usize,
    /// `A`, `(r, d_in)` row-major.
    pub a: Vec<f32>,
    /// `B`, `(d_out, r)` row-major.
    pub b: Vec<f32>,
    /// `s = alpha / r` (or `alpha / sqrt r` for rsLoRA).
    pub scale: f32,
}

/// What an adapter, or a batch of them, adds to the base model's projections.
///
/// An implementation must compute each row from that row's input alone and in a fixed order:
/// otherwise an answer would depend on what else is in the batch.
pub trait AdapterDelta {
    /// Returns `y` with the adapter's part added.
    ///
    /// - `x`: `(tokens, d_in)`, the projection's input
    /// - `y`: `(tokens, d_out)`, the base projection `x W^T`
    ///
    /// # Errors
    /// [`crate::Error::Shape`] or [`crate::Error::Adapter`] if the adapter does not fit the site.
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor>;
}

/// The base model alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAdapter;

impl AdapterDelta for NoAdapter {
    fn add(&self, _site: SiteId, _x: &Tensor, y: Tensor) -> Result<Tensor> {
        Ok(y)
    }
}

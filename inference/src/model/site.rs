//! LoRA sites: the linear projections of the decoder, and the seam through which adapters act.

use candle_core::Tensor;

use crate::{Result, layers::Linear};

/// A LoRA site, as its index in the model's site table ([`Decoder::sites`](super::Decoder::sites)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

/// One place where an adapter acts: a linear projection of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Index in the model's site table, which is in model order.
    pub id: SiteId,
    /// The module's path in the checkpoint: `model.layers.3.self_attn.q_proj`. PEFT matches
    /// `target_modules` and patterns against it.
    pub path: String,
    /// The path's last component: `q_proj`.
    pub module: String,
    /// Input width.
    pub d_in: usize,
    /// Output width.
    pub d_out: usize,
    /// Whether the checkpoint stores the weight as `(d_in, d_out)`, as GPT-2's `Conv1D` does. `A`
    /// and `B` of an adapter are `(r, d_in)` and `(d_out, r)` all the same.
    pub fan_in_fan_out: bool,
}

impl Site {
    /// A site named by its `path`.
    pub fn new(id: SiteId, path: String, d_in: usize, d_out: usize, fan_in_fan_out: bool) -> Self {
        let module = path.rsplit('.').next().unwrap_or_default().to_owned();
        Self { id, path, module, d_in, d_out, fan_in_fan_out }
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
pub trait AdapterDelta: Sync {
    /// Returns `y` with the adapter's part added.
    ///
    /// - `x`: `(tokens, d_in)`, the projection's input
    /// - `y`: `(tokens, d_out)`, the base projection `x W^T`; it may be written in place, so no other
    ///   tensor may share its memory
    ///
    /// # Errors
    /// [`crate::Error::Shape`] or [`crate::Error::Adapter`] if the adapter does not fit the site.
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor>;

    /// As [`Self::add`] for some of the step's tokens: row `i` of `x` and `y` is token `rows[i]`;
    /// `rows` is strictly increasing.
    ///
    /// # Errors
    /// As [`Self::add`].
    fn add_rows(&self, site: SiteId, rows: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor>;

    /// The projection of `x` with the adapter's part: what [`Self::add`] makes of the base projection.
    ///
    /// # Errors
    /// As [`Self::add`] and [`Linear::forward`].
    fn project(&self, site: SiteId, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        self.add(site, x, linear.forward(x)?)
    }

    /// As [`Self::project`] for some of the step's tokens, as in [`Self::add_rows`].
    ///
    /// # Errors
    /// As [`Self::project`].
    fn project_rows(
        &self,
        site: SiteId,
        rows: &[usize],
        linear: &Linear,
        x: &Tensor,
    ) -> Result<Tensor> {
        self.add_rows(site, rows, x, linear.forward(x)?)
    }
}

/// The base model alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAdapter;

impl AdapterDelta for NoAdapter {
    fn add(&self, _site: SiteId, _x: &Tensor, y: Tensor) -> Result<Tensor> {
        Ok(y)
    }

    fn add_rows(&self, _: SiteId, _rows: &[usize], _x: &Tensor, y: Tensor) -> Result<Tensor> {
        Ok(y)
    }
}

//! The parts that a decoder is made of.

use std::sync::Arc;

use super::check_size;
use crate::{
    Error, Result,
    layers::{activation::Activation, attention::AttentionShape, norm::NormKind},
};

/// Attention of every layer.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one head's queries and keys.
    pub head_dim: usize,
    /// Width of one head's values.
    pub value_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Bound of the scaled scores.
    pub softcap: Option<f32>,
    /// Positions that each layer's rows see, their own included; `None` sees all earlier ones.
    pub windows: Vec<Option<usize>>,
    /// How queries, keys and values are projected.
    pub form: QkvForm,
    /// Whether those projections have a bias.
    pub qkv_bias: bool,
    /// Whether the output projection has one.
    pub out_bias: bool,
    /// Whether each head's queries and keys are normalised before rotation.
    pub qk_norm: bool,
}

/// How queries, keys and values are projected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkvForm {
    /// Three projections.
    Separate,
    /// One projection: all queries, then all keys, then all values.
    FusedParts,
    /// One projection: for each key head its queries, its key, its value.
    FusedHeads,
    /// Multi-head latent attention (DeepSeek-AI 2024, section 2.1): keys and values are expanded
    /// from a narrow latent; a part of the key of its own, one for all heads, is rotated.
    Latent {
        /// Width of the queries' latent; `None` projects queries at once.
        q_rank: Option<usize>,
        /// Width of the latent of keys and values.
        kv_rank: usize,
        /// Rotated width of each head, at its end.
        rope_dim: usize,
    },
}

/// Where a token's position enters.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionSpec {
    /// Queries and keys are rotated.
    Rope {
        /// In layers that see all positions.
        global: RopeSpec,
        /// In layers with a window.
        local: RopeSpec,
    },
    /// Scores fall with distance, by this slope for each head (Press et al. 2022).
    Alibi(Arc<[f32]>),
    /// A trained vector for each position is added to the embedding.
    Learned,
}

/// Rotation of a head's queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// First rotated value of a head.
    pub first: usize,
    /// Whether a pair is `(2i, 2i + 1)` instead of `(i, i + half)`.
    pub interleaved: bool,
    /// Angle of each pair per position.
    pub frequencies: Arc<[f32]>,
    /// Factor of the rotated values.
    pub factor: f32,
}

/// The MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MlpSpec {
    /// Inner width.
    pub intermediate_size: usize,
    /// Activation of the inner values, or of their gate.
    pub activation: Activation,
    /// Which projections there are.
    pub form: MlpForm,
    /// Whether they have a bias.
    pub bias: bool,
}

/// Projections of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlpForm {
    /// `down(act(gate x) * up x)`
    Gated,
    /// The same with one projection whose first half is the gate.
    FusedGated,
    /// `down(act(up x))`
    Plain,
}

/// A mixture of experts in place of some layers' MLP.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertSpec {
    /// Routed experts.
    pub count: usize,
    /// How many of them each token has.
    pub per_token: usize,
    /// Inner width of a routed expert.
    pub width: usize,
    /// Inner width of the MLP that every token has beside them; 0 if there is none.
    pub shared_width: usize,
    /// Layers before this one have a plain MLP, and of the others each `every`th has experts.
    pub first_layer: usize,
    /// See `first_layer`.
    pub every: usize,
    /// Experts lie in this many equal groups; a token's experts are in the best `.1` of them.
    pub groups: Option<(usize, usize)>,
    /// Whether a token's weights are divided by their sum.
    pub normalise: bool,
    /// Factor of the weights.
    pub scale: f32,
}

impl ExpertSpec {
    /// Whether the layer has experts.
    pub const fn in_layer(&self, layer: usize) -> bool {
        layer >= self.first_layer && layer.is_multiple_of(self.every)
    }
}

/// Normalisation, the same everywhere in a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Which.
    pub kind: NormKind,
    /// Added to the mean square.
    pub eps: f32,
}

/// How a layer's parts are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualForm {
    /// `h += attention(norm(h))`, then `h += mlp(norm(h))`.
    Sequential,
    /// As `Sequential`, with another norm after each part.
    Sandwich,
    /// `h += attention(norm(h)) + mlp(norm(h))`.
    Parallel {
        /// Whether both have the same norm.
        shared_norm: bool,
    },
}

impl AttentionSpec {
    pub(super) fn validate(&self, layers: usize) -> Result<()> {
        let Self { heads, kv_heads, head_dim, value_dim, .. } = *self;
        check_size("num_attention_heads", heads)?;
        check_size("num_key_value_heads", kv_heads)?;
        check_size("head_dim", head_dim)?;
        check_size("width of values", value_dim)?;
        check_size("heads times head_dim", heads.saturating_mul(head_dim.max(value_dim)))?;
        if self.windows.len() != layers {
            let count = self.windows.len();
            return Err(Error::Config(format!("{count} windows for {layers} layers")));
        }
        if let QkvForm::Latent { q_rank, kv_rank, rope_dim } = self.form {
            check_size("q_lora_rank", q_rank.unwrap_or(1))?;
            check_size("kv_lora_rank", kv_rank)?;
            check_size("qk_rope_head_dim", rope_dim)?;
            check_size("qk_nope_head_dim", head_dim.saturating_sub(rope_dim))?;
        }
        self.shape(None).validate()?;
        self.windows.iter().try_for_each(|window| match window {
            Some(0) => Err(Error::Config("sliding_window 0 is not positive".into())),
            _ => Ok(()),
        })
    }

    /// The widest window, if every layer has one: nobody sees further back.
    pub fn widest_window(&self) -> Option<usize> {
        self.windows.iter().try_fold(0, |widest, window| Some((*window)?.max(widest)))
    }

    /// What an attention layer computes: without window, with these slopes.
    pub(crate) const fn shape(&self, alibi: Option<Arc<[f32]>>) -> AttentionShape {
        AttentionShape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
            scale: self.scale,
            softcap: self.softcap,
            window: None,
            alibi,
        }
    }
}

impl RopeSpec {
    pub(super) fn validate(&self, head_dim: usize) -> Result<()> {
        let end = self.first + 2 * self.frequencies.len();
        if self.frequencies.is_empty() || end > head_dim {
            return Err(Error::Config(format!("rotation up to {end} of heads of {head_dim}")));
        }
        Ok(())
    }
}

impl ExpertSpec {
    pub(super) fn validate(&self) -> Result<()> {
        let Self { count, per_token, width, every, .. } = *self;
        check_size("n_routed_experts", count)?;
        check_size("moe_intermediate_size", width)?;
        check_size("width of shared experts", self.shared_width.max(1))?;
        check_size("moe_layer_freq", every)?;
        let choice = match self.groups {
            None => count,
            Some((groups, best)) => {
                let whole = groups > 0 && count.is_multiple_of(groups);
                if !whole || best == 0 || best > groups {
                    return Err(Error::Config(format!("best {best} of {groups} expert groups")));
                }
                count / groups * best
            }
        };
        if count > 4096 || per_token == 0 || per_token > choice {
            return Err(Error::Config(format!("{per_token} experts per token of {choice}")));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(Error::Config(format!("routed_scaling_factor {}", self.scale)));
        }
        Ok(())
    }
}

//! Causal attention over packed sequences: grouped queries, window, soft cap, ALiBi.

mod forward;
mod gradient;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::Tensor;

use self::{
    forward::{SpanInput, attention},
    gradient::Op,
};
use crate::{
    Error, Result,
    kernels::HeadShape,
    kv::{KvShape, KvStore},
    layers::{tensor, with_values},
    step::Step,
};

/// What an attention layer computes: a row at position `p` sees the positions `j` with `j <= p` and,
/// with a window, `j > p - window`; the score is `cap(scale q_p k_j) + slope (j - p)`, where
/// `cap(s) = softcap tanh(s / softcap)`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads; query head `h` uses `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of one head's queries and keys.
    pub head_dim: usize,
    /// Width of one head's values.
    pub value_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Bound of the scaled scores; positive.
    pub softcap: Option<f32>,
    /// How many positions a row sees, its own included; at least 1.
    pub window: Option<usize>,
    /// ALiBi slope of each query head.
    pub alibi: Option<Arc<[f32]>>,
}

impl AttentionShape {
    /// Plain attention: scale `1 / sqrt(head_dim)`, values as wide as keys.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        let scale = 1.0 / (head_dim as f32).sqrt();
        let (softcap, window, alibi) = (None, None, None);
        Self { heads, kv_heads, head_dim, value_dim: head_dim, scale, softcap, window, alibi }
    }

    /// Checks the bounds stated on the fields.
    ///
    /// # Errors
    /// [`Error::Config`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let bad = |message: String| Err(Error::Config(message));
        let Self { heads, kv_heads, head_dim, value_dim, scale, .. } = self;
        if *kv_heads == 0 || *heads == 0 || !heads.is_multiple_of(*kv_heads) {
            return bad(format!("{heads} query heads over {kv_heads} key heads"));
        }
        if *head_dim == 0 || *value_dim == 0 || !scale.is_finite() {
            return bad(format!("heads of width {head_dim} and {value_dim}, scale {scale}"));
        }
        if let Some(cap) = self.softcap.filter(|cap| !(cap.is_finite() && *cap > 0.0)) {
            return bad(format!("softcap {cap} is not positive"));
        }
        if self.window == Some(0) {
            return bad("a window of 0 positions".into());
        }
        match &self.alibi {
            Some(slopes) if slopes.len() != *heads || slopes.iter().any(|s| !s.is_finite()) => {
                bad(format!("{} slopes for {heads} heads", slopes.len()))
            }
            _ => Ok(()),
        }
    }

    /// Width of the queries.
    pub const fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the keys.
    pub const fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Width of the values.
    pub const fn value_width(&self) -> usize {
        self.kv_heads * self.value_dim
    }

    /// Width of the result.
    pub const fn out_width(&self) -> usize {
        self.heads * self.value_dim
    }

    /// What `layers` such layers keep of a token.
    pub const fn kv(&self, layers: usize) -> KvShape {
        KvShape { layers, key_width: self.key_width(), value_width: self.value_width() }
    }

    const fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The kernel's view of query heads from `head` on.
    fn head(&self, head: usize, count: usize, first: usize, one_token: bool) -> HeadShape<'_> {
        HeadShape {
            first,
            one_token,
            key_dim: self.head_dim,
            value_dim: self.value_dim,
            scale: self.scale,
            softcap: self.softcap,
            window: self.window,
            slopes: self.alibi.as_ref().map_or(&[], |slopes| &slopes[head..head + count]),
        }
    }
}

/// Attention within each sequence of a step that starts at position 0; differentiable.
///
/// - `q`: `(tokens, heads * head_dim)`; `k`: `(tokens, kv_heads * head_dim)`; `v`:
///   `(tokens, kv_heads * value_dim)`
///
/// Returns `(tokens, heads * value_dim)`.
///
/// # Errors
/// [`Error::Config`] if the shape is out of bounds, [`Error::Request`] if a sequence does not start
/// at position 0 and the step is not sparse, [`Error::Tensor`] on wrong widths.
pub fn attend(
    shape: &AttentionShape,
    step: &Step,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    shape.validate()?;
    if !step.sparse && step.sequences.iter().any(|span| step.positions[span.range.start] != 0) {
        return Err(Error::Request("a sequence without cache starts after position 0".into()));
    }
    let spans = step.sequences.iter().map(|span| span.range.clone()).collect();
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    Ok(q.apply_op3(&k, &v, Op::new(shape.clone(), spans))?)
}

/// Attention of each sequence over its cache, after appending this step's keys and values; not
/// differentiable. A row's bits are those of [`attend`] on the whole sequence.
///
/// # Errors
/// [`Error::Request`] if a cache refuses, or does not hold exactly the earlier positions (fewer, where
/// the step is sparse); as [`attend`] otherwise.
pub fn attend_cached(
    shape: &AttentionShape,
    step: &Step,
    layer: usize,
    kv: &mut dyn KvStore,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    shape.validate()?;
    let tokens = step.tokens.len();
    with_values(k, |k| with_values(v, |v| append(shape, step, layer, kv, k, v)))???;
    let out = with_values(q, |q| -> Result<Vec<f32>> {
        let width = shape.query_width();
        check_width("queries", q, tokens, width)?;
        let mut spans = Vec::with_capacity(step.sequences.len());
        for span in &step.sequences {
            let view = kv.view(span.cache, layer)?;
            let position = step.positions[span.range.start] as usize;
            let held = view.length();
            // What the cache held before this step; positions that were left out have no rows.
            let first = held.saturating_sub(span.range.len());
            if first != position && !(step.sparse && first < position) {
                return Err(Error::Request(format!(
                    "cache {} holds {first} positions at position {position}",
                    span.cache.0
                )));
            }
            let q = &q[span.range.start * width..span.range.end * width];
            spans.push(SpanInput { q, first, view });
        }
        Ok(attention(shape, &spans))
    })??;
    Ok(tensor(out, (tokens, shape.out_width()))?)
}

fn append(
    shape: &AttentionShape,
    step: &Step,
    layer: usize,
    kv: &mut dyn KvStore,
    k: &[f32],
    v: &[f32],
) -> Result<()> {
    let (key_width, value_width) = (shape.key_width(), shape.value_width());
    check_width("keys", k, step.tokens.len(), key_width)?;
    check_width("values", v, step.tokens.len(), value_width)?;
    step.sequences.iter().try_for_each(|span| {
        let range = &span.range;
        let k = &k[range.start * key_width..range.end * key_width];
        let v = &v[range.start * value_width..range.end * value_width];
        kv.append(span.cache, layer, range.len(), k, v)
    })
}

fn check_width(what: &str, values: &[f32], tokens: usize, width: usize) -> Result<()> {
    if values.len() == tokens * width {
        return Ok(());
    }
    let count = values.len();
    Err(Error::Shape(format!("{count} values of {what} for {tokens} tokens of width {width}")))
}

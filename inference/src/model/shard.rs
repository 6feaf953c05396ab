//! Which part of a model each of several ranks has (Shoeybi et al. 2019, section 3).
//!
//! - Attention by heads: queries, keys and values have their own outputs, the output projection its
//!   own inputs. Where there are fewer key heads than ranks, several ranks have the same one.
//! - MLPs by their inner width, those of experts too: every rank has a slice of every expert, so
//!   the work is even whichever are chosen. Routers, norms, latent down-projections and vectors of
//!   positions are the same on all.
//! - The embedding table and the output projection by tokens.
//!
//! Results of split inputs are added up over the ranks once for each half of a layer, and logits
//! gathered at the end.

use std::ops::Range;

use candle_core::Tensor;

use super::{
    SiteWeights,
    block::{Attention, Block, Dense, LatentQuery, Mlp, Qkv},
    plan::{LinearPlan, NormPlan, Plan},
};
use crate::{
    Error, Result,
    comm::Comm,
    config::{AttentionSpec, ModelSpec, PositionSpec, QkvForm},
    layers::{embedding::Embedding, tensor, with_values},
};

/// One rank's share of a model that is split over `world` ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which rank, below `world`.
    pub rank: usize,
    /// Number of ranks.
    pub world: usize,
}

/// What a rank has of a projection `x W^T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// All of it.
    Whole,
    /// These outputs, one range after another.
    Outputs(Vec<Range<usize>>),
    /// These inputs; the sum over the ranks is the result.
    Inputs(Range<usize>),
}

impl Share {
    /// Everything, on one rank.
    pub const WHOLE: Self = Self { rank: 0, world: 1 };

    /// This rank's part of `count` things, of equal size on all ranks but the last.
    pub(super) fn range(&self, name: &str, count: usize) -> Result<Range<usize>> {
        let Self { rank, world } = *self;
        let size = self.size(count);
        if rank >= world || size * (world - 1) >= count {
            return Err(Error::Config(format!("{name} {count} for rank {rank} of {world}")));
        }
        Ok(rank * size..((rank + 1) * size).min(count))
    }

    const fn size(&self, count: usize) -> usize {
        count.div_ceil(if self.world == 0 { 1 } else { self.world })
    }

    pub(super) fn check(&self, comm: &dyn Comm) -> Result<()> {
        if (comm.rank(), comm.world()) == (self.rank, self.world) {
            return Ok(());
        }
        let (rank, world) = (comm.rank(), comm.world());
        let Self { rank: own, world: all } = self;
        Err(Error::Comm(format!("rank {rank} of {world} has the share of {own} of {all}")))
    }

    /// Query heads and key heads of this rank.
    fn heads(&self, spec: &AttentionSpec) -> Result<(Range<usize>, Range<usize>)> {
        let AttentionSpec { heads, kv_heads, .. } = *spec;
        let Self { rank, world } = *self;
        let refused = |what| Err(Error::Config(format!("{what} over {world} ranks")));
        if rank >= world || !heads.is_multiple_of(world) {
            return refused(format!("{heads} attention heads"));
        }
        let own = heads / world;
        let keys = if kv_heads.is_multiple_of(world) {
            rank * kv_heads / world..(rank + 1) * kv_heads / world
        } else if world.is_multiple_of(kv_heads) {
            let key = rank / (world / kv_heads);
            key..key + 1
        } else {
            return refused(format!("{kv_heads} key and value heads"));
        };
        Ok((rank * own..(rank + 1) * own, keys))
    }

    /// The model as this rank computes it: with its own heads.
    pub(super) fn spec(&self, spec: &ModelSpec) -> Result<ModelSpec> {
        let (heads, keys) = self.heads(&spec.attention)?;
        let mut own = spec.clone();
        if let PositionSpec::Alibi(slopes) = &spec.positions {
            own.positions = PositionSpec::Alibi(slopes[heads.clone()].into());
        }
        (own.attention.heads, own.attention.kv_heads) = (heads.len(), keys.len());
        Ok(own)
    }

    /// The plan with this rank's part of every projection.
    pub(super) fn split(&self, spec: &ModelSpec, mut plan: Plan) -> Result<Plan> {
        if *self == Self::WHOLE {
            return Ok(plan);
        }
        if let Some(head) = &mut plan.head {
            head.split = Split::Outputs(vec![self.range("vocab_size", head.d_out)?]);
        }
        for layer in &mut plan.layers {
            self.split_layer(&spec.attention, layer)?;
        }
        Ok(plan)
    }

    fn split_layer(
        &self,
        spec: &AttentionSpec,
        layer: &mut Block<LinearPlan, NormPlan>,
    ) -> Result<()> {
        self.split_attention(spec, &mut layer.attention)?;
        match &mut layer.mlp {
            Mlp::Dense(mlp) => self.split_mlp(mlp),
            Mlp::Experts { experts, shared, .. } => {
                experts.iter_mut().chain(shared).try_for_each(|mlp| self.split_mlp(mlp))
            }
        }
    }

    fn split_attention(
        &self,
        spec: &AttentionSpec,
        parts: &mut Attention<LinearPlan, NormPlan>,
    ) -> Result<()> {
        let AttentionSpec { heads, kv_heads, head_dim, value_dim, form, .. } = *spec;
        let (queries, keys) = self.heads(spec)?;
        let columns = |first: usize, heads: &Range<usize>, width: usize| {
            first + heads.start * width..first + heads.end * width
        };
        let outputs = |linear: &mut LinearPlan, range| linear.split = Split::Outputs(vec![range]);
        match &mut parts.qkv {
            Qkv::Separate { q, k, v } => {
                outputs(q, columns(0, &queries, head_dim));
                outputs(k, columns(0, &keys, head_dim));
                outputs(v, columns(0, &keys, value_dim));
            }
            Qkv::Fused(qkv) if form == QkvForm::FusedHeads => {
                qkv.split = Split::Outputs(fused_heads(spec, &queries, &keys));
            }
            Qkv::Fused(qkv) => {
                let first_key = heads * head_dim;
                qkv.split = Split::Outputs(vec![
                    columns(0, &queries, head_dim),
                    columns(first_key, &keys, head_dim),
                    columns(first_key + kv_heads * head_dim, &keys, value_dim),
                ]);
            }
            Qkv::Latent { q, kv_b, .. } => {
                let (LatentQuery::Full(q) | LatentQuery::Latent { b: q, .. }) = q;
                outputs(q, columns(0, &queries, head_dim));
                outputs(kv_b, columns(0, &queries, kv_b.d_out / heads));
            }
        }
        parts.o.split = Split::Inputs(columns(0, &queries, value_dim));
        Ok(())
    }

    fn split_mlp(&self, mlp: &mut Dense<LinearPlan>) -> Result<()> {
        let (Dense::Gated { down, .. }
        | Dense::FusedGated { down, .. }
        | Dense::Plain { down, .. }) = mlp;
        let inner = down.d_in;
        let own = self.range("inner width of an MLP", inner)?;
        down.split = Split::Inputs(own.clone());
        match mlp {
            Dense::Gated { gate, up, .. } => {
                gate.split = Split::Outputs(vec![own.clone()]);
                up.split = Split::Outputs(vec![own]);
            }
            Dense::FusedGated { gate_up, .. } => {
                let up = inner + own.start..inner + own.end;
                gate_up.split = Split::Outputs(vec![own, up]);
            }
            Dense::Plain { up, .. } => up.split = Split::Outputs(vec![own]),
        }
        Ok(())
    }

    /// Vectors `(tokens, hidden)` of tokens, each of which one rank has.
    pub(super) fn embed(
        &self,
        table: &Embedding,
        tokens: &[u32],
        spec: &ModelSpec,
        comm: &dyn Comm,
    ) -> Result<Tensor> {
        if self.world == 1 {
            return table.forward(tokens);
        }
        let own = self.range("vocab_size", spec.vocab_size)?;
        let hidden = spec.hidden_size;
        let (places, ids): (Vec<usize>, Vec<u32>) = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| own.contains(&(**token as usize)))
            .map(|(place, token)| (place, *token - own.start as u32))
            .unzip();
        let mut all = vec![0.0; tokens.len() * hidden];
        if !ids.is_empty() {
            with_values(&table.forward(&ids)?, |rows| {
                for (place, row) in places.into_iter().zip(rows.chunks_exact(hidden)) {
                    all[place * hidden..][..hidden].copy_from_slice(row);
                }
            })?;
        }
        comm.all_reduce_sum(&mut all)?;
        Ok(tensor(all, (tokens.len(), hidden))?)
    }

    /// All of the `count` columns of which this rank has its own.
    pub(super) fn gather(&self, own: Tensor, count: usize, comm: &dyn Comm) -> Result<Tensor> {
        if self.world == 1 {
            return Ok(own);
        }
        let (rows, width) = own.dims2()?;
        // The last rank may have fewer: everyone sends as much as the first.
        let size = self.size(count);
        let mut sent = vec![0.0; rows * size];
        with_values(&own, |own| {
            for (to, from) in sent.chunks_exact_mut(size).zip(own.chunks_exact(width)) {
                to[..width].copy_from_slice(from);
            }
        })?;
        let all = comm.all_gather(&sent)?;
        let mut out = Vec::with_capacity(rows * count);
        for row in 0..rows {
            let part = |rank: usize| &all[(rank * rows + row) * size..][..size];
            out.extend((0..self.world).flat_map(part).take(count));
        }
        Ok(tensor(out, (rows, count))?)
    }
}

/// Outputs of a projection that has, for each key head, its queries, its key and its value.
fn fused_heads(
    spec: &AttentionSpec,
    queries: &Range<usize>,
    keys: &Range<usize>,
) -> Vec<Range<usize>> {
    let AttentionSpec { heads, kv_heads, head_dim, value_dim, .. } = *spec;
    let group = heads / kv_heads;
    let stride = group * head_dim + head_dim + value_dim;
    let of_key = |key: usize| {
        let (first, start) = (key * stride, key * group);
        let own = queries.start.max(start)..queries.end.min(start + group);
        let own = first + (own.start - start) * head_dim..first + (own.end - start) * head_dim;
        [own, first + group * head_dim..first + stride]
    };
    keys.clone().flat_map(of_key).collect()
}

impl Split {
    /// Inputs and outputs of a rank's part.
    pub(super) fn sizes(&self, d_in: usize, d_out: usize) -> (usize, usize) {
        match self {
            Self::Whole => (d_in, d_out),
            Self::Outputs(ranges) => (d_in, ranges.iter().map(ExactSizeIterator::len).sum()),
            Self::Inputs(range) => (range.len(), d_out),
        }
    }

    /// A rank's part of an adapter at a site.
    pub(super) fn of(&self, whole: &SiteWeights) -> Result<SiteWeights> {
        let SiteWeights { rank, d_in, d_out, a, b, .. } = whole;
        let (own_in, own_out) = self.sizes(*d_in, *d_out);
        let last = match self {
            Self::Whole => 0,
            Self::Outputs(ranges) => ranges.iter().map(|range| range.end).max().unwrap_or(0),
            Self::Inputs(range) => range.end,
        };
        let most = if matches!(self, Self::Inputs(_)) { *d_in } else { *d_out };
        if a.len() != rank * d_in || b.len() != d_out * rank || last > most || *d_in == 0 {
            let site = whole.site.0;
            return Err(Error::Shape(format!("site {site}: a part up to {last} of {most}")));
        }
        let (mut own_a, mut own_b) = (a.clone(), b.clone());
        match self {
            Self::Whole => {}
            Self::Outputs(ranges) => {
                let rows = |range: &Range<usize>| &b[range.start * rank..range.end * rank];
                own_b = ranges.iter().flat_map(rows).copied().collect();
            }
            Self::Inputs(range) => {
                let rows = a.chunks_exact(*d_in).flat_map(|row| &row[range.clone()]);
                own_a = rows.copied().collect();
            }
        }
        Ok(SiteWeights { d_in: own_in, d_out: own_out, a: own_a, b: own_b, ..whole.clone() })
    }
}

/// The sum of all ranks' parts of a tensor.
pub(super) fn sum_over(comm: &dyn Comm, part: Tensor) -> Result<Tensor> {
    if comm.world() == 1 {
        return Ok(part);
    }
    let mut values = with_values(&part, <[f32]>::to_vec)?;
    comm.all_reduce_sum(&mut values)?;
    Ok(tensor(values, part.shape())?)
}

//! The modules of a decoder layer, as a plan of names and shapes or with their weights.

use crate::Result;

/// The modules of one layer; `L` is a projection, `N` a norm.
#[derive(Clone, Debug)]
pub(super) struct Block<L, N> {
    pub(super) attention: Attention<L, N>,
    pub(super) mlp: Mlp<L>,
    pub(super) norms: Norms<N>,
}

/// Norms around the parts of a layer.
#[derive(Clone, Debug)]
pub(super) struct Norms<N> {
    pub(super) attention: N,
    pub(super) attention_post: Option<N>,
    /// Absent where the MLP takes what attention takes.
    pub(super) mlp: Option<N>,
    pub(super) mlp_post: Option<N>,
}

/// Attention's projections, and norms of heads or latents.
#[derive(Clone, Debug)]
pub(super) struct Attention<L, N> {
    pub(super) qkv: Qkv<L, N>,
    pub(super) o: L,
    /// Of queries and keys.
    pub(super) head_norms: Option<(N, N)>,
}

/// Projections to queries, keys and values.
#[derive(Clone, Debug)]
pub(super) enum Qkv<L, N> {
    Separate { q: L, k: L, v: L },
    Fused(L),
    Latent { q: LatentQuery<L, N>, kv_a: L, kv_b: L, kv_norm: N },
}

/// Queries at once, or through a latent of their own.
#[derive(Clone, Debug)]
pub(super) enum LatentQuery<L, N> {
    Full(L),
    Latent { a: L, b: L, norm: N },
}

/// The MLP of a layer.
#[derive(Clone, Debug)]
pub(super) enum Mlp<L> {
    Dense(Dense<L>),
    Experts { router: L, experts: Vec<Dense<L>>, shared: Option<Dense<L>> },
}

/// Projections of one MLP.
#[derive(Clone, Debug)]
pub(super) enum Dense<L> {
    Gated { gate: L, up: L, down: L },
    FusedGated { gate_up: L, down: L },
    Plain { up: L, down: L },
}

/// What becomes of each module.
pub(super) trait Map<L, N> {
    type L;
    type N;

    fn linear(&mut self, linear: L) -> Result<Self::L>;

    fn norm(&mut self, norm: N) -> Result<Self::N>;
}

impl<L, N> Block<L, N> {
    /// The layer with every module mapped, in the order in which weights are listed.
    pub(super) fn map<M: Map<L, N>>(self, map: &mut M) -> Result<Block<M::L, M::N>> {
        Ok(Block {
            attention: self.attention.map(map)?,
            mlp: self.mlp.map(&mut |linear| map.linear(linear))?,
            norms: self.norms.map(&mut |norm| map.norm(norm))?,
        })
    }
}

impl<N> Norms<N> {
    fn map<T>(self, map: &mut impl FnMut(N) -> Result<T>) -> Result<Norms<T>> {
        Ok(Norms {
            attention: map(self.attention)?,
            attention_post: self.attention_post.map(&mut *map).transpose()?,
            mlp: self.mlp.map(&mut *map).transpose()?,
            mlp_post: self.mlp_post.map(&mut *map).transpose()?,
        })
    }
}

impl<L, N> Attention<L, N> {
    fn map<M: Map<L, N>>(self, map: &mut M) -> Result<Attention<M::L, M::N>> {
        let qkv = match self.qkv {
            Qkv::Separate { q, k, v } => {
                Qkv::Separate { q: map.linear(q)?, k: map.linear(k)?, v: map.linear(v)? }
            }
            Qkv::Fused(qkv) => Qkv::Fused(map.linear(qkv)?),
            Qkv::Latent { q, kv_a, kv_b, kv_norm } => Qkv::Latent {
                q: match q {
                    LatentQuery::Full(q) => LatentQuery::Full(map.linear(q)?),
                    LatentQuery::Latent { a, b, norm } => LatentQuery::Latent {
                        a: map.linear(a)?,
                        b: map.linear(b)?,
                        norm: map.norm(norm)?,
                    },
                },
                kv_a: map.linear(kv_a)?,
                kv_b: map.linear(kv_b)?,
                kv_norm: map.norm(kv_norm)?,
            },
        };
        let o = map.linear(self.o)?;
        let head_norms = match self.head_norms {
            Some((q, k)) => Some((map.norm(q)?, map.norm(k)?)),
            None => None,
        };
        Ok(Attention { qkv, o, head_norms })
    }
}

impl<L> Mlp<L> {
    fn map<T>(self, map: &mut impl FnMut(L) -> Result<T>) -> Result<Mlp<T>> {
        Ok(match self {
            Self::Dense(dense) => Mlp::Dense(dense.map(map)?),
            Self::Experts { router, experts, shared } => Mlp::Experts {
                router: map(router)?,
                experts: experts.into_iter().map(|e| e.map(map)).collect::<Result<_>>()?,
                shared: shared.map(|shared| shared.map(map)).transpose()?,
            },
        })
    }
}

impl<L> Dense<L> {
    fn map<T>(self, map: &mut impl FnMut(L) -> Result<T>) -> Result<Dense<T>> {
        Ok(match self {
            Self::Gated { gate, up, down } => {
                Dense::Gated { gate: map(gate)?, up: map(up)?, down: map(down)? }
            }
            Self::FusedGated { gate_up, down } => {
                Dense::FusedGated { gate_up: map(gate_up)?, down: map(down)? }
            }
            Self::Plain { up, down } => Dense::Plain { up: map(up)?, down: map(down)? },
        })
    }
}

//! What computes an engine's steps: a model, or the ranks that it is split over.

use std::sync::Arc;

use candle_core::Tensor;

use super::adapters::Leases;
use crate::{
    Result,
    kv::{KvPool, KvStore},
    layers::lora::GroupedDelta,
    model::{AdapterDelta, Decoder, ParallelDecoder},
    scheduler::Plan,
};

/// A model, whole or in parts.
#[derive(Clone, Debug)]
pub(super) enum Compute {
    Whole(Arc<Decoder>),
    Ranks(Arc<ParallelDecoder>),
}

impl Compute {
    /// A pool of the keys and values of `tokens` tokens.
    pub(super) fn pool(&self, tokens: usize) -> KvPool {
        match self {
            Self::Whole(decoder) => KvPool::new(decoder.kv_shape(), tokens),
            Self::Ranks(ranks) => KvPool::over_ranks(ranks.shares().map(Decoder::kv_shape), tokens),
        }
    }

    /// Hidden states of a step.
    pub(super) fn forward(&self, plan: &Plan, kv: &mut KvPool, leases: &Leases) -> Result<Tensor> {
        let (step, held) = (&plan.step, leases.of(&plan.sequences));
        match self {
            Self::Whole(decoder) => {
                let delta = GroupedDelta::new(&step.segments, |segment| {
                    held.get(&segment.slot).map(|adapter| Arc::clone(adapter.sites()))
                })?;
                decoder.forward(step, Some(kv), &delta)
            }
            Self::Ranks(ranks) => {
                let delta = |rank: usize| {
                    GroupedDelta::new(&step.segments, |segment| {
                        held.get(&segment.slot)?.shares().get(rank).cloned()
                    })
                };
                let deltas = (0..ranks.shares().len()).map(delta).collect::<Result<Vec<_>>>()?;
                let deltas: Vec<&dyn AdapterDelta> =
                    deltas.iter().map(|delta| delta as _).collect();
                let mut stores = kv.stores();
                let kv = stores.iter_mut().map(|store| store as &mut dyn KvStore).collect();
                ranks.forward(step, Some(kv), &deltas)
            }
        }
    }

    /// Logits of some of the hidden states.
    pub(super) fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        match self {
            Self::Whole(decoder) => decoder.logits(hidden),
            Self::Ranks(ranks) => ranks.logits(hidden),
        }
    }
}

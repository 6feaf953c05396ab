//! A small random model and adapter for tests.

use rand::{Rng, SeedableRng};

use super::{Decoder, SiteWeights};
use crate::{
    config::{LlamaSizes, ModelSpec},
    train::TrainableLora,
};

/// Two layers, two query heads for each key head, 64 tokens.
pub(crate) fn sizes() -> LlamaSizes {
    LlamaSizes {
        vocab_size: 64,
        hidden_size: 24,
        intermediate_size: 40,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 6,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_positions: 48,
        tied_embeddings: true,
        bos: Some(1),
        eos: vec![2],
        pad: Some(3),
    }
}

pub(crate) fn spec() -> ModelSpec {
    sizes().spec().unwrap()
}

/// Uniform values in `[-bound, bound)`.
fn uniform(rng: &mut rand_chacha::ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    (0..count).map(|_| bound * rng.random_range(-1.0f32..1.0)).collect()
}

/// Values for every parameter, large enough that no part of the model is nearly linear.
fn values(seed: u64, spec: ModelSpec, trainable: bool) -> Decoder {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    Decoder::with_values(spec, trainable, |parameter| {
        let count = parameter.shape.iter().product();
        Ok(if parameter.shape.len() == 1 {
            uniform(&mut rng, count, 0.5).into_iter().map(|value| 1.0 + value).collect()
        } else {
            uniform(&mut rng, count, 0.6)
        })
    })
    .unwrap()
}

/// A frozen model.
pub(crate) fn frozen(seed: u64) -> Decoder {
    values(seed, spec(), false)
}

/// The same weights as [`frozen`], all of them variables.
pub(crate) fn trainable(seed: u64) -> Decoder {
    values(seed, spec(), true)
}

/// A frozen model with an output projection of its own.
pub(crate) fn untied(seed: u64) -> Decoder {
    values(seed, LlamaSizes { tied_embeddings: false, ..sizes() }.spec().unwrap(), false)
}

/// An adapter on every site with `A` and `B` not zero.
pub(crate) fn adapter(decoder: &Decoder, rank: usize, seed: u64) -> TrainableLora {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let weights: Vec<SiteWeights> = decoder
        .sites()
        .iter()
        .map(|site| SiteWeights {
            site: site.id,
            rank,
            d_in: site.d_in,
            d_out: site.d_out,
            a: uniform(&mut rng, rank * site.d_in, 0.3),
            b: uniform(&mut rng, site.d_out * rank, 0.3),
            scale: 2.0,
        })
        .collect();
    TrainableLora::from_weights(decoder, &weights).unwrap()
}

//! Gradients of a row's log-likelihood at the LoRA sites: what influence is made from.

use candle_core::{Tensor, Var, backprop::GradStore};

use crate::{
    Error, Result,
    layers::with_values,
    model::{Decoder, SiteId},
    train::{
        Example, TrainableLora,
        data::Batch,
        trainer::{batch_loss, fill_idle_experts},
    },
};

/// One site's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteGradient {
    /// Where.
    pub site: SiteId,
    /// Rank `r` of the adapter there.
    pub rank: usize,
    /// Input width.
    pub d_in: usize,
    /// Output width.
    pub d_out: usize,
    /// With respect to `A`: `(r, d_in)` row-major.
    pub a: Vec<f32>,
    /// With respect to `B`: `(d_out, r)` row-major.
    pub b: Vec<f32>,
}

/// Gradient of `sum_{t >= loss_from} log p(tokens[t] | tokens[..t])` with respect to every `A` and
/// `B` of the adapter, in the order of [`SiteId`].
///
/// Used alike for a training row and for an answer (prompt and answer together, `loss_from` at the
/// answer's first token). The bits depend on the weights and the tokens only.
///
/// # Errors
/// [`Error::Training`] unless `1 <= loss_from < tokens.len()`; [`Error::Request`] if the tokens do not
/// fit the model.
pub fn row_gradient(
    decoder: &Decoder,
    adapter: &TrainableLora,
    tokens: &[u32],
    loss_from: usize,
) -> Result<Vec<SiteGradient>> {
    let example = Example { tokens: tokens.to_vec(), loss_from };
    let batch = Batch::new([&example])?;
    let log_likelihood = batch_loss(decoder, adapter, &batch)?.neg()?;
    let mut gradients = log_likelihood.backward()?;
    let variables = adapter.site_variables().flat_map(|(_, path, a, b)| [(path, a), (path, b)]);
    fill_idle_experts(&mut gradients, variables)?;
    adapter
        .site_variables()
        .map(|(site, path, a, b)| site_gradient(&gradients, site, path, a, b))
        .collect()
}

fn site_gradient(
    gradients: &GradStore,
    site: SiteId,
    path: &str,
    a: &Var,
    b: &Var,
) -> Result<SiteGradient> {
    let values = |variable: &Var| -> Result<Vec<f32>> {
        let gradient: Option<&Tensor> = gradients.get(variable);
        let missing = || Error::Training(format!("{path} has no gradient"));
        Ok(with_values(gradient.ok_or_else(missing)?, <[f32]>::to_vec)?)
    };
    let (rank, d_in) = a.dims2()?;
    let (d_out, _) = b.dims2()?;
    Ok(SiteGradient { site, rank, d_in, d_out, a: values(a)?, b: values(b)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{SiteWeights, fixture},
        train::held_out_loss,
    };

    const TOKENS: [u32; 12] = [1, 9, 4, 33, 7, 7, 12, 60, 2, 5, 41, 3];
    const LOSS_FROM: usize = 5;

    /// Log-likelihood of the counted tokens, in f64 from the mean.
    fn log_likelihood(decoder: &Decoder, weights: &[SiteWeights]) -> f64 {
        let adapter = TrainableLora::from_weights(decoder, weights).unwrap();
        let example = Example { tokens: TOKENS.to_vec(), loss_from: LOSS_FROM };
        let counted = (TOKENS.len() - LOSS_FROM) as f64;
        -held_out_loss(decoder, &adapter, &[example]).unwrap() * counted
    }

    #[test]
    fn gradients_equal_finite_differences_at_every_site() {
        let decoder = fixture::frozen(3);
        let adapter = fixture::adapter(&decoder, 2, 5);
        let weights = adapter.weights().unwrap();
        let gradients = row_gradient(&decoder, &adapter, &TOKENS, LOSS_FROM).unwrap();
        assert_eq!(gradients.len(), decoder.sites().len());
        const STEP: f32 = 5e-3;
        for (index, gradient) in gradients.iter().enumerate() {
            // A few entries of each matrix; the layers' own tests look at every entry.
            for entry in [0, 3, 11] {
                for matrix in ['a', 'b'] {
                    let at = |offset: f32| {
                        let mut moved = weights.clone();
                        let values = &mut moved[index];
                        let values = if matrix == 'a' { &mut values.a } else { &mut values.b };
                        values[entry] += offset;
                        log_likelihood(&decoder, &moved)
                    };
                    let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
                    let ours = if matrix == 'a' { gradient.a[entry] } else { gradient.b[entry] };
                    let error = (f64::from(ours) - expected).abs();
                    assert!(
                        error < 2e-3 + 2e-2 * expected.abs(),
                        "{} {matrix}[{entry}]: {ours} but difference {expected}",
                        decoder.sites()[index].path
                    );
                }
            }
        }
        assert!(gradients.iter().flat_map(|g| &g.a).any(|value| value.abs() > 1e-2));
    }

    #[test]
    fn bits_do_not_depend_on_the_thread_count() {
        let decoder = fixture::frozen(3);
        let adapter = fixture::adapter(&decoder, 2, 5);
        let gradient = || row_gradient(&decoder, &adapter, &TOKENS, LOSS_FROM).unwrap();
        let expected = gradient();
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(gradient), expected);
        }
    }

    #[test]
    fn context_tokens_are_not_counted() {
        let decoder = fixture::frozen(3);
        let adapter = fixture::adapter(&decoder, 2, 5);
        let whole = row_gradient(&decoder, &adapter, &TOKENS, 1).unwrap();
        let late = row_gradient(&decoder, &adapter, &TOKENS, LOSS_FROM).unwrap();
        // A sum over disjoint tokens: the early ones are what the cut row has.
        let early = row_gradient(&decoder, &adapter, &TOKENS[..LOSS_FROM], 1).unwrap();
        for ((whole, late), early) in whole.iter().zip(&late).zip(&early) {
            for ((w, l), e) in whole.b.iter().zip(&late.b).zip(&early.b) {
                assert!((w - l - e).abs() < 1e-4);
            }
        }
        assert!(row_gradient(&decoder, &adapter, &TOKENS, 0).is_err());
        assert!(row_gradient(&decoder, &adapter, &[64, 1], 1).is_err());
    }
}

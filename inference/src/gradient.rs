//! Gradients of a row's log-likelihood at the LoRA sites: what influence is made from.

mod rows;

use candle_core::{Tensor, Var, backprop::GradStore};

use self::rows::{Matrix, RowDelta};
use crate::{
    Error, Result,
    kernels::on_the_pool,
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
    on_the_pool(|| {
        let log_likelihood = batch_loss(decoder, adapter, &batch)?.neg()?;
        let mut gradients = log_likelihood.backward()?;
        let variables = adapter.site_variables().flat_map(|(_, path, a, b)| [(path, a), (path, b)]);
        fill_idle_experts(&mut gradients, variables)?;
        adapter
            .site_variables()
            .map(|(site, path, a, b)| site_gradient(&gradients, site, path, a, b))
            .collect()
    })
}

/// [`row_gradient`] of each example, bit for bit, from one forward and one backward pass over all of
/// them.
///
/// Memory beyond that of a training step on these examples is one gradient per example,
/// `4 sum r (d_in + d_out)` bytes.
///
/// # Errors
/// As [`row_gradient`], if any example is at fault.
pub fn row_gradients(
    decoder: &Decoder,
    adapter: &TrainableLora,
    examples: &[Example],
) -> Result<Vec<Vec<SiteGradient>>> {
    let batch = Batch::new(examples)?;
    let sequences = batch.step.sequences.iter().map(|span| span.range.clone());
    let delta = RowDelta::new(adapter, sequences);
    on_the_pool(|| Ok::<_, Error>(batch_loss(decoder, &delta, &batch)?.neg()?.backward()?))?;
    let mut rows = vec![Vec::new(); examples.len()];
    for (site, path, a, b) in adapter.site_variables() {
        let taken = |matrix, variable: &Var| match delta.take(site, matrix) {
            Some(gradients) => Ok(gradients),
            // An expert that no token of any row has does not enter the loss.
            None if path.contains(".experts.") => {
                Ok(vec![vec![0.0; variable.elem_count()]; examples.len()])
            }
            None => Err(Error::Training(format!("{path} has no gradient"))),
        };
        let pairs = taken(Matrix::A, a)?.into_iter().zip(taken(Matrix::B, b)?);
        let ((rank, d_in), (d_out, _)) = (a.dims2()?, b.dims2()?);
        for (row, (a, b)) in rows.iter_mut().zip(pairs) {
            row.push(SiteGradient { site, rank, d_in, d_out, a, b });
        }
    }
    Ok(rows)
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
    use std::path::Path;

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

    fn bits(gradients: &[SiteGradient]) -> Vec<u32> {
        gradients.iter().flat_map(|g| g.a.iter().chain(&g.b)).map(|x| x.to_bits()).collect()
    }

    fn examples(lengths: &[usize]) -> Vec<Example> {
        let token = |i: usize, at: usize| ((7 * at + 11 * i + at * at) % 64) as u32;
        let example = |(i, &length): (usize, &usize)| Example {
            tokens: (0..length).map(|at| token(i, at)).collect(),
            loss_from: 1 + i % (length - 1),
        };
        lengths.iter().enumerate().map(example).collect()
    }

    fn assert_rows_are_as_alone(decoder: &Decoder, examples: &[Example]) {
        let adapter = fixture::adapter(decoder, 2, 5);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let together = pool.install(|| row_gradients(decoder, &adapter, examples).unwrap());
            assert_eq!(together.len(), examples.len());
            for (example, together) in examples.iter().zip(together) {
                let Example { tokens, loss_from } = example;
                let alone = row_gradient(decoder, &adapter, tokens, *loss_from).unwrap();
                assert!(bits(&together) == bits(&alone), "{} tokens", tokens.len());
                assert_eq!(together.len(), alone.len());
                for (ours, alone) in together.iter().zip(&alone) {
                    assert_eq!(ours.site, alone.site);
                }
            }
        }
    }

    #[test]
    fn rows_of_a_batch_have_the_bits_they_have_alone() {
        let decoder = fixture::frozen(3);
        for lengths in [&[5][..], &[12, 2, 31, 7], &[48, 48, 3, 2, 2, 17, 40, 9, 16]] {
            assert_rows_are_as_alone(&decoder, &examples(lengths));
        }
        assert_rows_are_as_alone(&fixture::untied(4), &examples(&[9, 30]));
    }

    /// Experts, latent attention, fused projections, ALiBi, learned positions.
    #[test]
    fn rows_of_every_family_have_the_bits_they_have_alone() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut families = 0;
        for family in std::fs::read_dir(golden).unwrap() {
            let base = family.unwrap().path().join("base");
            if base.join("config.json").exists() {
                let decoder = Decoder::load(&base).unwrap();
                assert_rows_are_as_alone(&decoder, &examples(&[2, 9, 3, 14]));
                families += 1;
            }
        }
        assert!(families >= 10, "{families}");
    }

    #[test]
    fn a_bad_example_fails_the_batch() {
        let decoder = fixture::frozen(3);
        let adapter = fixture::adapter(&decoder, 2, 5);
        let good = Example::whole(TOKENS.to_vec());
        for bad in [Example { loss_from: 12, ..good.clone() }, Example::whole(vec![1, 64])] {
            assert!(row_gradients(&decoder, &adapter, &[good.clone(), bad]).is_err());
        }
        assert!(row_gradients(&decoder, &adapter, &[]).is_err());
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

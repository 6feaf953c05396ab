//! Texts as vectors.

use crate::{
    Error, Result,
    layers::with_values,
    model::{Decoder, NoAdapter},
    step::Step,
};

/// The mean over the tokens of the base model's hidden states after its final norm, divided by its
/// Euclidean length: `(hidden,)`.
///
/// Sums are in f64 and in the order of the tokens, so the bits depend on weights and tokens only.
///
/// # Errors
/// [`Error::Request`] if there are no tokens, they do not fit the model, or the mean has no direction.
pub fn embed(decoder: &Decoder, tokens: &[u32]) -> Result<Vec<f32>> {
    if tokens.is_empty() {
        return Err(Error::Request("no tokens to embed".into()));
    }
    let hidden = decoder.forward(&Step::whole([tokens]), None, &NoAdapter)?;
    let width = hidden.dim(1)?;
    let mut sums = vec![0.0f64; width];
    with_values(&hidden, |values| {
        for row in values.chunks_exact(width) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
    })?;
    // The number of tokens cancels out of the direction.
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    if !(length > 0.0 && length.is_finite()) {
        return Err(Error::Request(format!("the mean of the hidden states has length {length}")));
    }
    Ok(sums.iter().map(|sum| (sum / length) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn the_direction_is_the_mean_hidden_states_and_the_length_is_one() {
        let decoder = fixture::frozen(3);
        let tokens = [3, 9, 1, 40, 40];
        let hidden = decoder.forward(&Step::whole([&tokens[..]]), None, &NoAdapter).unwrap();
        let mean: Vec<f32> = hidden.mean(0).unwrap().to_vec1().unwrap();
        let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt();
        let embedding = embed(&decoder, &tokens).unwrap();
        for (value, mean) in embedding.iter().zip(&mean) {
            assert!((value - mean / length).abs() < 1e-6, "{value} {}", mean / length);
        }
        let square: f32 = embedding.iter().map(|value| value * value).sum();
        assert!((square - 1.0).abs() < 1e-5, "{square}");
    }

    #[test]
    fn nothing_and_unknown_tokens_are_refused() {
        let decoder = fixture::frozen(3);
        assert!(embed(&decoder, &[]).is_err());
        assert!(embed(&decoder, &[u32::MAX]).is_err());
    }
}

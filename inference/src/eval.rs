//! How well a model predicts held-out text, against simpler ones.

use crate::{
    Error, Result,
    model::{AdapterDelta, Decoder, NoAdapter},
    train::{Example, held_out_loss},
};

/// Mean negative log-likelihood per counted token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// In nats.
    pub nats: f64,
}

impl Loss {
    /// `e^nats`: the number of equally likely tokens that would be as hard to guess.
    pub fn perplexity(self) -> f64 {
        libm::exp(self.nats)
    }
}

/// Loss of a model, with `delta` on it ([`crate::model::NoAdapter`] for the base alone).
///
/// # Errors
/// [`Error::Training`] if there are no examples or one is malformed, [`Error::Request`] if one does
/// not fit the model.
pub fn model_loss(
    decoder: &Decoder,
    delta: &dyn AdapterDelta,
    examples: &[Example],
) -> Result<Loss> {
    Ok(Loss { nats: held_out_loss(decoder, delta, examples)? })
}

/// Perplexity per counted token of a model without adapters.
///
/// # Errors
/// As [`model_loss`].
pub fn perplexity(decoder: &Decoder, examples: &[Example]) -> Result<f64> {
    Ok(model_loss(decoder, &NoAdapter, examples)?.perplexity())
}

/// A stream of tokens cut into rows of `length`; a shorter rest is left out.
///
/// # Errors
/// [`Error::Training`] if `length` is below 2 or not even one row is full.
pub fn rows(tokens: &[u32], length: usize) -> Result<Vec<Example>> {
    if length < 2 || tokens.len() < length {
        return Err(Error::Training(format!("{} tokens in rows of {length}", tokens.len())));
    }
    Ok(tokens.chunks_exact(length).map(|row| Example::whole(row.to_vec())).collect())
}

/// Token frequencies with one added to every count: what a model without context can know.
#[derive(Clone, Debug)]
pub struct Unigram {
    counts: Vec<u64>,
    total: u64,
}

impl Unigram {
    /// Counts the counted tokens of `examples`, over `vocab` ids.
    ///
    /// # Errors
    /// [`Error::Training`] if an example is malformed or names a token outside the vocabulary.
    pub fn fit(examples: &[Example], vocab: usize) -> Result<Self> {
        let mut counts = vec![1u64; vocab];
        for example in examples {
            example.validate()?;
            for &token in &example.tokens[example.loss_from..] {
                let count = counts.get_mut(token as usize);
                *count.ok_or_else(|| Error::Training(format!("token {token} of {vocab}")))? += 1;
            }
        }
        let total = counts.iter().sum();
        Ok(Self { counts, total })
    }

    /// Its loss on `examples`.
    ///
    /// # Errors
    /// [`Error::Training`] if there are no examples, one is malformed, or it names a token outside
    /// the vocabulary.
    pub fn loss(&self, examples: &[Example]) -> Result<Loss> {
        let (mut sum, mut counted) = (0.0, 0u64);
        for example in examples {
            example.validate()?;
            for &token in &example.tokens[example.loss_from..] {
                let count = self.counts.get(token as usize);
                let count =
                    count.ok_or_else(|| Error::Training(format!("unknown token {token}")))?;
                sum -= libm::log(*count as f64 / self.total as f64);
                counted += 1;
            }
        }
        if counted == 0 {
            return Err(Error::Training("there are no examples".into()));
        }
        Ok(Loss { nats: sum / counted as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perplexity_of_an_even_guess_is_the_vocabulary() {
        // All weights zero: every logit is zero.
        let spec = crate::model::fixture::spec();
        let zeros = |p: &crate::model::Parameter| Ok(vec![0.0; p.shape.iter().product()]);
        let decoder = Decoder::with_values(spec.clone(), false, zeros).unwrap();
        let rows = rows(&[1, 9, 4, 33, 7, 7, 12], 3).unwrap();
        assert_eq!(rows.len(), 2);
        let perplexity = perplexity(&decoder, &rows).unwrap();
        assert!((perplexity - spec.vocab_size as f64).abs() < 1e-3, "{perplexity}");
        assert!(super::rows(&[1, 2], 3).is_err() && super::rows(&[1, 2], 1).is_err());
    }

    #[test]
    fn unigram_loss_is_the_entropy_of_smoothed_counts() {
        let train = [Example::whole(vec![0, 1, 1, 1])];
        let unigram = Unigram::fit(&train, 4).unwrap();
        // Token 1 was counted three times of three: (3 + 1) / (3 + 4); token 2 never: 1 / 7.
        let seen = unigram.loss(&[Example::whole(vec![0, 1])]).unwrap();
        assert!((seen.perplexity() - 7.0 / 4.0).abs() < 1e-12);
        let unseen = unigram.loss(&[Example::whole(vec![0, 2])]).unwrap();
        assert!((unseen.perplexity() - 7.0).abs() < 1e-12);
        assert!(unigram.loss(&[]).is_err());
        assert!(unigram.loss(&[Example::whole(vec![0, 9])]).is_err());
    }
}

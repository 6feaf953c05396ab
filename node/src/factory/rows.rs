//! A Datanet row as the model sees it, in training and in attribution alike.

use attribution::estimate::{SiteGradient, SiteShape};
use inference::{
    gradient,
    tokenizer::Tokenizer,
    train::{Example, TrainableLora},
};

use crate::Result;

/// Tokens of a row's text behind the begin token and, if they fit, before the end token; at most
/// `max`.
///
/// # Errors
/// [`crate::Error::Inference`] if the text is too long or holds a special token's text.
pub fn row_tokens(tokenizer: &Tokenizer, text: &str, max: usize) -> Result<Vec<u32>> {
    let mut tokens = tokenizer.encode_prompt(text)?;
    tokens.extend(tokenizer.eos_id());
    tokens.truncate(max);
    Ok(tokens)
}

/// Tokens of a row's text as span indexes have it: all of it, and nothing around it.
///
/// # Errors
/// As [`row_tokens`].
pub fn span_tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    tokenizer.check_text(text)?;
    Ok(tokenizer.encode(text)?)
}

/// A row as a training example; `None` if it has no token to predict.
///
/// # Errors
/// As [`row_tokens`].
pub fn row_example(tokenizer: &Tokenizer, text: &str, max: usize) -> Result<Option<Example>> {
    let tokens = row_tokens(tokenizer, text, max)?;
    Ok((tokens.len() >= 2).then(|| Example::whole(tokens)))
}

/// Shapes of an adapter's sites, in the order of its gradients.
///
/// # Errors
/// [`crate::Error::Inference`] if the weights cannot be read.
pub fn site_shapes(lora: &TrainableLora) -> Result<Vec<SiteShape>> {
    let weights = lora.weights()?;
    let shape = |site: &inference::model::SiteWeights| SiteShape {
        rank: site.rank,
        d_in: site.d_in,
        d_out: site.d_out,
    };
    Ok(weights.iter().map(shape).collect())
}

/// A gradient as attribution takes it: the two crates do not know each other.
pub fn site_gradients(sites: &[gradient::SiteGradient]) -> Vec<SiteGradient<'_>> {
    let mut borrowed = Vec::with_capacity(sites.len());
    for gradient::SiteGradient { a, b, rank, d_in, d_out, .. } in sites {
        borrowed.push(SiteGradient { a, b, rank: *rank, d_in: *d_in, d_out: *d_out });
    }
    borrowed
}

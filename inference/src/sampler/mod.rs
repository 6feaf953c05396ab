//! Choosing the next token, reproducibly.
//!
//! In this order, as `transformers` and vLLM do: logit bias, repetition penalty, frequency and
//! presence penalties, [`TokenMask`], temperature, top-k, top-p, min-p, then one number of the
//! request's own stream. Log-probabilities are the model's, before all of this.

mod choice;
mod history;
mod logprobs;
mod settings;
#[cfg(test)]
mod tests;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::settings::{
    MAX_BIASES, MAX_LOGPROBS, MAX_STOP_BYTES, MAX_STOPS, MAX_TEMPERATURE, Sampling,
};
use self::{choice::Candidates, history::History};
use crate::{Error, Result};

/// Restricts which tokens may come next, as for answers that must follow a grammar.
pub trait TokenMask: Send {
    /// Sets the logits `(vocab,)` of tokens that must not come next to negative infinity.
    fn allow(&mut self, logits: &mut [f32]);

    /// This token came next.
    fn commit(&mut self, token: u32);

    /// Whether the answer is whole and nothing may follow, not even a token that ends it: a model that
    /// has none ends here.
    fn is_complete(&mut self) -> bool {
        false
    }
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Its id.
    pub token: u32,
    /// Natural logarithm of its probability under the model.
    pub logprob: f32,
    /// The [`Sampling::top_logprobs`] likeliest tokens under the model, likeliest first, with theirs.
    pub top: Vec<(u32, f32)>,
}

/// One request's choices.
pub struct Sampler {
    sampling: Sampling,
    history: History,
    mask: Option<Box<dyn TokenMask>>,
    stream: ChaCha8Rng,
    /// The logits as changed by bias, penalties and mask; kept for its memory.
    changed: Vec<f32>,
    candidates: Candidates,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("sampling", &self.sampling).finish_non_exhaustive()
    }
}

impl Sampler {
    /// The choices that `sampling` asks for after `prompt`, from their beginning.
    pub fn new(sampling: &Sampling, prompt: &[u32], mask: Option<Box<dyn TokenMask>>) -> Self {
        Self {
            history: History::new(sampling, prompt),
            sampling: sampling.clone(),
            mask,
            stream: ChaCha8Rng::seed_from_u64(sampling.seed),
            changed: Vec::new(),
            candidates: Candidates::default(),
        }
    }

    /// Chooses from `logits (vocab,)`. Of equal logits the lower id counts as likelier.
    ///
    /// # Errors
    /// [`Error::Request`] if there are none, one is not finite, or the mask allows no token.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Sampled> {
        let model = logprobs::Normaliser::of(logits)?;
        let token = self.choose(logits)?;
        self.history.push(token);
        if let Some(mask) = &mut self.mask {
            mask.commit(token);
        }
        Ok(Sampled {
            token,
            logprob: model.logprob(logits[token as usize]),
            top: model.top(logits, self.sampling.top_logprobs),
        })
    }

    /// Whether the mask lets nothing follow what was chosen, because it is whole.
    pub fn is_complete(&mut self) -> bool {
        self.mask.as_mut().is_some_and(|mask| mask.is_complete())
    }

    fn choose(&mut self, logits: &[f32]) -> Result<u32> {
        let unchanged = self.mask.is_none() && !self.history.changes_logits();
        if !unchanged {
            self.change(logits);
        }
        let logits = if unchanged { logits } else { &self.changed };
        let (best, top) = logprobs::likeliest(logits);
        if top == f32::NEG_INFINITY {
            return Err(Error::Request("no token is allowed to come next".into()));
        }
        if self.sampling.temperature == 0.0 {
            return Ok(best);
        }
        self.candidates.fill(&self.sampling, logits, top);
        Ok(self.candidates.at(self.stream.random::<f64>()))
    }

    fn change(&mut self, logits: &[f32]) {
        self.changed.clear();
        self.changed.extend_from_slice(logits);
        self.history.change(&mut self.changed);
        if let Some(mask) = &mut self.mask {
            mask.allow(&mut self.changed);
        }
    }
}

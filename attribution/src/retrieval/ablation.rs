//! Which sources an answer really came from, found by leaving sources out.
//!
//! Marks are what a model says of itself. This audit asks instead how likely the same answer is when
//! some of the sources are missing (ContextCite: Cohen-Wang et al. 2024, arXiv:2409.00729): the
//! answer's log-likelihood under random subsets of the sources, a sparse linear model of it, and
//! its weights as the sources' scores. It costs forward passes only, of any model.

mod agreement;
mod lasso;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub use self::agreement::{Agreement, agreement, spearman};
use crate::{Error, Result};

/// Most sources that are audited at once.
const MAX_SOURCES: usize = 256;
/// Most forward passes of one audit.
const MAX_PASSES: usize = 1 << 14;

/// How an audit is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AblationConfig {
    /// Forward passes that the scores are fitted to; 32 in the paper.
    pub passes: usize,
    /// Further ones that only tell how good the fit is.
    pub held_out: usize,
    /// What the subsets are drawn with.
    pub seed: u64,
    /// Tokens of the answer, above 0: the penalty is on nats per token.
    pub answer_tokens: usize,
    /// Penalty of the lasso; 0.01 in the paper's code.
    pub penalty: f64,
}

impl Default for AblationConfig {
    fn default() -> Self {
        Self { passes: 32, held_out: 8, seed: 0, answer_tokens: 1, penalty: 0.01 }
    }
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Surrogate {
    /// How much each source adds to the answer's logit, in nats.
    pub scores: Vec<f64>,
    /// Logit of the answer without any source, as fitted.
    pub intercept: f64,
    /// Spearman correlation of fitted and actual logits over the held-out subsets (the paper's
    /// linear datamodeling score, eq. 3); none if they are fewer than three or do not differ.
    pub lds: Option<f64>,
    /// Forward passes made.
    pub passes: usize,
}

impl Surrogate {
    /// The logit that the fit gives an answer when only these sources are there.
    #[must_use]
    pub fn predict(&self, kept: &[bool]) -> f64 {
        let added = self.scores.iter().zip(kept).filter(|(_, kept)| **kept);
        self.intercept + added.map(|(score, _)| score).sum::<f64>()
    }
}

/// Audits an answer that was given with `sources` sources.
///
/// `log_likelihood(kept)` is the log-likelihood, in nats, of the answer's tokens when only the
/// sources with `kept[i]` are in the prompt. Each source is kept with probability 1/2 (section 3);
/// where there are no more subsets than passes, every subset is taken once. The outcome is the logit
/// of the answer's probability `p`, `log p - log(1 - p)` (eq. 4), divided by its tokens.
///
/// # Errors
/// [`Error::Setting`] if there are no sources or more than 256, no passes or more than 2^14, or no
/// tokens; [`Error::NotFinite`] if a log-likelihood is not a finite number of at most 0; whatever
/// `log_likelihood` fails with.
pub fn ablate(
    sources: usize,
    config: &AblationConfig,
    log_likelihood: &mut dyn FnMut(&[bool]) -> Result<f64>,
) -> Result<Surrogate> {
    check(sources, config)?;
    let (fitted, held_out) = subsets(sources, config);
    let tokens = config.answer_tokens as f64;
    let mut outcomes = |subsets: &[Vec<bool>]| -> Result<Vec<f64>> {
        subsets.iter().map(|kept| Ok(logit(log_likelihood(kept)?)? / tokens)).collect()
    };
    let values = outcomes(&fitted)?;
    let checks = outcomes(&held_out)?;
    let (weights, intercept) = lasso::fit(&fitted, &values, config.penalty);
    let mut surrogate = Surrogate {
        scores: weights.into_iter().map(|weight| weight * tokens).collect(),
        intercept: intercept * tokens,
        lds: None,
        passes: fitted.len() + held_out.len(),
    };
    let predicted: Vec<f64> = held_out.iter().map(|kept| surrogate.predict(kept)).collect();
    surrogate.lds = spearman(&predicted, &checks);
    Ok(surrogate)
}

fn check(sources: usize, config: &AblationConfig) -> Result<()> {
    if sources == 0 || sources > MAX_SOURCES {
        return Err(Error::setting("an audit needs 1 to 256 sources", sources));
    }
    let passes = config.passes.saturating_add(config.held_out);
    if config.passes == 0 || passes > MAX_PASSES {
        return Err(Error::setting("an audit makes 1 to 2^14 passes", passes));
    }
    if config.answer_tokens == 0 {
        return Err(Error::setting("an answer must have tokens", 0));
    }
    if !(config.penalty >= 0.0 && config.penalty.is_finite()) {
        return Err(Error::setting("the penalty must not be negative", config.penalty));
    }
    Ok(())
}

/// Subsets to fit and to check.
fn subsets(sources: usize, config: &AblationConfig) -> (Vec<Vec<bool>>, Vec<Vec<bool>>) {
    let mut random = ChaCha8Rng::seed_from_u64(config.seed);
    let mut draw = |count: usize| -> Vec<Vec<bool>> {
        (0..count).map(|_| (0..sources).map(|_| random.random()).collect()).collect()
    };
    let all = 1_usize.checked_shl(sources as u32).filter(|_| sources < 16);
    let fitted = match all.filter(|all| *all <= config.passes) {
        Some(all) => (0..all).map(|s| (0..sources).map(|i| s >> i & 1 == 1).collect()).collect(),
        None => draw(config.passes),
    };
    (fitted, draw(config.held_out))
}

/// `log p - log(1 - p)` of `log p`.
fn logit(log_p: f64) -> Result<f64> {
    if !(log_p.is_finite() && log_p <= 0.0) {
        return Err(Error::NotFinite("log-likelihoods"));
    }
    // Certain answers have no finite logit; this is the largest that f64 tells from certain.
    let log_p = log_p.min(-f64::EPSILON);
    Ok(log_p - (-log_p.exp_m1()).ln())
}

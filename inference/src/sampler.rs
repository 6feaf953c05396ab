//! Choosing the next token, reproducibly.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result, kernels::exp};

/// Highest temperature.
pub const MAX_TEMPERATURE: f32 = 2.0;
/// Most stop strings of a request.
pub const MAX_STOPS: usize = 8;
/// Longest stop string in bytes.
pub const MAX_STOP_BYTES: usize = 256;

/// How a request's tokens are chosen and when it ends.
///
/// The same values, prompt and adapters give the same answer whatever else the engine does: each
/// request draws from a ChaCha8 stream of its own, one number per token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token. At most [`MAX_TEMPERATURE`].
    pub temperature: f32,
    /// Draw from this many likeliest tokens only; 0 means all.
    pub top_k: usize,
    /// Draw from the fewest likeliest tokens that have this much probability; in `(0, 1]`.
    pub top_p: f32,
    /// Seed of the request's stream.
    pub seed: u64,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// The answer has at most this many tokens; at least 1.
    pub max_tokens: usize,
}

impl Default for Sampling {
    /// Greedy, 128 tokens.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0, stop: Vec::new(), max_tokens: 128 }
    }
}

impl Sampling {
    /// Checks the bounds stated on the fields.
    ///
    /// # Errors
    /// [`Error::Request`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let bad = |message: String| Err(Error::Request(message));
        let Self { temperature, top_p, max_tokens, stop, .. } = self;
        if !(0.0..=MAX_TEMPERATURE).contains(temperature) {
            return bad(format!("temperature {temperature} is not in 0..={MAX_TEMPERATURE}"));
        }
        if !(*top_p > 0.0 && *top_p <= 1.0) {
            return bad(format!("top_p {top_p} is not above 0 and at most 1"));
        }
        if *max_tokens == 0 {
            return bad("max_tokens is 0".into());
        }
        if stop.len() > MAX_STOPS {
            return bad(format!("{} stop strings, at most {MAX_STOPS}", stop.len()));
        }
        if let Some(stop) = stop.iter().find(|s| s.is_empty() || s.len() > MAX_STOP_BYTES) {
            let length = stop.len();
            return bad(format!("a stop string has {length} bytes, not 1..={MAX_STOP_BYTES}"));
        }
        Ok(())
    }
}

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// Its id.
    pub token: u32,
    /// Natural logarithm of its probability under the model, before temperature, top-k and top-p.
    pub logprob: f32,
}

/// One request's choices.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f32,
    top_k: usize,
    top_p: f64,
    stream: ChaCha8Rng,
}

impl Sampler {
    /// The choices that `sampling` asks for, from their beginning.
    pub fn new(sampling: &Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: f64::from(sampling.top_p),
            stream: ChaCha8Rng::seed_from_u64(sampling.seed),
        }
    }

    /// Chooses from `logits (vocab,)`. Of equal logits the lower id counts as likelier.
    ///
    /// # Errors
    /// [`Error::Request`] if there are none or one is not finite.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Sampled> {
        let best = argmax(logits)?;
        let top = logits[best];
        let token = if self.temperature == 0.0 { best } else { self.draw(logits, top) };
        // The kernels' exp and libm's log, because the system's may differ in the last bit between
        // machines.
        let total: f64 = logits.iter().map(|logit| f64::from(exp(logit - top))).sum();
        let logprob = f64::from(logits[token] - top) - libm::log(total);
        Ok(Sampled { token: token as u32, logprob: logprob as f32 })
    }

    fn draw(&mut self, logits: &[f32], top: f32) -> usize {
        let weight = |&id: &usize| f64::from(exp((logits[id] - top) / self.temperature));
        let mut ids: Vec<usize> = (0..logits.len()).collect();
        if self.top_k > 0 || self.top_p < 1.0 {
            ids.sort_unstable_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        }
        if self.top_k > 0 {
            ids.truncate(self.top_k);
        }
        let mut weights: Vec<f64> = ids.iter().map(weight).collect();
        if self.top_p < 1.0 {
            let enough = self.top_p * weights.iter().sum::<f64>();
            weights.truncate(reach(&weights, |sum| sum >= enough) + 1);
        }
        let target = self.stream.random::<f64>() * weights.iter().sum::<f64>();
        ids[reach(&weights, |sum| sum > target)]
    }
}

/// Index at which the running sum of `weights` first satisfies `enough`, or the last one.
fn reach(weights: &[f64], enough: impl Fn(f64) -> bool) -> usize {
    let mut sum = 0.0;
    let at = weights.iter().position(|weight| {
        sum += weight;
        enough(sum)
    });
    at.unwrap_or(weights.len() - 1)
}

fn argmax(logits: &[f32]) -> Result<usize> {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if !logit.is_finite() {
            return Err(Error::Request(format!("the logit of token {id} is {logit}")));
        }
        if *logit > logits[best] {
            best = id;
        }
    }
    if logits.is_empty() { Err(Error::Request("no logits".into())) } else { Ok(best) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: &Sampling, logits: &[f32], draws: usize) -> Vec<f64> {
        let mut sampler = Sampler::new(sampling);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..draws {
            counts[sampler.sample(logits).unwrap().token as usize] += 1.0 / draws as f64;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest_and_tells_its_probability() {
        let mut sampler = Sampler::new(&Sampling::default());
        // Probabilities 1/4, 3/8, 3/8.
        let logits = [2.0f32.ln(), 3.0f32.ln(), 3.0f32.ln()];
        let Sampled { token, logprob } = sampler.sample(&logits).unwrap();
        assert_eq!(token, 1);
        assert!((logprob - (3.0f32 / 8.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn draws_have_the_probabilities_of_the_formula() {
        let logits = [1.0f32.ln(), 2.0f32.ln(), 4.0f32.ln(), 1.0f32.ln()];
        let base = Sampling { temperature: 1.0, seed: 7, ..Sampling::default() };
        let close = |sampling: &Sampling, expected: [f64; 4]| {
            for (got, expected) in counts(sampling, &logits, 40_000).iter().zip(expected) {
                assert!((got - expected).abs() < 0.012, "{sampling:?}: {got} for {expected}");
                assert!(expected > 0.0 || *got == 0.0);
            }
        };
        close(&base, [0.125, 0.25, 0.5, 0.125]);
        close(&Sampling { top_k: 2, ..base.clone() }, [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
        close(&Sampling { top_p: 0.74, ..base.clone() }, [0.0, 1.0 / 3.0, 2.0 / 3.0, 0.0]);
        close(&Sampling { top_p: 0.8, ..base.clone() }, [1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0, 0.0]);
        close(&Sampling { top_p: 1e-6, ..base.clone() }, [0.0, 0.0, 1.0, 0.0]);
        // Temperature 0.5 squares the weights: 1, 4, 16, 1.
        let cold = Sampling { temperature: 0.5, ..base };
        close(&cold, [1.0 / 22.0, 4.0 / 22.0, 16.0 / 22.0, 1.0 / 22.0]);
    }

    #[test]
    fn the_seed_decides_the_stream() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.1).collect();
        let run = |seed| {
            let sampling = Sampling { temperature: 1.0, seed, ..Sampling::default() };
            let mut sampler = Sampler::new(&sampling);
            (0..20).map(|_| sampler.sample(&logits).unwrap().token).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let good = Sampling::default();
        let bad = [
            Sampling { temperature: -0.1, ..Sampling::default() },
            Sampling { temperature: 2.1, ..Sampling::default() },
            Sampling { temperature: f32::NAN, ..Sampling::default() },
            Sampling { top_p: 0.0, ..Sampling::default() },
            Sampling { top_p: 1.1, ..Sampling::default() },
            Sampling { top_p: f32::NAN, ..Sampling::default() },
            Sampling { max_tokens: 0, ..Sampling::default() },
            Sampling { stop: vec![String::new()], ..Sampling::default() },
            Sampling { stop: vec!["x".repeat(257)], ..Sampling::default() },
            Sampling { stop: vec!["x".into(); 9], ..Sampling::default() },
        ];
        assert!(good.validate().is_ok());
        for sampling in bad {
            assert!(matches!(sampling.validate(), Err(Error::Request(_))), "{sampling:?}");
        }
        for logits in [&[][..], &[1.0, f32::NAN], &[f32::INFINITY, 0.0]] {
            assert!(Sampler::new(&good).sample(logits).is_err());
        }
    }
}

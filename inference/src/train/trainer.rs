//! The training loop.

use std::time::Instant;

use candle_core::{Device, Tensor, Var, backprop::GradStore};
use serde::{Deserialize, Serialize};

use super::{
    data::{Batch, Example, batch_at},
    optimizer::{AdamW, AdamWConfig},
    schedule::Schedule,
};
use crate::{
    Error, Result,
    kernels::on_the_pool,
    layers::loss::negative_log_likelihood,
    model::{AdapterDelta, Decoder},
};

/// How to train.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Learning rate of each step; also the number of steps.
    pub schedule: Schedule,
    /// Optimiser constants.
    pub optimizer: AdamWConfig,
    /// Largest joint norm of the gradients.
    pub clip: f64,
    /// Examples per step, at least 1.
    pub batch: usize,
    /// Decides the order of the examples.
    pub seed: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps done, from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Mean negative log-likelihood per counted token of this step's batch, in nats.
    pub loss: f64,
    /// Learning rate used.
    pub rate: f64,
    /// Norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Tokens of this step per second of its time.
    pub tokens_per_second: f64,
}

/// Trains the variables of a decoder or of an adapter on it.
///
/// The same settings, examples and initial values give the same bytes, on any machine.
#[derive(Debug)]
pub struct Trainer {
    settings: Settings,
    optimizer: AdamW,
}

impl Trainer {
    /// Starts at step 0.
    ///
    /// # Errors
    /// [`Error::Training`] if there is nothing to train or a setting is out of bounds.
    pub fn new(variables: Vec<(String, Var)>, settings: Settings) -> Result<Self> {
        settings.schedule.validate()?;
        if variables.is_empty() {
            return Err(Error::Training("there is nothing to train".into()));
        }
        if settings.batch == 0 || settings.clip.is_nan() || settings.clip <= 0.0 {
            return Err(Error::Training(format!(
                "batch {} or clip {} is not positive",
                settings.batch, settings.clip
            )));
        }
        let optimizer = AdamW::new(variables, settings.optimizer);
        Ok(Self { settings, optimizer })
    }

    /// Steps done so far.
    pub const fn steps_done(&self) -> u64 {
        self.optimizer.steps
    }

    /// The settings that it was started with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    pub(super) const fn optimizer_mut(&mut self) -> &mut AdamW {
        &mut self.optimizer
    }

    /// One optimiser step on a batch of examples. Returns what it did.
    ///
    /// # Errors
    /// [`Error::Training`] if the run is over, an example is malformed or a gradient is not finite;
    /// [`Error::Request`] if an example does not fit the model. Nothing has changed then.
    pub fn step<'a>(
        &mut self,
        decoder: &Decoder,
        delta: &dyn AdapterDelta,
        examples: impl IntoIterator<Item = &'a Example>,
    ) -> Result<Progress> {
        let Schedule { steps, .. } = self.settings.schedule;
        if self.steps_done() >= steps {
            return Err(Error::Training(format!("the run is over after {steps} steps")));
        }
        let start = Instant::now();
        let batch = Batch::new(examples)?;
        let counted = batch.targets.len() as f64;
        let (mean, mut gradients) = on_the_pool(|| {
            let mean = (batch_loss(decoder, delta, &batch)? / counted)?;
            let gradients = mean.backward()?;
            Ok::<_, Error>((mean, gradients))
        })?;
        let variables = self.optimizer.variables().iter();
        fill_idle_experts(&mut gradients, variables.map(|(name, v)| (name.as_str(), v)))?;
        let rate = self.settings.schedule.rate(self.steps_done());
        let gradient_norm = self.optimizer.step(&gradients, rate, self.settings.clip)?;
        let tokens = batch.step.tokens.len() as f64;
        Ok(Progress {
            step: self.steps_done(),
            steps,
            loss: f64::from(mean.to_scalar::<f32>()?),
            rate,
            gradient_norm,
            tokens_per_second: tokens / start.elapsed().as_secs_f64(),
        })
    }

    /// Indices of the examples of the next step out of `count`, as [`batch_at`] gives them.
    pub fn next_batch(&self, count: usize) -> Vec<usize> {
        batch_at(count, self.settings.batch, self.settings.seed, self.steps_done())
    }

    /// Runs all remaining steps over `examples`, calling `report` after each.
    ///
    /// # Errors
    /// As [`Self::step`], and [`Error::Training`] if there are no examples; what `report` returns.
    pub fn run(
        &mut self,
        decoder: &Decoder,
        delta: &dyn AdapterDelta,
        examples: &[Example],
        mut report: impl FnMut(&Self, Progress) -> Result<()>,
    ) -> Result<()> {
        if examples.is_empty() {
            return Err(Error::Training("there are no examples".into()));
        }
        while self.steps_done() < self.settings.schedule.steps {
            let batch = self.next_batch(examples.len());
            let progress =
                self.step(decoder, delta, batch.iter().map(|&index| &examples[index]))?;
            report(self, progress)?;
        }
        Ok(())
    }
}

/// Gives zero gradients to the weights of experts that no token of the batch has: they do not enter
/// the loss. Any other weight without a gradient is left for the caller to refuse.
pub(crate) fn fill_idle_experts<'a>(
    gradients: &mut GradStore,
    variables: impl Iterator<Item = (&'a str, &'a Var)>,
) -> Result<()> {
    for (name, variable) in variables {
        let within = name.contains(".experts.");
        if within && gradients.get(variable).is_none() {
            gradients.insert(variable, variable.zeros_like()?);
        }
    }
    Ok(())
}

/// Negative log-likelihood of a batch's counted tokens, summed.
pub(crate) fn batch_loss(
    decoder: &Decoder,
    delta: &dyn AdapterDelta,
    batch: &Batch,
) -> Result<Tensor> {
    let hidden = decoder.forward(&batch.step, None, delta)?;
    let rows = Tensor::new(batch.rows.as_slice(), &Device::Cpu)?;
    let logits = decoder.logits(&hidden.index_select(&rows, 0)?)?;
    negative_log_likelihood(&logits, &batch.targets)
}

/// Mean negative log-likelihood per counted token over `examples`, in nats; nothing is trained.
///
/// # Errors
/// [`Error::Training`] if there are no examples or one is malformed; [`Error::Request`] if one does
/// not fit the model.
pub fn held_out_loss(
    decoder: &Decoder,
    delta: &dyn AdapterDelta,
    examples: &[Example],
) -> Result<f64> {
    let (mut total, mut counted) = (0.0f64, 0usize);
    for examples in examples.chunks(8) {
        let batch = Batch::new(examples)?;
        let loss = on_the_pool(|| batch_loss(decoder, delta, &batch))?;
        total += f64::from(loss.detach().to_scalar::<f32>()?);
        counted += batch.targets.len();
    }
    if counted == 0 {
        return Err(Error::Training("there are no examples".into()));
    }
    Ok(total / counted as f64)
}

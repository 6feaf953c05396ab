//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019).

use candle_core::{Tensor, Var, backprop::GradStore};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    layers::{tensor, with_values},
};

/// Constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the gradient's mean.
    pub beta1: f64,
    /// Decay of the squared gradient's mean.
    pub beta2: f64,
    /// Added to the root of the latter.
    pub epsilon: f64,
    /// Part of a matrix taken off per step, times the learning rate; vectors are not decayed.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimiser's state over a list of variables.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    variables: Vec<(String, Var)>,
    pub(super) moments: Vec<Moments>,
    pub(super) steps: u64,
}

/// Running means of one variable.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
}

impl AdamW {
    /// Starts with zero means.
    pub fn new(variables: Vec<(String, Var)>, config: AdamWConfig) -> Self {
        let moments = variables
            .iter()
            .map(|(_, variable)| {
                let zeros = vec![0.0; variable.elem_count()];
                Moments { first: zeros.clone(), second: zeros }
            })
            .collect();
        Self { config, variables, moments, steps: 0 }
    }

    /// What is optimised, by name.
    pub fn variables(&self) -> &[(String, Var)] {
        &self.variables
    }

    /// Updates every variable at learning rate `rate`, with gradients scaled down together so that
    /// their joint norm is at most `clip`. Returns the norm before scaling.
    ///
    /// # Errors
    /// [`Error::Training`] if a variable has no gradient or the norm is not finite: then nothing
    /// has changed.
    pub fn step(&mut self, gradients: &GradStore, rate: f64, clip: f64) -> Result<f64> {
        let gradients = self.collect(gradients)?;
        let mut squares = 0.0f64;
        for gradient in &gradients {
            squares += with_values(gradient, |values| {
                values.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>()
            })?;
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Err(Error::Training(format!("gradient norm is {norm}")));
        }
        let scale = if norm > clip { clip / norm } else { 1.0 };
        self.steps += 1;
        for (index, gradient) in gradients.iter().enumerate() {
            with_values(gradient, |gradient| self.update(index, gradient, rate, scale))??;
        }
        Ok(norm)
    }

    fn collect(&self, gradients: &GradStore) -> Result<Vec<Tensor>> {
        let find = |(name, variable): &(String, Var)| {
            let gradient = gradients.get(variable).cloned();
            gradient.ok_or_else(|| Error::Training(format!("{name} has no gradient")))
        };
        self.variables.iter().map(find).collect()
    }

    /// `w <- w - rate (m_hat / (sqrt(v_hat) + eps) + decay w)` for one variable.
    fn update(&mut self, index: usize, gradient: &[f32], rate: f64, scale: f64) -> Result<()> {
        let AdamWConfig { beta1, beta2, epsilon, weight_decay } = self.config;
        let power = self.steps.min(1_000_000) as i32;
        let correction1 = 1.0 - libm::pow(beta1, f64::from(power));
        let correction2 = 1.0 - libm::pow(beta2, f64::from(power));
        let variable = &self.variables[index].1;
        let decay = if variable.rank() > 1 { rate * weight_decay } else { 0.0 };
        let (keep, step) = ((1.0 - decay) as f32, (rate / correction1) as f32);
        let (root, epsilon) = ((1.0 / correction2).sqrt() as f32, epsilon as f32);
        let (b1, b2, scale) = (beta1 as f32, beta2 as f32, scale as f32);
        let Moments { first, second } = &mut self.moments[index];
        let mut values = with_values(variable, <[f32]>::to_vec)?;
        for (((w, g), m), v) in
            values.iter_mut().zip(gradient).zip(first.iter_mut()).zip(second.iter_mut())
        {
            let g = g * scale;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * (g * g);
            *w = *w * keep - step * *m / (v.sqrt() * root + epsilon);
        }
        variable.set(&tensor(values, variable.shape())?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn quadratic(config: AdamWConfig) -> (AdamW, Var) {
        let start = Tensor::new(&[[3.0f32, -2.0]], &Device::Cpu).unwrap();
        let variable = Var::from_tensor(&start).unwrap();
        (AdamW::new(vec![("w".into(), variable.clone())], config), variable)
    }

    fn gradients(variable: &Var) -> GradStore {
        variable.as_tensor().sqr().unwrap().sum_all().unwrap().backward().unwrap()
    }

    /// Two steps by hand: the first moves each coordinate by the rate (bias correction), decay takes
    /// `rate * decay` of the weight.
    #[test]
    fn steps_equal_the_formula_in_f64() {
        let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let (mut adam, variable) = quadratic(config);
        let (mut w, mut m, mut v, rate) = ([3.0f64, -2.0], [0.0; 2], [0.0; 2], 0.05);
        for step in 1..=5 {
            for i in 0..2 {
                let g = 2.0 * w[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.95 * v[i] + 0.05 * g * g;
                let m_hat = m[i] / (1.0 - 0.9f64.powi(step));
                let v_hat = v[i] / (1.0 - 0.95f64.powi(step));
                w[i] -= rate * (m_hat / (v_hat.sqrt() + 1e-8) + 0.1 * w[i]);
            }
            adam.step(&gradients(&variable), rate, f64::INFINITY).unwrap();
        }
        let ours = variable.to_vec2::<f32>().unwrap();
        for i in 0..2 {
            assert!((f64::from(ours[0][i]) - w[i]).abs() < 1e-5);
        }
    }

    #[test]
    fn clipping_reports_the_norm_and_does_not_change_the_first_step() {
        let ((mut free, a), (mut clipped, b)) =
            (quadratic(AdamWConfig::default()), quadratic(AdamWConfig::default()));
        let norm = free.step(&gradients(&a), 0.1, f64::INFINITY).unwrap();
        assert!((norm - 52f64.sqrt()).abs() < 1e-5);
        clipped.step(&gradients(&b), 0.1, 1.0).unwrap();
        let (a, b) = (a.to_vec2::<f32>().unwrap(), b.to_vec2::<f32>().unwrap());
        assert!((a[0][0] - b[0][0]).abs() < 1e-5);
    }

    #[test]
    fn missing_gradient_is_an_error() {
        let (mut adam, _) = quadratic(AdamWConfig::default());
        let other = Var::from_tensor(&Tensor::new(1.0f32, &Device::Cpu).unwrap()).unwrap();
        let gradients = other.as_tensor().sqr().unwrap().backward().unwrap();
        assert!(adam.step(&gradients, 0.1, 1.0).is_err());
    }
}

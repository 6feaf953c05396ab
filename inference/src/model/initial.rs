//! Initial values of a model's weights.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Parameter, ParameterKind};

/// Draws initial weights: normal with standard deviation 0.02, divided by `sqrt(2 layers)` for the
/// projections that write to the residual stream (Radford et al. 2019); norms and biases change
/// nothing.
#[derive(Debug)]
pub(super) struct InitialValues {
    rng: ChaCha8Rng,
    residual_scale: f64,
}

impl InitialValues {
    pub(super) fn new(seed: u64, layers: usize) -> Self {
        let residual_scale = 1.0 / (2.0 * layers as f64).sqrt();
        Self { rng: ChaCha8Rng::seed_from_u64(seed), residual_scale }
    }

    pub(super) fn draw(&mut self, parameter: &Parameter) -> Vec<f32> {
        let count = parameter.shape.iter().product();
        let deviation = match parameter.kind {
            ParameterKind::Scale => return vec![1.0; count],
            ParameterKind::Shift => return vec![0.0; count],
            ParameterKind::Projection { residual: true } => 0.02 * self.residual_scale,
            ParameterKind::Table | ParameterKind::Projection { .. } => 0.02,
        };
        (0..count).map(|_| (deviation * self.normal()) as f32).collect()
    }

    /// One standard normal value (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.rng.random::<f64>())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.rng.random::<f64>())
    }
}

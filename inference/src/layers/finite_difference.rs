//! Compares gradients of operations with central differences.

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};

use crate::Result;

/// Uniform values in [-1, 1).
pub(crate) fn random(seed: u64, shape: (usize, usize)) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let values = (0..shape.0 * shape.1).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// `sum(f(x) * weights)`, summed in f64.
fn objective(f: &dyn Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], weights: &[f32]) -> f64 {
    let values = f(inputs).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.iter().zip(weights).map(|(v, w)| f64::from(*v) * f64::from(*w)).sum()
}

/// Checks that the gradient of a random linear functional of `f` with respect to every input equals
/// central differences with step 1e-2 (f32 rounding stays below 1e-4 of it) within 2e-3 of the
/// gradient's largest entry.
pub(crate) fn check(inputs: &[&Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f32 = 1e-2;
    let variables: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let out = f(&tracked).unwrap();
    let weights = random(99, (1, out.elem_count()));
    let loss = (out.flatten_all().unwrap() * weights.flatten_all().unwrap()).unwrap();
    let gradients = loss.sum_all().unwrap().backward().unwrap();
    let weights = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (which, variable) in variables.iter().enumerate() {
        let gradient = gradients.get(variable).expect("every input has a gradient");
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let values = inputs[which].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let top = gradient.iter().fold(0.0f32, |top, g| top.max(g.abs()));
        assert!(top > 0.0, "input {which} has a zero gradient");
        for index in 0..values.len() {
            let at = |offset: f32| {
                let mut moved = values.clone();
                moved[index] += offset;
                let mut inputs: Vec<Tensor> = inputs.iter().map(|x| (*x).clone()).collect();
                inputs[which] =
                    Tensor::from_vec(moved, inputs[which].shape(), &Device::Cpu).unwrap();
                objective(&f, &inputs, &weights)
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
            let error = (f64::from(gradient[index]) - expected).abs();
            assert!(
                error < 2e-3 * f64::from(top.max(0.1)),
                "input {which}[{index}]: gradient {} but difference {expected}",
                gradient[index]
            );
        }
    }
}

//! What it costs that the bits of an answer's gradient depend on nothing but the weights and tokens.

use std::time::Instant;

use candle_core::{Device, Tensor};
use inference::{
    kernels::{Packed, Rows, matmul},
    model::SiteWeights,
};

use crate::{Failure, sheet::Sheet, speed::median};

const REPEATS: usize = 15;

/// Our products of fixed order beside those of the `gemm` crate, which sums as suits the processor and
/// fuses multiplications with additions: one product at each site of the model, on one thread.
pub(crate) fn measure(
    sites: &[SiteWeights],
    tokens: usize,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let (mut ours, mut gemm) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (mut fixed, mut free) = (0.0, 0.0);
        for SiteWeights { d_in, d_out, .. } in sites {
            let values = |count: usize| (0..count).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
            let (x, w): (Vec<f32>, Vec<f32>) = (values(tokens * d_in), values(d_out * d_in));
            let packed = Packed::from_transposed(Rows::whole(&w, *d_in));
            let start = Instant::now();
            let product = pool.install(|| matmul(Rows::whole(&x, *d_in), &packed));
            fixed += start.elapsed().as_secs_f64();
            let x = Tensor::from_vec(x, (tokens, *d_in), &Device::Cpu)?;
            let w = Tensor::from_vec(w, (*d_out, *d_in), &Device::Cpu)?.t()?;
            let start = Instant::now();
            let other = x.matmul(&w)?;
            free += start.elapsed().as_secs_f64();
            let other = other.flatten_all()?.to_vec1::<f32>()?;
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * a.abs().max(1.0);
            assert!(product.iter().zip(&other).all(near), "the products differ");
        }
        ours.push(1e3 * fixed);
        gemm.push(1e3 * free);
    }
    let ratios: Vec<f64> = ours.iter().zip(&gemm).map(|(a, b)| a / b).collect();
    let title = format!("products of fixed order, {tokens} tokens, every site, against gemm's");
    sheet.push(median(&title, &ratios, ""));
    sheet.push(median("those products, one thread", &ours, "ms"));
    sheet.push(median("gemm's", &gemm, "ms"));
    Ok(())
}

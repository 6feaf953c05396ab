//! Merging into the base: `W + sum_k w_k s_k B_k A_k`, for a model that serves one set only.

use std::collections::HashMap;

use super::Adapter;
use crate::{
    Error, Result,
    kernels::{Packed, Rows, matmul, transpose},
    model::{Decoder, SiteWeights},
};

/// A frozen decoder whose weights are those of `base` with the adapters added by these weights.
///
/// `base` is read and never written: to unmerge is to go on with it, bit for bit what it was.
///
/// # Errors
/// [`Error::Adapter`] if a site's weight is not in the checkpoint as one matrix (stacked experts);
/// [`Error::Tensor`] if weights cannot be read.
pub fn merge_into_base(base: &Decoder, adapters: &[(&Adapter, f32)]) -> Result<Decoder> {
    let mut weights: HashMap<String, Vec<f32>> =
        base.export()?.into_iter().map(|(name, _, values)| (name, values)).collect();
    for (adapter, weight) in adapters {
        for site in adapter.weights() {
            let known = &base.sites()[site.site.0 as usize];
            let values = weights
                .get_mut(&format!("{}.weight", known.path))
                .filter(|values| values.len() == known.d_in * known.d_out)
                .ok_or_else(|| Error::Adapter(format!("{} is not one matrix", known.path)))?;
            let scale = weight * site.scale;
            let delta = delta(&site, known.fan_in_fan_out);
            values.iter_mut().zip(&delta).for_each(|(value, delta)| *value += scale * delta);
        }
    }
    let spec = base.spec().clone();
    Decoder::with_values(spec, false, |parameter| {
        let missing = || Error::Weights(format!("{} is missing", parameter.name));
        weights.remove(&parameter.name).ok_or_else(missing)
    })
}

/// `B A`, `(d_out, d_in)`, or its transpose.
fn delta(site: &SiteWeights, transposed: bool) -> Vec<f32> {
    let a = Packed::from_rows(Rows::whole(&site.a, site.d_in));
    let product = matmul(Rows::whole(&site.b, site.rank), &a);
    if transposed { transpose(Rows::whole(&product, site.d_in)) } else { product }
}

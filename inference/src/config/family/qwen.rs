//! Qwen 2, 2.5 and 3.

use super::{llama::base, windows};
use crate::{
    Result,
    config::{ModelSpec, fields::Fields},
};

pub(super) fn qwen2(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = windowed(fields)?;
    spec.attention.qkv_bias = true;
    Ok(spec)
}

pub(super) fn qwen3(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = windowed(fields)?;
    let bias = fields.flag_or("attention_bias", false)?;
    (spec.attention.qkv_bias, spec.attention.out_bias) = (bias, bias);
    spec.attention.qk_norm = true;
    if fields.get("head_dim").is_none() {
        (spec.attention.head_dim, spec.attention.value_dim) = (128, 128);
    }
    Ok(spec)
}

/// Layers from `max_window_layers` on have the window, if it is used at all.
fn windowed(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = base(fields)?;
    let used = fields.flag_or("use_sliding_window", false)?;
    let window = fields.optional_size("sliding_window")?;
    let window = fields.or_default("sliding_window", window, 4096).filter(|_| used);
    let first = fields.optional_size("max_window_layers")?.unwrap_or(28);
    spec.attention.windows = windows(fields, spec.layers, window, |layer| layer >= first)?;
    Ok(spec)
}

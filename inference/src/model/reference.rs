//! The decoder in plain tensor operations, the oracle that the kernels are tested against.
//!
//! For plain LLaMA models. It follows `transformers`' `modeling_llama.py` line by line, one sequence at a time, with the
//! tensor library's matrix product; it is slow, and its bits depend on the machine.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};

use super::Decoder;
use crate::{Result, config::ModelSpec};

/// Logits `(tokens, vocab)` of one sequence from position 0.
///
/// # Errors
/// [`crate::Error::Tensor`] if a token is outside the vocabulary.
pub fn logits(decoder: &Decoder, tokens: &[u32]) -> Result<Tensor> {
    let spec = decoder.spec();
    let weights: HashMap<String, Tensor> = decoder
        .export()?
        .into_iter()
        .map(|(name, shape, values)| Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?)))
        .collect::<Result<_>>()?;
    let ids = Tensor::new(tokens, &Device::Cpu)?;
    let table = &weights["model.embed_tokens.weight"];
    let mut hidden = table.index_select(&ids, 0)?;
    let rope = rope_tables(spec, tokens.len())?;
    for layer in 0..spec.layers {
        hidden = layer_forward(spec, &weights, layer, &hidden, &rope)?;
    }
    let hidden = rms_norm(&hidden, &weights["model.norm.weight"], spec.norm.eps)?;
    Ok(hidden.matmul(&weights.get("lm_head.weight").unwrap_or(table).t()?)?)
}

fn layer_forward(
    spec: &ModelSpec,
    weights: &HashMap<String, Tensor>,
    layer: usize,
    hidden: &Tensor,
    rope: &(Tensor, Tensor),
) -> Result<Tensor> {
    let norm = |name: &str| &weights[&format!("model.layers.{layer}.{name}.weight")];
    let project = |x: &Tensor, path: &str| -> Result<Tensor> {
        let name = format!("model.layers.{layer}.{path}.weight");
        Ok(x.matmul(&weights[&name].t()?)?)
    };
    let length = hidden.dim(0)?;
    // (heads, tokens, head_dim)
    let heads = |x: Tensor, count| -> Result<Tensor> {
        Ok(x.reshape((length, count, spec.attention.head_dim))?.transpose(0, 1)?.contiguous()?)
    };
    let x = rms_norm(hidden, norm("input_layernorm"), spec.norm.eps)?;
    let q = rotate(&heads(project(&x, "self_attn.q_proj")?, spec.attention.heads)?, rope)?;
    let k = rotate(&heads(project(&x, "self_attn.k_proj")?, spec.attention.kv_heads)?, rope)?;
    let v = heads(project(&x, "self_attn.v_proj")?, spec.attention.kv_heads)?;
    let repeat = |x: Tensor| -> Result<Tensor> {
        let group = spec.attention.heads / spec.attention.kv_heads;
        let shape = (spec.attention.kv_heads, group, length, spec.attention.head_dim);
        let wide = x.unsqueeze(1)?.broadcast_as(shape)?.contiguous()?;
        Ok(wide.reshape((spec.attention.heads, length, spec.attention.head_dim))?)
    };
    let scores = (q.matmul(&repeat(k)?.transpose(1, 2)?.contiguous()?)?
        / (spec.attention.head_dim as f64).sqrt())?;
    let weights = softmax(&scores.broadcast_add(&causal_mask(length)?)?)?;
    let attended = weights.matmul(&repeat(v)?)?.transpose(0, 1)?.contiguous()?;
    let attended = attended.reshape((length, spec.attention.heads * spec.attention.head_dim))?;
    let hidden = (hidden + project(&attended, "self_attn.o_proj")?)?;

    let x = rms_norm(&hidden, norm("post_attention_layernorm"), spec.norm.eps)?;
    let gate = project(&x, "mlp.gate_proj")?.silu()?;
    let out = project(&(gate * project(&x, "mlp.up_proj")?)?, "mlp.down_proj")?;
    Ok((hidden + out)?)
}

fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
    let normalised = x.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?;
    Ok(normalised.broadcast_mul(weight)?)
}

fn softmax(scores: &Tensor) -> Result<Tensor> {
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?)
}

fn causal_mask(length: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (0..length)
        .flat_map(|i| (0..length).map(move |j| if j <= i { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    Ok(Tensor::from_vec(mask, (length, length), &Device::Cpu)?)
}

/// Cosines and sines, `(tokens, head_dim)`: each half repeats the same angles.
fn rope_tables(spec: &ModelSpec, length: usize) -> Result<(Tensor, Tensor)> {
    let half = spec.attention.head_dim / 2;
    let theta = spec.source.get("rope_theta").and_then(serde_json::Value::as_f64).unwrap_or(1e4);
    let angles: Vec<f32> = (0..length)
        .flat_map(|position| {
            (0..2 * half).map(move |i| {
                let exponent = 2.0 * (i % half) as f64 / spec.attention.head_dim as f64;
                position as f32 * (1.0 / theta.powf(exponent) as f32)
            })
        })
        .collect();
    let angles = Tensor::from_vec(angles, (length, 2 * half), &Device::Cpu)?;
    Ok((angles.cos()?, angles.sin()?))
}

/// `x cos + rotate_half(x) sin`, `rotate_half(a, b) = (-b, a)`.
fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let first = x.narrow(D::Minus1, 0, half)?;
    let second = x.narrow(D::Minus1, half, half)?;
    let turned = Tensor::cat(&[&second.neg()?, &first], D::Minus1)?;
    Ok((x.broadcast_mul(cos)? + turned.broadcast_mul(sin)?)?)
}

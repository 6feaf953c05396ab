//! One file for each family: what its `config.json` says, and what it calls its weights.

mod bloom;
mod chatglm;
mod deepseek;
mod falcon;
mod gemma;
mod glm;
mod gpt2;
mod llama;
mod qwen;

use super::{
    AttentionSpec, ModelSpec, NormSpec, PositionSpec, RopeSpec,
    fields::Fields,
    rope::{Frequencies, RopeSource},
};
use crate::{
    Error, Result,
    layers::{activation::Activation, norm::NormKind},
};

/// The specification in a `config.json`, whatever its family.
///
/// # Errors
/// [`Error::Config`] if the family is unknown or the configuration asks for what the decoder would
/// compute differently.
pub(super) fn read(fields: Fields<'_>) -> Result<ModelSpec> {
    fields.must_be_absent("quantization_config")?;
    let kind = fields.text("model_type")?.ok_or_else(|| bad("model_type is missing"))?;
    let (class, read): (&str, fn(Fields<'_>) -> Result<ModelSpec>) = match kind {
        "llama" => ("LlamaForCausalLM", llama::llama),
        "mistral" => ("MistralForCausalLM", llama::mistral),
        "qwen2" => ("Qwen2ForCausalLM", qwen::qwen2),
        "qwen3" => ("Qwen3ForCausalLM", qwen::qwen3),
        "chatglm" => ("ChatGLMModel", chatglm::chatglm),
        "glm" => ("GlmForCausalLM", glm::glm),
        "glm4" => ("Glm4ForCausalLM", glm::glm4),
        "deepseek_v2" => ("DeepseekV2ForCausalLM", deepseek::deepseek_v2),
        "gemma" => ("GemmaForCausalLM", gemma::gemma),
        "gemma2" => ("Gemma2ForCausalLM", gemma::gemma2),
        "gemma3_text" => ("Gemma3ForCausalLM", gemma::gemma3),
        "falcon" => ("FalconForCausalLM", falcon::falcon),
        "bloom" => ("BloomForCausalLM", bloom::bloom),
        "gpt2" => ("GPT2LMHeadModel", gpt2::gpt2),
        other => return Err(bad(format!("model_type {other:?} is not supported"))),
    };
    let also = [class, "ChatGLMForConditionalGeneration"];
    let known = if kind == "chatglm" { &also[..] } else { &also[..1] };
    for name in fields.texts("architectures")? {
        if !known.contains(&name) {
            return Err(bad(format!("architecture {name:?} is not supported for {kind}")));
        }
    }
    read(fields)
}

fn bad(message: impl Into<String>) -> Error {
    Error::Config(message.into())
}

/// `a / b`, 0 if `b` is: a size that the specification's own check refuses.
fn divided(a: usize, b: usize) -> usize {
    a.checked_div(b).unwrap_or(0)
}

/// `1 / sqrt(width)`.
fn inverse_root(width: f64) -> f32 {
    1.0 / (width as f32).sqrt()
}

fn norm(fields: Fields<'_>, kind: NormKind, eps: &str, default: f64) -> Result<NormSpec> {
    Ok(NormSpec { kind, eps: fields.number_or(eps, default)? as f32 })
}

fn activation(fields: Fields<'_>, name: &str, default: Activation) -> Result<Activation> {
    let Some(kind) = fields.text(name)? else { return Ok(default) };
    Activation::named(kind).ok_or_else(|| bad(format!("{name} {kind:?} is not supported")))
}

/// Windows of the layers: those that `layer_types` calls sliding, or else `sliding`.
fn windows(
    fields: Fields<'_>,
    layers: usize,
    window: Option<usize>,
    sliding: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>> {
    let types = fields.texts("layer_types")?;
    if !types.is_empty() && types.len() != layers {
        return Err(bad(format!("layer_types has {} entries for {layers} layers", types.len())));
    }
    // Bounded before anything is allocated for it.
    let layers = 0..layers.min(super::MAX_LAYERS + 1);
    let in_layer = |layer: usize| match types.get(layer).copied() {
        Some("full_attention") => Ok(None),
        Some("sliding_attention") if window.is_some() => Ok(window),
        Some(other) => Err(bad(format!("layer type {other:?} is not supported"))),
        None => Ok(window.filter(|_| sliding(layer))),
    };
    layers.map(in_layer).collect()
}

/// Sizes of attention as most families name them, with projections of their own and no extras.
fn attention(fields: Fields<'_>) -> Result<AttentionSpec> {
    let heads = fields.size("num_attention_heads")?;
    let derived = divided(fields.size("hidden_size")?, heads);
    let head_dim = fields.optional_size("head_dim")?.unwrap_or(derived);
    Ok(AttentionSpec {
        heads,
        kv_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        value_dim: head_dim,
        scale: inverse_root(head_dim as f64),
        softcap: None,
        windows: windows(fields, fields.size("num_hidden_layers")?, None, |_| false)?,
        form: super::QkvForm::Separate,
        qkv_bias: false,
        out_bias: false,
        qk_norm: false,
    })
}

/// Rotation of whole heads, or of their first part, the same in all layers.
fn rope(
    source: &RopeSource<'_>,
    head_dim: usize,
    max_positions: usize,
    interleaved: bool,
    default_part: f64,
) -> Result<PositionSpec> {
    let part = source.partial_factor()?.unwrap_or(default_part);
    if !(0.0..=1.0).contains(&part) {
        return Err(bad(format!("partial_rotary_factor {part} is not in 0..=1")));
    }
    let dims = (head_dim as f64 * part) as usize;
    let Frequencies { pairs, factor } = source.frequencies(dims, max_positions)?;
    let rope = RopeSpec { first: 0, interleaved, frequencies: pairs, factor };
    Ok(PositionSpec::Rope { global: rope.clone(), local: rope })
}

/// Slopes of ALiBi for `heads` heads (Press et al. 2022): powers of `2^(-8 / p)` for the largest
/// power of two `p <= heads`, then every other power of the next series.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = 1usize << heads.max(1).ilog2();
    let base = |power: usize| libm::exp2(-8.0 / power as f64);
    let slope = |base: f64, exponent: usize| libm::pow(base, exponent as f64) as f32;
    let first = (1..=power).map(|i| slope(base(power), i));
    let rest = (0..heads - power.min(heads)).map(|i| slope(base(2 * power), 2 * i + 1));
    first.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_four_and_six_heads_are_those_of_the_paper() {
        assert_eq!(alibi_slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
        assert_eq!(alibi_slopes(6)[4..], [0.5, 0.125]);
    }
}

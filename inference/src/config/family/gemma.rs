//! Gemma 1, 2 and 3 (text).

use super::{activation, attention, inverse_root, llama, rope, windows};
use crate::{
    Error, Result,
    config::{
        ModelSpec, Names, PositionSpec, ResidualForm, RopeSpec,
        fields::Fields,
        names::LLAMA,
        rope::{Frequencies, RopeSource},
    },
    layers::{activation::Activation, norm::NormKind},
};

const SANDWICH: Names = Names {
    attention_post_norm: "post_attention_layernorm",
    mlp_norm: "pre_feedforward_layernorm",
    mlp_post_norm: "post_feedforward_layernorm",
    ..LLAMA
};

/// Norms multiply by `1 + w`; embeddings are scaled by the root of their width.
fn base(fields: Fields<'_>, positions: PositionSpec) -> Result<ModelSpec> {
    fields.must_be("use_bidirectional_attention", false)?;
    let mut spec = llama::base_at(fields, positions)?;
    let bias = fields.flag_or("attention_bias", false)?;
    (spec.attention.qkv_bias, spec.attention.out_bias) = (bias, bias);
    spec.norm.kind = NormKind::RmsPlusOne;
    spec.embedding_scale = Some((spec.hidden_size as f64).sqrt() as f32);
    spec.tied_embeddings = fields.flag_or("tie_word_embeddings", true)?;
    Ok(spec)
}

pub(super) fn gemma(fields: Fields<'_>) -> Result<ModelSpec> {
    let head_dim = attention(fields)?.head_dim;
    let max_positions = fields.size("max_position_embeddings")?;
    let positions = rope(&RopeSource::new(fields)?, head_dim, max_positions, false, 1.0)?;
    let mut spec = base(fields, positions)?;
    // The releases say "gelu" and mean the tanh form that the weights were trained with.
    spec.mlp.activation = match activation(fields, "hidden_act", Activation::GeluTanh)? {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    };
    Ok(spec)
}

pub(super) fn gemma2(fields: Fields<'_>) -> Result<ModelSpec> {
    let head_dim = attention(fields)?.head_dim;
    let max_positions = fields.size("max_position_embeddings")?;
    let positions = rope(&RopeSource::new(fields)?, head_dim, max_positions, false, 1.0)?;
    let mut spec = sandwich(fields, positions)?;
    let cap = |name, default| -> Result<Option<f32>> {
        let given = fields.optional_number(name)?;
        Ok(fields.or_default(name, given, default).map(|cap| cap as f32))
    };
    spec.attention.softcap = cap("attn_logit_softcapping", 50.0)?;
    spec.logit_softcap = cap("final_logit_softcapping", 30.0)?;
    let sliding = |layer: usize| layer.is_multiple_of(2);
    spec.attention.windows = windows(fields, spec.layers, window(fields)?, sliding)?;
    Ok(spec)
}

pub(super) fn gemma3(fields: Fields<'_>) -> Result<ModelSpec> {
    let mut spec = sandwich(fields, global_and_local(fields)?)?;
    spec.attention.qk_norm = true;
    let cap = |name| Ok::<_, Error>(fields.optional_number(name)?.map(|cap| cap as f32));
    spec.attention.softcap = cap("attn_logit_softcapping")?;
    spec.logit_softcap = cap("final_logit_softcapping")?;
    let every = fields.optional_size("sliding_window_pattern")?.unwrap_or(6);
    let sliding = |layer: usize| !(layer + 1).is_multiple_of(every);
    spec.attention.windows = windows(fields, spec.layers, window(fields)?, sliding)?;
    Ok(spec)
}

fn window(fields: Fields<'_>) -> Result<Option<usize>> {
    let given = fields.optional_size("sliding_window")?;
    Ok(fields.or_default("sliding_window", given, 4096))
}

fn sandwich(fields: Fields<'_>, positions: PositionSpec) -> Result<ModelSpec> {
    let mut spec = base(fields, positions)?;
    spec.residual = ResidualForm::Sandwich;
    spec.names = SANDWICH;
    spec.attention.scale = inverse_root(fields.number_or("query_pre_attn_scalar", 256.0)?);
    spec.mlp.activation = activation(fields, "hidden_activation", Activation::GeluTanh)?;
    Ok(spec)
}

/// Layers with a window have a base of their own, and only the others are scaled.
fn global_and_local(fields: Fields<'_>) -> Result<PositionSpec> {
    let head_dim = attention(fields)?.head_dim;
    let max_positions = fields.size("max_position_embeddings")?;
    let nested = fields.object("rope_parameters")?;
    let source = RopeSource::bare(fields);
    let (global, local) = match nested {
        Some(nested) => {
            fields.must_be_absent("rope_scaling")?;
            let of = |name| nested.object(name).and_then(|part| source.with(part));
            (of("full_attention")?, of("sliding_attention")?)
        }
        None => (source.with(fields.object("rope_scaling")?)?, source),
    };
    let rope = |source: RopeSource<'_>| -> Result<RopeSpec> {
        let Frequencies { pairs, factor } = source.frequencies(head_dim, max_positions)?;
        Ok(RopeSpec { first: 0, interleaved: false, frequencies: pairs, factor })
    };
    let global = rope(global.with_default_theta("rope_theta", 1e6))?;
    let local = rope(local.with_default_theta("rope_local_base_freq", 1e4))?;
    Ok(PositionSpec::Rope { global, local })
}

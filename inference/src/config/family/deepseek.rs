//! DeepSeek V2 and V2-Lite: latent attention and a mixture of experts.

use super::{bad, inverse_root, llama::base_at};
use crate::{
    Result,
    config::{
        ExpertSpec, ModelSpec, PositionSpec, QkvForm, RopeSpec,
        fields::Fields,
        rope::{Frequencies, RopeSource},
    },
};

pub(super) fn deepseek_v2(fields: Fields<'_>) -> Result<ModelSpec> {
    fields.must_be("scoring_func", "softmax")?;
    fields.must_be("mlp_bias", false)?;
    fields.must_be("ep_size", 1)?;
    let rope_dim = fields.size("qk_rope_head_dim")?;
    let nope_dim = fields.size("qk_nope_head_dim")?;
    let source = RopeSource::new(fields)?;
    let max_positions = fields.size("max_position_embeddings")?;
    let Frequencies { pairs, factor } = source.frequencies(rope_dim, max_positions)?;
    let rope = RopeSpec { first: nope_dim, interleaved: true, frequencies: pairs, factor };
    let positions = PositionSpec::Rope { global: rope.clone(), local: rope };

    let mut spec = base_at(fields, positions)?;
    let attention = &mut spec.attention;
    attention.head_dim = nope_dim.saturating_add(rope_dim);
    attention.value_dim = fields.size("v_head_dim")?;
    // Every head has a key of its own once the latent is expanded.
    attention.kv_heads = attention.heads;
    attention.scale = inverse_root(attention.head_dim as f64) * source.score_factor()? as f32;
    attention.form = QkvForm::Latent {
        q_rank: fields.optional_size("q_lora_rank")?,
        kv_rank: fields.size("kv_lora_rank")?,
        rope_dim,
    };
    let bias = fields.flag_or("attention_bias", false)?;
    (attention.qkv_bias, attention.out_bias) = (bias, bias);
    spec.experts = experts(fields)?;
    Ok(spec)
}

fn experts(fields: Fields<'_>) -> Result<Option<ExpertSpec>> {
    let Some(count) = fields.optional_size("n_routed_experts")? else { return Ok(None) };
    let groups = match fields.text("topk_method")?.unwrap_or("greedy") {
        "greedy" => None,
        "group_limited_greedy" => Some((fields.size("n_group")?, fields.size("topk_group")?)),
        other => return Err(bad(format!("topk_method {other:?} is not supported"))),
    };
    let width = fields.size("moe_intermediate_size")?;
    let shared = fields.optional_size("n_shared_experts")?.unwrap_or(0);
    let normalise = fields.flag_or("norm_topk_prob", false)?;
    let scale = fields.number_or("routed_scaling_factor", 1.0)? as f32;
    Ok(Some(ExpertSpec {
        count,
        per_token: fields.size("num_experts_per_tok")?,
        width,
        shared_width: width.saturating_mul(shared),
        first_layer: fields.optional_size("first_k_dense_replace")?.unwrap_or(0),
        every: fields.optional_size("moe_layer_freq")?.unwrap_or(1),
        groups,
        normalise,
        // DeepSeek's code scales the weights only where it does not normalise them.
        scale: if normalise { 1.0 } else { scale },
    }))
}

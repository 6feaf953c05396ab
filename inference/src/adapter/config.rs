//! PEFT's `adapter_config.json`, read strictly: whatever would change the arithmetic and is not
//! computed here is refused by name, never half applied.

mod rules;

use serde::Deserialize;
use serde_json::{Map, Value};

use self::rules::{Layers, Names, Ordered, Pattern};
use super::stacked::PARAMETERS;
use crate::{Error, Result};

/// Largest rank of an adapter.
pub const MAX_RANK: usize = 1024;
/// Largest magnitude of `lora_alpha`.
const MAX_ALPHA: f64 = 1e6;
/// Most entries of a list or pattern.
const MAX_ENTRIES: usize = 4096;

/// Fields that say nothing about the arithmetic of inference.
const INERT: [&str; 12] = [
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    // PEFT corrects it to what the module is; the shapes of A and B do not depend on it.
    "fan_in_fan_out",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Initialisations that leave the base model's weights alone.
const PLAIN_INITIALISATIONS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The part of a LoRA configuration that inference depends on.
#[derive(Clone, Debug)]
pub struct PeftConfig {
    rank: usize,
    alpha: f64,
    rank_stabilised: bool,
    targets: Targets,
    excluded: Option<Names>,
    layers: Option<Layers>,
    /// Ends of paths of stacked parameters.
    parameters: Vec<String>,
    rank_pattern: Vec<(Pattern, usize)>,
    alpha_pattern: Vec<(Pattern, f64)>,
}

/// Which modules have an adapter.
#[derive(Clone, Debug)]
enum Targets {
    /// `"all-linear"`: every linear projection but the output layer.
    AllLinear,
    Named(Names),
}

/// The fields whose order counts, which a map would lose.
#[derive(Deserialize)]
struct Patterns {
    rank_pattern: Option<Ordered>,
    alpha_pattern: Option<Ordered>,
}

impl PeftConfig {
    /// Parses the bytes of an `adapter_config.json`.
    ///
    /// # Errors
    /// [`Error::Adapter`] naming the field that is missing, out of bounds or not supported.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |error| bad(format!("adapter_config.json: {error}"));
        let value: Value = serde_json::from_slice(bytes).map_err(damaged)?;
        let Value::Object(mut fields) = value else {
            return Err(bad("adapter_config.json is not an object"));
        };
        let kind = fields.remove("peft_type");
        if kind.as_ref().and_then(Value::as_str) != Some("LORA") {
            return Err(bad(format!("peft_type is {}, not LORA", shown(kind.as_ref()))));
        }
        let patterns: Patterns = serde_json::from_slice(bytes).map_err(damaged)?;
        fields.remove("rank_pattern");
        fields.remove("alpha_pattern");
        let config = Self {
            rank: rank(&take(&mut fields, "r")?)?,
            alpha: alpha(&take(&mut fields, "lora_alpha")?)?,
            rank_stabilised: flag(&mut fields, "use_rslora")?,
            targets: match take(&mut fields, "target_modules")? {
                Value::String(name) if name == "all-linear" => Targets::AllLinear,
                value => Targets::Named(Names::parse("target_modules", &value)?),
            },
            excluded: match fields.remove("exclude_modules") {
                Some(value) if !is_off(&value) => Some(Names::parse("exclude_modules", &value)?),
                _ => None,
            },
            layers: Layers::parse(&mut fields)?,
            parameters: parameters(fields.remove("target_parameters"))?,
            rank_pattern: pattern("rank_pattern", patterns.rank_pattern, rank)?,
            alpha_pattern: pattern("alpha_pattern", patterns.alpha_pattern, alpha)?,
        };
        if config.layers.is_some() && !matches!(config.targets, Targets::Named(Names::List(_))) {
            return Err(bad("layers_to_transform without a list of target_modules"));
        }
        refuse_the_rest(fields)?;
        Ok(config)
    }

    /// Rank and scale `s` of the adapter at the module `path`, or nothing if it has none there:
    /// `s = alpha / r`, or `alpha / sqrt(r)` when rank-stabilised. PEFT takes the first pattern that
    /// fits, in the file's order.
    ///
    /// # Errors
    /// None at present: what could be doubtful is refused by [`Self::parse`].
    pub fn at(&self, path: &str) -> Result<Option<(usize, f32)>> {
        if !self.targets(path) || self.excluded.as_ref().is_some_and(|names| names.fit(path)) {
            return Ok(None);
        }
        Ok(Some(self.shape(path)))
    }

    /// As [`Self::at`] for the stacked parameter at `path` (`model.layers.1.mlp.experts.down_proj`).
    pub(super) fn at_parameter(&self, path: &str) -> Option<(usize, f32)> {
        let named = self.parameters.iter().any(|name| rules::ends(path, name));
        named.then(|| self.shape(path))
    }

    /// Whether stacked parameters are named.
    pub(super) const fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    fn shape(&self, path: &str) -> (usize, f32) {
        let rank = lookup(&self.rank_pattern, path).unwrap_or(self.rank);
        let alpha = lookup(&self.alpha_pattern, path).unwrap_or(self.alpha);
        let divisor = if self.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        (rank, (alpha / divisor) as f32)
    }

    fn targets(&self, path: &str) -> bool {
        match (&self.targets, &self.layers) {
            (Targets::AllLinear, _) => true,
            // Whole paths are not filtered by layer.
            (Targets::Named(names), Some(layers)) => {
                names.name_whole(path) || (names.fit(path) && layers.fit(path))
            }
            (Targets::Named(names), None) => names.fit(path),
        }
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::Adapter(message.into())
}

/// A value for an error message, cut to a bounded length.
fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".into(), |value| value.to_string().chars().take(80).collect())
}

fn take(fields: &mut Map<String, Value>, name: &str) -> Result<Value> {
    fields.remove(name).ok_or_else(|| bad(format!("{name} is missing")))
}

fn rank(value: &Value) -> Result<usize> {
    let rank = value.as_u64().and_then(|rank| usize::try_from(rank).ok());
    rank.filter(|rank| (1..=MAX_RANK).contains(rank))
        .ok_or_else(|| bad(format!("rank {} is not in 1..={MAX_RANK}", shown(Some(value)))))
}

fn alpha(value: &Value) -> Result<f64> {
    let alpha = value.as_f64().filter(|alpha| alpha.abs() <= MAX_ALPHA);
    alpha.ok_or_else(|| bad(format!("lora_alpha {} is out of bounds", shown(Some(value)))))
}

fn flag(fields: &mut Map<String, Value>, name: &str) -> Result<bool> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(other) => Err(bad(format!("{name} is {}", shown(Some(&other))))),
    }
}

/// `target_parameters`: names of stacked experts, or ends of their paths.
fn parameters(value: Option<Value>) -> Result<Vec<String>> {
    let value = value.filter(|value| !is_off(value));
    let Some(value) = value else { return Ok(Vec::new()) };
    let odd = || bad(format!("target_parameters {} is not supported", shown(Some(&value))));
    let names = value.as_array().filter(|names| names.len() <= MAX_ENTRIES).ok_or_else(odd)?;
    let name = |value: &Value| {
        let name = value.as_str().filter(|name| {
            let last = name.rsplit('.').next().unwrap_or_default();
            PARAMETERS.contains(&last)
        });
        name.map(str::to_owned).ok_or_else(odd)
    };
    names.iter().map(name).collect()
}

fn pattern<T>(
    name: &str,
    entries: Option<Ordered>,
    read: impl Fn(&Value) -> Result<T>,
) -> Result<Vec<(Pattern, T)>> {
    let entries = entries.unwrap_or_default().0;
    if entries.len() > MAX_ENTRIES {
        return Err(bad(format!("{name} has {} entries", entries.len())));
    }
    let entry = |(key, value): (String, Value)| Ok((Pattern::end(name, &key)?, read(&value)?));
    entries.into_iter().map(entry).collect()
}

fn lookup<T: Copy>(pattern: &[(Pattern, T)], path: &str) -> Option<T> {
    pattern.iter().find(|(pattern, _)| pattern.fits(path)).map(|(_, value)| *value)
}

/// Whether a field is as if it were absent.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Every other field must be inert or switched off.
fn refuse_the_rest(fields: Map<String, Value>) -> Result<()> {
    for (name, value) in fields {
        let off = match &value {
            value if is_off(value) => true,
            Value::String(text) if name == "bias" => text == "none",
            Value::String(text) if name == "init_lora_weights" => {
                PLAIN_INITIALISATIONS.contains(&text.as_str())
            }
            Value::Bool(true) => name == "init_lora_weights",
            _ => false,
        };
        if !off && !INERT.contains(&name.as_str()) {
            let (name, value) = (shown(Some(&Value::String(name))), shown(Some(&value)));
            return Err(bad(format!("{name} = {value} is not supported")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: Value) -> Result<PeftConfig> {
        // What PEFT 0.21 writes for `LoraConfig(r=4, lora_alpha=6, target_modules=[...])`.
        let mut config = json!({
            "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null,
            "auto_mapping": null, "base_model_name_or_path": "base", "bias": "none",
            "corda_config": null, "ensure_weight_tying": false, "eva_config": null,
            "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
            "init_lora_weights": true, "layer_replication": null, "layers_pattern": null,
            "layers_to_transform": null, "loftq_config": {}, "lora_alpha": 6, "lora_bias": false,
            "lora_dropout": 0.1, "megatron_config": null, "megatron_core": "megatron.core",
            "modules_to_save": null, "peft_type": "LORA", "peft_version": "0.21.2",
            "qalora_group_size": 16, "r": 4, "rank_pattern": {}, "revision": null,
            "target_modules": ["q_proj", "mlp.up_proj"], "target_parameters": null,
            "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_dora": false,
            "use_qalora": false, "use_rslora": false
        });
        for (name, value) in change.as_object().unwrap() {
            config[name] = value.clone();
        }
        PeftConfig::parse(config.to_string().as_bytes())
    }

    fn at(config: &PeftConfig, layer: usize, path: &str) -> Option<(usize, f32)> {
        config.at(&format!("model.layers.{layer}.{path}")).unwrap()
    }

    #[test]
    fn targets_and_scales_follow_peft() {
        let config = parse(json!({})).unwrap();
        assert_eq!(at(&config, 1, "self_attn.q_proj"), Some((4, 1.5)));
        assert_eq!(at(&config, 0, "mlp.up_proj"), Some((4, 1.5)));
        assert_eq!(at(&config, 0, "self_attn.k_proj"), None);

        let config = parse(json!({
            "use_rslora": true, "target_modules": "all-linear",
            "rank_pattern": {"layers.1.self_attn.q_proj": 16}, "alpha_pattern": {"k_proj": 0.5},
        }))
        .unwrap();
        assert_eq!(at(&config, 0, "mlp.down_proj"), Some((4, 3.0)));
        assert_eq!(at(&config, 1, "self_attn.q_proj"), Some((16, 1.5)));
        assert_eq!(at(&config, 1, "self_attn.k_proj"), Some((4, 0.25)));

        let config = parse(json!({"target_modules": "model.layers.1.mlp.up_proj"})).unwrap();
        assert_eq!(at(&config, 1, "mlp.up_proj"), Some((4, 1.5)));
        assert_eq!(at(&config, 0, "mlp.up_proj"), None);
        // A suffix must start at a dot, and a single string is a whole path.
        let config = parse(json!({"target_modules": ["proj", "p_proj"]})).unwrap();
        assert_eq!(at(&config, 0, "mlp.up_proj"), None);
        let config = parse(json!({"target_modules": "up_proj"})).unwrap();
        assert_eq!(at(&config, 0, "mlp.up_proj"), None);
    }

    #[test]
    fn whatever_changes_the_arithmetic_is_refused_by_name() {
        for (name, value) in [
            ("peft_type", json!("LOHA")),
            ("r", json!(0)),
            ("r", json!(1025)),
            ("r", json!(-1)),
            ("lora_alpha", json!("8")),
            ("lora_alpha", json!(1e300)),
            ("use_rslora", json!(1)),
            ("target_modules", json!("(?!q).*_proj")),
            ("target_modules", json!("(a{1000}){1000}")),
            ("target_modules", json!([])),
            ("target_modules", json!(null)),
            ("target_modules", json!(["q_proj", 3])),
            ("rank_pattern", json!({"(?<=q)_proj": 2})),
            ("rank_pattern", json!({"q_proj": 0})),
            ("alpha_pattern", json!([1])),
            ("bias", json!("all")),
            ("modules_to_save", json!(["lm_head"])),
            ("use_dora", json!(true)),
            ("lora_bias", json!(true)),
            ("init_lora_weights", json!("pissa_niter_4")),
            ("init_lora_weights", json!("olora")),
            ("trainable_token_indices", json!([1, 2])),
            ("layers_to_transform", json!(["a"])),
            ("layers_to_transform", json!(-1)),
            ("layers_pattern", json!(["layers"])),
            ("exclude_modules", json!(3)),
            ("target_parameters", json!(["x"])),
            ("layer_replication", json!([[0, 1]])),
            ("alora_invocation_tokens", json!([4])),
            ("use_qalora", json!(true)),
            ("megatron_config", json!({"a": 1})),
            ("a_field_of_the_future", json!("on")),
        ] {
            let error = parse(json!({name: value})).expect_err(name).to_string();
            let expected = if name == "r" { "rank" } else { name };
            let words = if expected.ends_with("_pattern") { "" } else { expected };
            assert!(error.contains(words), "{name}: {error}");
        }
        for bytes in [&b"{"[..], b"[]", b"{}", b"\xff"] {
            assert!(matches!(PeftConfig::parse(bytes), Err(Error::Adapter(_))));
        }
    }

    #[test]
    fn the_first_pattern_of_the_file_wins_and_patterns_are_expressions() {
        let text = |pattern: &str| {
            format!(
                r#"{{"peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ".*[.](q|up)_proj",
                    "rank_pattern": {pattern}}}"#
            )
        };
        let parse = |pattern: &str| PeftConfig::parse(text(pattern).as_bytes());
        let config = parse(r#"{"self_attn.q_proj": 3, "q_proj": 2, "^model.layers.\\d.mlp.*": 5}"#);
        let config = config.unwrap();
        assert_eq!(at(&config, 0, "self_attn.q_proj"), Some((3, 2.0)));
        assert_eq!(at(&config, 7, "mlp.up_proj"), Some((5, 1.2)));
        assert_eq!(at(&config, 0, "mlp.down_proj"), None);
        let config = parse(r#"{"q_proj": 2, "self_attn.q_proj": 3, "pp_proj": 1}"#).unwrap();
        assert_eq!(at(&config, 0, "self_attn.q_proj"), Some((2, 3.0)));
        assert_eq!(at(&config, 0, "mlp.up_proj"), Some((4, 1.5)));
        // An alternative is one pattern, not two.
        let config = parse(r#"{"x|up_proj": 1}"#).unwrap();
        assert_eq!(at(&config, 0, "mlp.up_proj"), Some((1, 6.0)));
        assert!(parse(r#"{"q_proj": 2, "q_proj": 3}"#).is_err());
    }

    #[test]
    fn layers_and_exclusions_follow_peft() {
        let config = parse(json!({
            "target_modules": ["q_proj", "up_proj", "model.layers.0.self_attn.k_proj"],
            "layers_to_transform": [1], "exclude_modules": ["mlp.up_proj"],
        }))
        .unwrap();
        assert_eq!(at(&config, 0, "self_attn.q_proj"), None);
        assert_eq!(at(&config, 1, "self_attn.q_proj"), Some((4, 1.5)));
        assert_eq!(at(&config, 11, "self_attn.q_proj"), None);
        assert_eq!(at(&config, 1, "mlp.up_proj"), None);
        assert_eq!(at(&config, 0, "self_attn.k_proj"), Some((4, 1.5)));
        // The first number after a name counts, not an expert's.
        assert_eq!(at(&config, 0, "mlp.experts.1.q_proj"), None);
        let config = parse(json!({
            "layers_to_transform": 2, "layers_pattern": "experts", "exclude_modules": ".*[.]1[.].*",
        }))
        .unwrap();
        assert_eq!(at(&config, 0, "experts.2.q_proj"), Some((4, 1.5)));
        assert_eq!(at(&config, 2, "experts.0.q_proj"), None);
        assert_eq!(at(&config, 1, "experts.2.q_proj"), None);
        let expression = json!({"target_modules": ".*q_proj", "layers_to_transform": [1]});
        assert!(parse(expression).is_err());
    }
}

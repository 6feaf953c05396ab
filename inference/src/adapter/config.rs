//! PEFT's `adapter_config.json`, read strictly: whatever would change the arithmetic and is not
//! computed here is refused by name, never half applied.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Largest rank of an adapter.
pub const MAX_RANK: usize = 1024;
/// Largest magnitude of `lora_alpha`.
const MAX_ALPHA: f64 = 1e6;
/// Most entries of a list or pattern.
const MAX_ENTRIES: usize = 4096;

/// Fields that say nothing about the arithmetic of inference.
const INERT: [&str; 11] = [
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
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
#[derive(Clone, Debug, PartialEq)]
pub struct PeftConfig {
    rank: usize,
    alpha: f64,
    rank_stabilised: bool,
    targets: Targets,
    rank_pattern: Vec<(String, usize)>,
    alpha_pattern: Vec<(String, f64)>,
}

/// Which modules have an adapter.
#[derive(Clone, Debug, PartialEq)]
enum Targets {
    /// `"all-linear"`: every linear projection but the output layer.
    AllLinear,
    /// One module path, whole.
    Path(String),
    /// Names that end a module's path.
    Suffixes(Vec<String>),
}

impl PeftConfig {
    /// Parses the bytes of an `adapter_config.json`.
    ///
    /// # Errors
    /// [`Error::Adapter`] naming the field that is missing, out of bounds or not supported.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| bad(format!("adapter_config.json: {error}")))?;
        let Value::Object(mut fields) = value else {
            return Err(bad("adapter_config.json is not an object"));
        };
        let kind = fields.remove("peft_type");
        if kind.as_ref().and_then(Value::as_str) != Some("LORA") {
            return Err(bad(format!("peft_type is {}, not LORA", shown(kind.as_ref()))));
        }
        let config = Self {
            rank: rank(&take(&mut fields, "r")?)?,
            alpha: alpha(&take(&mut fields, "lora_alpha")?)?,
            rank_stabilised: flag(&mut fields, "use_rslora")?,
            targets: targets(&take(&mut fields, "target_modules")?)?,
            rank_pattern: pattern(&mut fields, "rank_pattern", rank)?,
            alpha_pattern: pattern(&mut fields, "alpha_pattern", alpha)?,
        };
        refuse_the_rest(fields)?;
        Ok(config)
    }

    /// Rank and scale `s` of the adapter at the module `path`, or nothing if it has none there:
    /// `s = alpha / r`, or `alpha / sqrt(r)` when rank-stabilised.
    ///
    /// # Errors
    /// [`Error::Adapter`] if several patterns fit and disagree.
    pub fn at(&self, path: &str) -> Result<Option<(usize, f32)>> {
        let targeted = match &self.targets {
            Targets::AllLinear => true,
            Targets::Path(whole) => whole == path,
            Targets::Suffixes(names) => names.iter().any(|name| ends(path, name)),
        };
        if !targeted {
            return Ok(None);
        }
        let rank = lookup(&self.rank_pattern, path)?.unwrap_or(self.rank);
        let alpha = lookup(&self.alpha_pattern, path)?.unwrap_or(self.alpha);
        let divisor = if self.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        Ok(Some((rank, (alpha / divisor) as f32)))
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

/// A module name or path without regular-expression syntax; a dot stands for itself.
fn plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !name.is_empty() && name.len() <= 256 && name.chars().all(letter)
}

fn targets(value: &Value) -> Result<Targets> {
    match value {
        Value::String(name) if name == "all-linear" => Ok(Targets::AllLinear),
        Value::String(name) if plain(name) => Ok(Targets::Path(name.clone())),
        Value::Array(names) if (1..=MAX_ENTRIES).contains(&names.len()) => {
            let name = |value: &Value| match value.as_str() {
                Some(name) if plain(name) => Ok(name.to_owned()),
                _ => Err(bad(format!("target_modules holds {}", shown(Some(value))))),
            };
            Ok(Targets::Suffixes(names.iter().map(name).collect::<Result<_>>()?))
        }
        other => Err(bad(format!("target_modules {} is not supported", shown(Some(other))))),
    }
}

fn pattern<T>(
    fields: &mut Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let entries = match fields.remove(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(entries)) if entries.len() <= MAX_ENTRIES => entries,
        Some(other) => return Err(bad(format!("{name} is {}", shown(Some(&other))))),
    };
    let entry = |(key, value): (String, Value)| {
        if plain(&key) {
            Ok((key, read(&value)?))
        } else {
            Err(bad(format!("{name} holds {}", shown(Some(&Value::String(key))))))
        }
    };
    entries.into_iter().map(entry).collect()
}

/// PEFT's rule: `(.*\.)?name$`.
fn ends(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// PEFT takes the first entry that fits, in the file's order. When two fit and disagree the meaning
/// hangs on that order, so it is refused.
fn lookup<T: Copy + PartialEq>(pattern: &[(String, T)], path: &str) -> Result<Option<T>> {
    let mut found = None;
    for (name, value) in pattern.iter().filter(|(name, _)| ends(path, name)) {
        if found.is_some_and(|found| found != *value) {
            return Err(bad(format!("two patterns give {path} different values (one is {name})")));
        }
        found = Some(*value);
    }
    Ok(found)
}

/// Every other field must be inert or switched off.
fn refuse_the_rest(fields: Map<String, Value>) -> Result<()> {
    for (name, value) in fields {
        let off = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(entries) => entries.is_empty(),
            Value::Object(entries) => entries.is_empty(),
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
            ("target_modules", json!(".*_proj")),
            ("target_modules", json!([])),
            ("target_modules", json!(null)),
            ("target_modules", json!(["q_proj", 3])),
            ("rank_pattern", json!({"^q_proj": 2})),
            ("rank_pattern", json!({"q_proj": 0})),
            ("alpha_pattern", json!([1])),
            ("fan_in_fan_out", json!(true)),
            ("bias", json!("all")),
            ("modules_to_save", json!(["lm_head"])),
            ("use_dora", json!(true)),
            ("lora_bias", json!(true)),
            ("init_lora_weights", json!("pissa_niter_4")),
            ("init_lora_weights", json!("olora")),
            ("trainable_token_indices", json!([1, 2])),
            ("layers_to_transform", json!([0])),
            ("layers_to_transform", json!(0)),
            ("exclude_modules", json!(["q_proj"])),
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
    fn patterns_that_disagree_are_refused() {
        let config = parse(json!({"rank_pattern": {"q_proj": 2, "self_attn.q_proj": 3}})).unwrap();
        assert!(config.at("model.layers.0.self_attn.q_proj").is_err());
        let config = parse(json!({"rank_pattern": {"q_proj": 2, "self_attn.q_proj": 2}})).unwrap();
        assert_eq!(at(&config, 0, "self_attn.q_proj"), Some((2, 3.0)));
    }
}

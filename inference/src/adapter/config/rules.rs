//! PEFT's rules for which modules a name or an expression means.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{MAX_ENTRIES, bad, is_off, shown};
use crate::Result;

/// Longest name or expression in bytes.
const MAX_NAME: usize = 1024;
/// Bytes that a compiled expression may take.
const MAX_COMPILED: usize = 1 << 20;

/// A regular expression that bounds time and memory. Python's look-around and back references, which
/// have no such bounds, are refused.
fn expression(field: &str, text: &str, whole: String) -> Result<Regex> {
    let refuse = |reason: String| {
        let text: String = text.chars().take(80).collect();
        bad(format!("{field} holds {text:?}: {reason}"))
    };
    if text.len() > MAX_NAME {
        return Err(refuse(format!("{} bytes", text.len())));
    }
    let regex = RegexBuilder::new(&whole).size_limit(MAX_COMPILED).build();
    regex.map_err(|error| {
        let last = error.to_string().lines().last().unwrap_or_default().to_owned();
        refuse(last)
    })
}

/// Without syntax of expressions; a dot stands for itself, which is all that paths have in its place.
fn plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(letter)
}

/// Whether a path is `name` or ends in it after a dot.
pub(super) fn ends(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A key of `rank_pattern` or `alpha_pattern`.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Plain(Box<str>),
    Expression(Regex),
}

impl Pattern {
    /// PEFT: `re.match(rf"(.*\.)?({key})$", path)`.
    pub(super) fn end(field: &str, key: &str) -> Result<Self> {
        if plain(key) {
            return Ok(Self::Plain(key.into()));
        }
        Ok(Self::Expression(expression(field, key, format!(r"^(?:.*\.)?(?:{key})$"))?))
    }

    pub(super) fn fits(&self, path: &str) -> bool {
        match self {
            Self::Plain(name) => ends(path, name),
            Self::Expression(regex) => regex.is_match(path),
        }
    }
}

/// `target_modules` or `exclude_modules`.
#[derive(Clone, Debug)]
pub(super) enum Names {
    /// One expression for the whole path.
    Expression(Regex),
    /// Paths, or ends of paths.
    List(Vec<String>),
}

impl Names {
    pub(super) fn parse(field: &str, value: &Value) -> Result<Self> {
        match value {
            Value::String(text) => {
                Ok(Self::Expression(expression(field, text, format!("^(?:{text})$"))?))
            }
            Value::Array(names) if (1..=MAX_ENTRIES).contains(&names.len()) => {
                let name = |value: &Value| match value.as_str() {
                    Some(name) if (1..=MAX_NAME).contains(&name.len()) => Ok(name.to_owned()),
                    _ => Err(bad(format!("{field} holds {}", shown(Some(value))))),
                };
                Ok(Self::List(names.iter().map(name).collect::<Result<_>>()?))
            }
            other => Err(bad(format!("{field} {} is not supported", shown(Some(other))))),
        }
    }

    pub(super) fn fit(&self, path: &str) -> bool {
        match self {
            Self::Expression(regex) => regex.is_match(path),
            Self::List(names) => names.iter().any(|name| ends(path, name)),
        }
    }

    /// Whether a list names the whole path.
    pub(super) fn name_whole(&self, path: &str) -> bool {
        matches!(self, Self::List(names) if names.iter().any(|name| name == path))
    }
}

/// `layers_to_transform` with `layers_pattern`.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    indices: Vec<u64>,
    /// The first that fits finds the layer's number.
    patterns: Vec<Regex>,
}

impl Layers {
    pub(super) fn parse(fields: &mut Map<String, Value>) -> Result<Option<Self>> {
        let indices = match fields.remove("layers_to_transform") {
            Some(Value::Array(list)) => list,
            Some(value) if !is_off(&value) => vec![value],
            _ => Vec::new(),
        };
        if indices.is_empty() {
            // `layers_pattern` alone is left to the caller, who refuses it.
            return Ok(None);
        }
        let index = |value: &Value| {
            let index = value.as_u64();
            index.ok_or_else(|| bad(format!("layers_to_transform holds {}", shown(Some(value)))))
        };
        let indices = indices.iter().take(MAX_ENTRIES).map(index).collect::<Result<_>>()?;
        let patterns = match fields.remove("layers_pattern") {
            Some(Value::Array(list)) => list,
            Some(value) if !is_off(&value) => vec![value],
            _ => Vec::new(),
        };
        let pattern = |value: &Value| {
            let text = value.as_str();
            let text = text.ok_or_else(|| bad(format!("layers_pattern {}", shown(Some(value)))))?;
            expression("layers_pattern", text, format!(r"^(?:^|.*?\.)(?:{text})\.(?P<idx>\d+)\."))
        };
        let mut patterns = patterns.iter().take(16).map(pattern).collect::<Result<Vec<_>>>()?;
        if patterns.is_empty() {
            let first = r"^.*?\.[^.]*\.(?P<idx>\d+)\.";
            patterns.push(expression("layers_pattern", "", first.into())?);
        }
        Ok(Some(Self { indices, patterns }))
    }

    pub(super) fn fit(&self, path: &str) -> bool {
        let found = self.patterns.iter().find_map(|pattern| pattern.captures(path));
        let index = found.and_then(|found| found.name("idx")?.as_str().parse().ok());
        index.is_some_and(|index| self.indices.contains(&index))
    }
}

/// A JSON object in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Ordered(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Ordered, A::Error> {
                let mut entries: Vec<(String, Value)> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom("a pattern comes twice"));
                    }
                    entries.push((key, value));
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

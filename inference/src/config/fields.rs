//! The fields of a `config.json`, read one by one. `null` is the same as absent.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// A JSON object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
}

/// A value for a message, cut to a bounded length.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

fn bad(name: &str, what: &str) -> Error {
    Error::Config(format!("{name} {what}"))
}

impl<'a> Fields<'a> {
    pub(super) const fn new(map: &'a Map<String, Value>) -> Self {
        Self { map }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A value that is there, or `default` if the field is not even `null`: some families give their
    /// absent fields a value and `null` the meaning of none.
    pub(super) fn or_default<T>(&self, name: &str, value: Option<T>, default: T) -> Option<T> {
        if self.map.contains_key(name) { value } else { Some(default) }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// An object inside this one.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map })),
            Some(_) => Err(bad(name, "is not an object")),
        }
    }

    pub(super) fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
        self.get(name)
            .map(|value| size(value).ok_or_else(|| bad(name, &format!("is {}", shown(value)))))
            .transpose()
    }

    pub(super) fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| bad(name, "is missing"))
    }

    /// The first of these names that is there: some families have changed a field's name.
    pub(super) fn size_of(&self, names: &[&str]) -> Result<usize> {
        let known = names.iter().find(|name| self.get(name).is_some());
        self.size(known.unwrap_or(&names[0]))
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        self.get(name)
            .map(|value| value.as_f64().ok_or_else(|| bad(name, &format!("is {}", shown(value)))))
            .transpose()
    }

    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64> {
        Ok(self.optional_number(name)?.unwrap_or(default))
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        self.get(name).map_or(Ok(default), |value| {
            value.as_bool().ok_or_else(|| bad(name, &format!("is {}", shown(value))))
        })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| bad(name, &format!("is {}", shown(value)))))
            .transpose()
    }

    /// Refuses any value but this one, which is what the decoder computes when the field is absent.
    pub(super) fn must_be(&self, name: &str, value: impl Into<Value>) -> Result<()> {
        let expected = value.into();
        let same = |value: &Value| *value == expected || value.as_f64() == expected.as_f64();
        match self.get(name) {
            // Numbers may be written with or without a point.
            Some(value) if value.is_number() && same(value) => Ok(()),
            Some(value) if *value == expected => Ok(()),
            Some(value) => Err(bad(name, &format!("{} is not supported", shown(value)))),
            None => Ok(()),
        }
    }

    /// Refuses the field unless it is absent.
    pub(super) fn must_be_absent(&self, name: &str) -> Result<()> {
        match self.get(name) {
            Some(value) => Err(bad(name, &format!("{} is not supported", shown(value)))),
            None => Ok(()),
        }
    }

    /// A list of texts; empty if absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>> {
        let odd = |value: &Value| bad(name, &format!("is {}", shown(value)));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|v| v.as_str().ok_or_else(|| odd(v))).collect()
            }
            Some(value) => Err(odd(value)),
        }
    }

    /// Token ids: one or a list.
    pub(super) fn tokens(&self, name: &str) -> Result<Vec<u32>> {
        let odd = |value: &Value| bad(name, &format!("is {}", shown(value)));
        let token = |value: &Value| {
            value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| odd(value))
        };
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) if ids.len() <= 64 => ids.iter().map(token).collect(),
            Some(value) => Ok(vec![token(value)?]),
        }
    }
}

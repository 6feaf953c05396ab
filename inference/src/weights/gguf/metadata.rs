//! The key-value pairs of a GGUF file.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of 8 to 64 bits.
    Unsigned(u64),
    /// Of 8 to 64 bits.
    Signed(i64),
    /// Of 32 or 64 bits.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// Texts.
    Strings(Vec<String>),
    /// Integers or truth values.
    Integers(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
}

/// Key-value pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    pub(super) fn insert(&mut self, key: String, value: Value) -> Result<()> {
        if self.0.contains_key(&key) {
            return Err(Error::Weights(format!("GGUF: {key} is given twice")));
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Weights`] if the value is of another type; here and below.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => wrong(key, "a string"),
        }
    }

    /// An integer that is not negative.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn unsigned(&self, key: &str) -> Result<Option<u64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(value)) => Ok(Some(*value)),
            Some(Value::Signed(value)) if *value >= 0 => Ok(Some(value.unsigned_abs())),
            Some(_) => wrong(key, "an integer from 0"),
        }
    }

    /// A finite number.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn float(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) if value.is_finite() => Ok(Some(*value)),
            Some(_) => wrong(key, "a finite number"),
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => wrong(key, "true or false"),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Strings(texts)) => Ok(Some(texts)),
            Some(_) => wrong(key, "a list of strings"),
        }
    }

    /// A list of integers.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn integers(&self, key: &str) -> Result<Option<&[i64]>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integers(values)) => Ok(Some(values)),
            Some(_) => wrong(key, "a list of integers"),
        }
    }
}

fn wrong<T>(key: &str, what: &str) -> Result<T> {
    Err(Error::Weights(format!("GGUF: {key} is not {what}")))
}

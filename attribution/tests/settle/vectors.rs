//! Reading the vector files that Solidity and Rust share. Numbers are decimal strings.

use std::{fmt::Debug, path::Path, str::FromStr};

use serde_json::Value;

pub(crate) fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}"))
}

pub(crate) fn number<T: FromStr<Err: Debug>>(value: &Value) -> T {
    text(value).parse().unwrap()
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(&text(value)[2..]).unwrap().try_into().unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

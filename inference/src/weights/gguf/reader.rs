//! The header of a GGUF file, versions 2 and 3.

use super::metadata::{Metadata, Value};
use crate::{Error, Result};

/// Most tensors of a file.
const MAX_TENSORS: u64 = 1 << 16;
/// Most key-value pairs of a file.
const MAX_PAIRS: u64 = 1 << 12;
/// Longest name of a tensor or key, in bytes.
const MAX_NAME: u64 = 1 << 10;
/// Longest string value, in bytes.
const MAX_STRING: u64 = 1 << 24;
/// Longest array.
const MAX_ARRAY: u64 = 1 << 23;
/// Largest alignment of tensors.
const MAX_ALIGNMENT: u64 = 1 << 16;

/// What comes before the tensors' data.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
    /// Bytes; a power of two.
    pub(super) alignment: u64,
    /// Where the data begins in the file.
    pub(super) data: usize,
}

/// A tensor as the header lists it.
#[derive(Debug)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    /// Outer size first.
    pub(super) shape: Vec<u64>,
    pub(super) kind: u32,
    /// From the beginning of the data.
    pub(super) offset: u64,
}

/// Reads little-endian values one after another.
pub(super) struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

fn refuse<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Weights(format!("GGUF: {what}")))
}

impl<'a> Reader<'a> {
    pub(super) const fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0 }
    }

    pub(super) fn header(mut self) -> Result<Header> {
        if self.bytes(4)? != b"GGUF" {
            return refuse("it does not begin with GGUF");
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return refuse(format!("version {version} is not 2 or 3"));
        }
        let tensors = self.count("tensors", MAX_TENSORS)?;
        let pairs = self.count("pairs", MAX_PAIRS)?;
        let mut metadata = Metadata::default();
        for _ in 0..pairs {
            let key = self.string(MAX_NAME)?;
            let kind = self.u32()?;
            let value = self.value(kind)?;
            metadata.insert(key, value)?;
        }
        let mut names = std::collections::BTreeSet::new();
        let tensors = (0..tensors)
            .map(|_| {
                let tensor = self.tensor()?;
                if !names.insert(tensor.name.clone()) {
                    return refuse(format!("tensor {} is listed twice", tensor.name));
                }
                Ok(tensor)
            })
            .collect::<Result<Vec<_>>>()?;
        let alignment = metadata.unsigned("general.alignment")?.unwrap_or(32);
        if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
            return refuse(format!("alignment {alignment} is not a power of two from 8"));
        }
        let data = self.at.next_multiple_of(alignment as usize);
        Ok(Header { metadata, tensors, alignment, data })
    }

    fn tensor(&mut self) -> Result<TensorInfo> {
        let name = self.string(MAX_NAME)?;
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return refuse(format!("tensor {name} has {dimensions} dimensions"));
        }
        let mut shape = (0..dimensions).map(|_| self.u64()).collect::<Result<Vec<_>>>()?;
        shape.reverse();
        Ok(TensorInfo { name, shape, kind: self.u32()?, offset: self.u64()? })
    }

    /// The type numbers are the specification's (`gguf_metadata_value_type`).
    fn value(&mut self, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 | 2 | 4 | 10 => Value::Unsigned(self.unsigned(kind)?),
            1 | 3 | 5 | 11 => Value::Signed(self.signed(kind)?),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            7 => Value::Bool(self.bool()?),
            8 => Value::String(self.string(MAX_STRING)?),
            9 => self.values()?,
            _ => return refuse(format!("value type {kind} is not known")),
        })
    }

    /// An array; of arrays there are none in use.
    fn values(&mut self) -> Result<Value> {
        let kind = self.u32()?;
        let count = self.count("values", MAX_ARRAY)?;
        let smallest = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            _ => return refuse(format!("array of type {kind}")),
        };
        if count.saturating_mul(smallest) > self.left() {
            return refuse(format!("an array of {count} values ends after the file"));
        }
        let all = 0..count;
        Ok(match kind {
            8 => Value::Strings(all.map(|_| self.string(MAX_STRING)).collect::<Result<_>>()?),
            6 | 12 => {
                let float = |value| match value {
                    Value::Float(value) => value as f32,
                    _ => f32::NAN,
                };
                Value::Floats(all.map(|_| self.value(kind).map(float)).collect::<Result<_>>()?)
            }
            7 => Value::Integers(all.map(|_| self.bool().map(i64::from)).collect::<Result<_>>()?),
            1 | 3 | 5 | 11 => {
                Value::Integers(all.map(|_| self.signed(kind)).collect::<Result<_>>()?)
            }
            _ => {
                let signed = |value: u64| match i64::try_from(value) {
                    Ok(value) => Ok(value),
                    Err(_) => refuse(format!("{value} in an array")),
                };
                let each = all.map(|_| self.unsigned(kind).and_then(signed));
                Value::Integers(each.collect::<Result<_>>()?)
            }
        })
    }

    fn unsigned(&mut self, kind: u32) -> Result<u64> {
        Ok(match kind {
            0 => u64::from(u8::from_le_bytes(self.array()?)),
            2 => u64::from(u16::from_le_bytes(self.array()?)),
            4 => u64::from(self.u32()?),
            _ => self.u64()?,
        })
    }

    fn signed(&mut self, kind: u32) -> Result<i64> {
        Ok(match kind {
            1 => i64::from(i8::from_le_bytes(self.array()?)),
            3 => i64::from(i16::from_le_bytes(self.array()?)),
            5 => i64::from(i32::from_le_bytes(self.array()?)),
            _ => i64::from_le_bytes(self.array()?),
        })
    }

    fn bool(&mut self) -> Result<bool> {
        match self.bytes(1)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => refuse(format!("{other} is not a bool")),
        }
    }

    fn string(&mut self, longest: u64) -> Result<String> {
        let length = self.u64()?;
        if length > longest || length > self.left() {
            return refuse(format!("a string of {length} bytes"));
        }
        match std::str::from_utf8(self.bytes(length as usize)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => refuse("a string is not UTF-8"),
        }
    }

    fn count(&mut self, of: &str, most: u64) -> Result<u64> {
        let count = self.u64()?;
        if count > most { refuse(format!("{count} {of}, of at most {most}")) } else { Ok(count) }
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.bytes(N)?.first_chunk().expect("N bytes were taken"))
    }

    const fn left(&self) -> u64 {
        (self.file.len() - self.at) as u64
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        if count as u64 > self.left() {
            return refuse("it is cut short");
        }
        let bytes = &self.file[self.at..][..count];
        self.at += count;
        Ok(bytes)
    }
}

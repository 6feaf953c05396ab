//! GGUF files: the container, and what its metadata says about a model.
//!
//! Everything in the file is hostile until checked: lengths and counts are compared with the bytes
//! that are left before anything is allocated.

mod config;
mod metadata;
mod names;
mod reader;
mod tokenizer;

use std::{collections::BTreeMap, fs::File, ops::Range, path::Path};

use candle_core::{
    Device,
    quantized::{GgmlDType, QStorage, QTensor},
};
use memmap2::Mmap;

pub use self::metadata::{Metadata, Value};
use self::{
    names::NameMap,
    reader::{Header, Reader},
};
use super::Values;
use crate::{
    Error, Result,
    kernels::{Half, Quant},
};

/// Largest number of values of one tensor.
const MAX_VALUES: u64 = 1 << 40;

/// A memory-mapped GGUF file of a supported architecture, its tensors by their Hugging Face names.
#[derive(Debug)]
pub struct Gguf {
    map: Mmap,
    metadata: Metadata,
    names: NameMap,
    /// By Hugging Face name.
    tensors: BTreeMap<String, Entry>,
}

/// Where a tensor is.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// Outer size first, as in safetensors.
    shape: Vec<usize>,
    kind: GgmlDType,
    bytes: Range<usize>,
    /// Name in the file.
    name: String,
}

impl Gguf {
    /// Opens a GGUF file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Weights`] if it is not a well-formed GGUF file;
    /// [`Error::Config`] if its architecture is not supported.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read only, and model folders are written by atomic rename, so the file
        // under it does not change.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let header = Reader::new(&map).header()?;
        let entries = entries(&header, map.len())?;
        let names = NameMap::of(&header.metadata)?;
        let mut tensors = BTreeMap::new();
        for entry in entries {
            let Some(name) = names.to_hf(&entry.name)? else { continue };
            tensors.insert(name, entry);
        }
        let metadata = header.metadata;
        names.check(&metadata)?;
        Ok(Self { map, metadata, names, tensors })
    }

    /// Names of all tensors, as Hugging Face has them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The file's key-value pairs.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensor `name` in its stored type, in the row order of Hugging Face.
    ///
    /// Types other than f32, f16, bf16, Q8_0, Q4_K and Q6_K are widened to f32.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing, of another shape, of a type that cannot be read, or holds
    /// a value that is not finite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Values> {
        let entry =
            self.tensors.get(name).ok_or_else(|| Error::Weights(format!("{name} is missing")))?;
        if entry.shape != shape {
            return Err(Error::Weights(format!(
                "{name} has shape {:?}, not {shape:?}",
                entry.shape
            )));
        }
        let data = &self.map[entry.bytes.clone()];
        let rows = self.names.row_order(name, shape[0]);
        let data = reordered(data, shape[0], rows.as_deref());
        let d_in = shape[shape.len() - 1];
        match entry.kind {
            GgmlDType::F32 => Values::of_f32(name, &data),
            GgmlDType::F16 => Values::of_half(name, Half::F16, &data),
            GgmlDType::BF16 => Values::of_half(name, Half::Bf16, &data),
            GgmlDType::Q8_0 => Ok(Values::of_blocks(Quant::Q8_0, &data, d_in)),
            GgmlDType::Q4K => Ok(Values::of_blocks(Quant::Q4K, &data, d_in)),
            GgmlDType::Q6K => Ok(Values::of_blocks(Quant::Q6K, &data, d_in)),
            other => widened(name, other, data.into_owned(), shape),
        }
    }
}

/// Rows in another order: row `i` of the result is row `order[i]`.
fn reordered<'a>(
    data: &'a [u8],
    rows: usize,
    order: Option<&[usize]>,
) -> std::borrow::Cow<'a, [u8]> {
    let Some(order) = order else { return data.into() };
    let width = data.len() / rows;
    let mut out = Vec::with_capacity(data.len());
    for &row in order {
        out.extend_from_slice(&data[row * width..][..width]);
    }
    out.into()
}

/// Values in a format that the kernels do not multiply with.
fn widened(name: &str, kind: GgmlDType, data: Vec<u8>, shape: &[usize]) -> Result<Values> {
    let storage = QStorage::from_data(data.into(), &Device::Cpu, kind)?;
    let tensor = QTensor::new(storage, shape)?.dequantize(&Device::Cpu)?;
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::Weights(format!("{name} has a value that is not finite")));
    }
    Ok(values.into())
}

/// Checks where tensors lie: inside the file, aligned, not over one another.
fn entries(header: &Header, file: usize) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(header.tensors.len());
    for tensor in &header.tensors {
        let refuse =
            |what: &str| Err(Error::Weights(format!("GGUF tensor {}: {what}", tensor.name)));
        let Some(kind) = kind_of(tensor.kind) else {
            return refuse(&format!("type {} is not known", tensor.kind));
        };
        let count = tensor.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        let Some(count) = count.filter(|count| (1..=MAX_VALUES).contains(count)) else {
            return refuse(&format!("its sizes {:?} are out of bounds", tensor.shape));
        };
        let block = kind.block_size() as u64;
        if !tensor.shape.last().is_some_and(|width| width.is_multiple_of(block)) {
            return refuse(&format!("rows of {:?} are not blocks of {block}", tensor.shape));
        }
        let bytes = count / block * kind.type_size() as u64;
        if !tensor.offset.is_multiple_of(header.alignment) {
            return refuse(&format!("its offset {} is not aligned", tensor.offset));
        }
        let start = tensor.offset.checked_add(header.data as u64);
        let end = start.and_then(|start| start.checked_add(bytes));
        let (Some(start), Some(end)) = (start, end.filter(|end| *end <= file as u64)) else {
            return refuse("it ends after the file");
        };
        let shape = tensor.shape.iter().map(|size| *size as usize).collect();
        let (name, bytes) = (tensor.name.clone(), start as usize..end as usize);
        entries.push(Entry { shape, kind, bytes, name });
    }
    let mut ranges: Vec<&Entry> = entries.iter().collect();
    ranges.sort_by_key(|entry| entry.bytes.start);
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].bytes.start < pair[0].bytes.end) {
        let (first, second) = (&pair[0].name, &pair[1].name);
        return Err(Error::Weights(format!("GGUF tensors {first} and {second} overlap")));
    }
    Ok(entries)
}

/// ggml's type numbers.
const fn kind_of(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

//! Weights in safetensors files.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Error, Result};

/// The memory-mapped safetensors files of a model folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names.
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<Mmap>,
    /// Which file holds each tensor.
    holder: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens the weights in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::Weights`] if one is not a well-formed
    /// safetensors file or two hold the same tensor.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut checkpoint = Self { files: Vec::new(), holder: BTreeMap::new() };
        for path in shard_paths(dir)? {
            let file = File::open(&path).map_err(Error::io(&path))?;
            // SAFETY: the map is read only, and model folders are written by atomic rename, so the
            // file under it does not change.
            let map = unsafe { Mmap::map(&file) }.map_err(Error::io(&path))?;
            for name in parse(&map)?.names() {
                if checkpoint.holder.insert(name.to_owned(), checkpoint.files.len()).is_some() {
                    return Err(Error::Weights(format!("{name} is in two files")));
                }
            }
            checkpoint.files.push(map);
        }
        Ok(checkpoint)
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.holder.keys().map(String::as_str)
    }

    /// Values of the tensor `name`, widened to f32.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing, of another shape, not f32, bf16 or f16, or holds a value
    /// that is not finite.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let file =
            self.holder.get(name).ok_or_else(|| Error::Weights(format!("{name} is missing")))?;
        let tensors = parse(&self.files[*file])?;
        let view = tensors.tensor(name).map_err(|error| Error::Weights(error.to_string()))?;
        if view.shape() != shape {
            return Err(Error::Weights(format!(
                "{name} has shape {:?}, not {shape:?}",
                view.shape()
            )));
        }
        widen(name, &view)
    }
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes).map_err(|error| Error::Weights(error.to_string()))
}

/// Values of a tensor as f32.
///
/// # Errors
/// [`Error::Weights`] if it is not f32, bf16 or f16, or a value is not finite.
pub fn widen(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::BF16 => {
            data.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
        }
        Dtype::F16 => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        other => return Err(Error::Weights(format!("{name} has type {other:?}"))),
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::Weights(format!("{name} has a value that is not finite")));
    }
    Ok(values)
}

/// The files to open, in a fixed order.
fn shard_paths(dir: &Path) -> Result<Vec<PathBuf>> {
    let index = dir.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![dir.join("model.safetensors")]);
    }
    let text = std::fs::read_to_string(&index).map_err(Error::io(&index))?;
    let bad = |what: &str| Error::Weights(format!("model.safetensors.index.json: {what}"));
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| bad("not JSON"))?;
    let map = value["weight_map"].as_object().ok_or_else(|| bad("no weight_map"))?;
    let mut names = Vec::new();
    for name in map.values() {
        let name = name.as_str().ok_or_else(|| bad("a file name is not a string"))?;
        if Path::new(name).components().count() != 1 || name.starts_with('.') {
            return Err(bad("a file name leaves the folder"));
        }
        names.push(name.to_owned());
    }
    names.sort();
    names.dedup();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// A tensor to be stored: name, shape, row-major values.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// As computed with.
    F32,
    /// Rounded to nearest even.
    Bf16,
}

/// Writes tensors to a safetensors file, through a temporary file beside it,
/// so that readers see the old file or the new one.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; [`Error::Weights`] if a shape does not fit its values.
pub fn save(
    path: &Path,
    tensors: &[NamedTensor],
    storage: Storage,
    metadata: Option<std::collections::HashMap<String, String>>,
) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| match storage {
            Storage::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Storage::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        })
        .collect();
    let dtype = match storage {
        Storage::F32 => Dtype::F32,
        Storage::Bf16 => Dtype::BF16,
    };
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            TensorView::new(dtype, shape.clone(), bytes)
                .map(|view| (name.as_str(), view))
                .map_err(|error| Error::Weights(format!("{name}: {error}")))
        })
        .collect::<Result<Vec<_>>>()?;
    let file = safetensors::serialize(views, metadata)
        .map_err(|error| Error::Weights(error.to_string()))?;
    write_atomically(path, &file)
}

/// Writes a file through a temporary one beside it, which is on disk before it takes the name.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".partial");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(Error::io(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(&temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::io(path))
}

//! The safetensors files of a model folder.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::SafeTensors;

use super::Values;
use crate::{Error, Result};

/// The memory-mapped safetensors files of a model folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names.
#[derive(Debug)]
pub(super) struct Folder {
    files: Vec<Mmap>,
    /// Which file holds each tensor.
    holder: BTreeMap<String, usize>,
}

impl Folder {
    /// Opens the weights in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::Weights`] if one is not a well-formed
    /// safetensors file or two hold the same tensor.
    pub(super) fn open(dir: &Path) -> Result<Self> {
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
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.holder.keys().map(String::as_str)
    }

    /// The tensor `name` as it is stored.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing, of another shape, not f32, bf16 or f16, or holds a value
    /// that is not finite.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Values> {
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
        Values::of_view(name, &view)
    }
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes).map_err(|error| Error::Weights(error.to_string()))
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

//! A model's weights, wherever they are.

use std::path::{Path, PathBuf};

use super::{Values, gguf::Gguf, safetensors::Folder};
use crate::{Error, Result};

/// The memory-mapped weights of a model: `model.safetensors`, the shards that
/// `model.safetensors.index.json` names, or a GGUF file.
#[derive(Debug)]
pub struct Checkpoint(Files);

#[derive(Debug)]
enum Files {
    Safetensors(Folder),
    Gguf(Gguf),
}

impl Checkpoint {
    /// Opens the weights of a model folder, or a GGUF file. Of a folder without safetensors, the only
    /// file that ends in `.gguf` is taken.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::Weights`] if one is not well formed or two
    /// hold the same tensor, [`Error::Config`] if a GGUF file's architecture is not supported.
    pub fn open(path: &Path) -> Result<Self> {
        let gguf = if path.is_dir() { gguf_in(path)? } else { Some(path.to_owned()) };
        Ok(Self(match gguf {
            Some(file) => Files::Gguf(Gguf::open(&file)?),
            None => Files::Safetensors(Folder::open(path)?),
        }))
    }

    /// The `config.json` of the model, if its weights carry it.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Weights`] if they say what is not supported.
    pub fn config(&self) -> Result<Option<String>> {
        match &self.0 {
            Files::Safetensors(_) => Ok(None),
            Files::Gguf(file) => file.config().map(Some),
        }
    }

    /// Names of all tensors.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.0 {
            Files::Safetensors(folder) => Box::new(folder.names()),
            Files::Gguf(file) => Box::new(file.names()),
        }
    }

    /// Values of the tensor `name`, widened to f32.
    ///
    /// # Errors
    /// As [`Self::values`].
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.values(name, shape)?.widened()
    }

    /// The tensor `name` as it is stored.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing, of another shape, of a type that is not read, or holds a
    /// value that is not finite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Values> {
        match &self.0 {
            Files::Safetensors(folder) => folder.values(name, shape),
            Files::Gguf(file) => file.values(name, shape),
        }
    }
}

/// The GGUF file of a folder without safetensors.
fn gguf_in(dir: &Path) -> Result<Option<PathBuf>> {
    let safetensors = ["model.safetensors", "model.safetensors.index.json"];
    if safetensors.iter().any(|name| dir.join(name).exists()) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "gguf") {
            files.push(path);
        }
    }
    match files.len() {
        0 | 1 => Ok(files.pop()),
        count => Err(Error::Weights(format!("{count} GGUF files: name one of them"))),
    }
}

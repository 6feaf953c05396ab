//! Writing safetensors files.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use half::bf16;
use safetensors::{Dtype, tensor::TensorView};

use crate::{Error, Result};

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

//! Reading an adapter's folder.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use safetensors::SafeTensors;

use super::{Adapter, adapter_hash, config::PeftConfig};
use crate::{
    Error, Result,
    layers::lora::{LowRank, Sites},
    model::{Site, SiteWeights},
    weights::widen,
};

/// File with the adapter's configuration.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// File with the adapter's weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Largest [`CONFIG_FILE`] in bytes.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// What PEFT puts before the base model's own module paths.
const PREFIX: &str = "base_model.model.";

fn bad(message: impl Into<String>) -> Error {
    Error::Adapter(message.into())
}

impl Adapter {
    /// Reads the PEFT folder `dir` for a decoder with these `sites`.
    ///
    /// `max_bytes` bounds the weights' file. Files must lie under `root` (or, without one, in `dir`
    /// itself) after links are followed.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the configuration is not supported, a file is too large, damaged or
    /// outside the root, or a tensor is missing, unknown, of another shape than the decoder and the
    /// configuration say, of another type than f32, bf16 and f16, or not finite. [`Error::Io`] if a
    /// file cannot be read.
    pub fn load(dir: &Path, root: Option<&Path>, sites: &[Site], max_bytes: usize) -> Result<Self> {
        let root = root.unwrap_or(dir);
        let config = read(dir, CONFIG_FILE, root, MAX_CONFIG_BYTES)?;
        let weights = read(dir, WEIGHTS_FILE, root, max_bytes)?;
        Self::parse(&config, &weights, sites)
    }

    /// An adapter from the bytes of its two files; see [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Adapter`].
    pub fn parse(config: &[u8], weights: &[u8], sites: &[Site]) -> Result<Self> {
        let hash = adapter_hash(config, weights);
        let config = PeftConfig::parse(config)?;
        let tensors = SafeTensors::deserialize(weights)
            .map_err(|error| bad(format!("{WEIGHTS_FILE}: {error}")))?;
        let mut unread: BTreeSet<String> = tensors.names().into_iter().map(String::from).collect();
        let mut parsed = Sites::new();
        for site in sites {
            let Some((rank, scale)) = config.at(&site.path)? else { continue };
            let &Site { id, d_in, d_out, .. } = site;
            let mut take = |side: &str, shape: [usize; 2]| {
                let name = format!("{PREFIX}{}.lora_{side}.weight", site.path);
                unread.remove(&name);
                tensor(&tensors, &name, shape)
            };
            let (a, b) = (take("A", [rank, d_in])?, take("B", [d_out, rank])?);
            let weights = SiteWeights { site: id, rank, d_in, d_out, a, b, scale };
            parsed.insert(id, LowRank::new(&weights)?);
        }
        if let Some(name) = unread.first() {
            let name: String = name.chars().take(200).collect();
            return Err(bad(format!("tensor {name:?} belongs to no targeted module of the model")));
        }
        if parsed.is_empty() {
            return Err(bad("target_modules fits no module of the model"));
        }
        Ok(Self { hash, sites: Arc::new(parsed) })
    }
}

fn tensor(tensors: &SafeTensors<'_>, name: &str, shape: [usize; 2]) -> Result<Vec<f32>> {
    let view = tensors.tensor(name).map_err(|_| bad(format!("tensor {name} is missing")))?;
    if view.shape() != shape {
        return Err(bad(format!("tensor {name} has shape {:?}, not {shape:?}", view.shape())));
    }
    widen(name, &view).map_err(|error| match error {
        Error::Weights(message) => bad(message),
        other => other,
    })
}

/// The bytes of `dir/name`, at most `max`.
fn read(dir: &Path, name: &str, root: &Path, max: usize) -> Result<Vec<u8>> {
    let resolve = |path: PathBuf| path.canonicalize().map_err(Error::io(&path));
    let path = resolve(dir.join(name))?;
    if !path.starts_with(resolve(root.to_owned())?) {
        return Err(bad(format!("{} leads out of the adapter folder", dir.join(name).display())));
    }
    let file = File::open(&path).map_err(Error::io(&path))?;
    // Reading a pipe or a device may never end.
    if !file.metadata().map_err(Error::io(&path))?.is_file() {
        return Err(bad(format!("{name} is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(Error::io(&path))?;
    if bytes.len() > max {
        return Err(bad(format!("{name} has more than {max} bytes")));
    }
    Ok(bytes)
}

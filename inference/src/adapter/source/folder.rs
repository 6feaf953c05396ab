//! PEFT folders of this machine.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{AdapterFiles, Source};
use crate::{
    Error, Result,
    adapter::{AdapterLimits, CONFIG_FILE, WEIGHTS_FILE},
};

/// A PEFT folder. Its files must lie under the root (without one, in the folder itself) after links
/// are followed, at every reading.
#[derive(Clone, Debug)]
pub struct FolderSource {
    dir: Box<Path>,
    root: Option<Arc<Path>>,
}

impl FolderSource {
    /// The folder `dir`; nothing is read yet.
    pub fn new(dir: &Path, root: Option<Arc<Path>>) -> Self {
        Self { dir: dir.into(), root }
    }
}

impl Source for FolderSource {
    fn fetch(&self, limits: &AdapterLimits) -> Result<AdapterFiles> {
        let root = self.root.as_deref().unwrap_or(&self.dir);
        let config = read(&self.dir, CONFIG_FILE, root, limits.config_bytes)?;
        let weights = read(&self.dir, WEIGHTS_FILE, root, limits.weights_bytes)?;
        Ok(AdapterFiles { config, weights })
    }

    fn is_remote(&self) -> bool {
        false
    }
}

/// The bytes of `dir/name`, at most `max`.
fn read(dir: &Path, name: &str, root: &Path, max: usize) -> Result<Vec<u8>> {
    let bad = |message: String| Err(Error::Adapter(message));
    let resolve = |path: PathBuf| path.canonicalize().map_err(Error::io(&path));
    let path = resolve(dir.join(name))?;
    if !path.starts_with(resolve(root.to_owned())?) {
        return bad(format!("{} leads out of the adapter folder", dir.join(name).display()));
    }
    // Looked at before it is opened: opening a pipe may never end.
    if !path.metadata().map_err(Error::io(&path))?.is_file() {
        return bad(format!("{name} is not a regular file"));
    }
    let file = File::open(&path).map_err(Error::io(&path))?;
    let size = file.metadata().map_err(Error::io(&path))?.len();
    if size > max as u64 {
        return bad(format!("{name} has {size} bytes, more than {max} bytes"));
    }
    // It may grow while it is read.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(Error::io(&path))?;
    if bytes.len() > max {
        return bad(format!("{name} has more than {max} bytes"));
    }
    Ok(bytes)
}

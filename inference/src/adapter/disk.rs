//! Remote adapters on disk, by content hash.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    AdapterFiles, AdapterHash, AdapterLimits, CONFIG_FILE, FolderSource, Source, WEIGHTS_FILE,
};
use crate::{Error, Result, weights::write_atomically};

/// Prefix of folders that are being written.
const PARTIAL: &str = "partial-";

/// A folder with one PEFT folder per adapter, named by its hash. What was used longest ago goes first
/// when it grows beyond its bound.
#[derive(Debug)]
pub(super) struct Disk {
    root: Arc<Path>,
    max_bytes: u64,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<AdapterHash, (u64, u64)>,
    /// By time of use.
    order: BTreeMap<u64, AdapterHash>,
    bytes: u64,
    clock: u64,
}

impl Index {
    fn touch(&mut self, hash: AdapterHash, bytes: u64) {
        self.forget(&hash);
        self.clock += 1;
        self.entries.insert(hash, (bytes, self.clock));
        self.order.insert(self.clock, hash);
        self.bytes += bytes;
    }

    fn forget(&mut self, hash: &AdapterHash) -> bool {
        let Some((bytes, at)) = self.entries.remove(hash) else { return false };
        self.order.remove(&at);
        self.bytes -= bytes;
        true
    }
}

impl Disk {
    /// Opens the folder, which is made if it is missing. What an earlier process left is kept; its
    /// half-written folders are removed.
    pub(super) fn open(root: &Path, max_bytes: u64) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io(root))?;
        let root: Arc<Path> = root.canonicalize().map_err(Error::io(root))?.into();
        let mut found = Vec::new();
        for entry in fs::read_dir(&root).map_err(Error::io(&*root))? {
            let entry = entry.map_err(Error::io(&*root))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(hash) = AdapterHash::parse(name) {
                let metadata = entry.metadata().map_err(Error::io(entry.path()))?;
                let size = |name| entry.path().join(name).metadata().map_or(0, |file| file.len());
                let bytes = size(CONFIG_FILE) + size(WEIGHTS_FILE);
                found.push((metadata.modified().ok(), hash, bytes));
            } else if name.starts_with(PARTIAL) {
                fs::remove_dir_all(entry.path()).map_err(Error::io(entry.path()))?;
            }
        }
        found.sort();
        let disk = Self { root, max_bytes, index: Mutex::default() };
        for (_, hash, bytes) in found {
            disk.index().touch(hash, bytes);
        }
        disk.shrink(None);
        Ok(disk)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Nothing panics while holding the lock.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dir(&self, hash: AdapterHash) -> PathBuf {
        self.root.join(hash.to_string())
    }

    /// The files of an adapter, if they are here. The caller checks their hash.
    pub(super) fn read(&self, hash: AdapterHash, limits: &AdapterLimits) -> Option<AdapterFiles> {
        if !self.index().entries.contains_key(&hash) {
            return None;
        }
        let source = FolderSource::new(&self.dir(hash), Some(Arc::clone(&self.root)));
        match source.fetch(limits) {
            Ok(files) => {
                self.index().touch(hash, files.len() as u64);
                Some(files)
            }
            Err(error) => {
                tracing::warn!(target: "inference::adapter", %hash, %error, "not readable on disk");
                self.remove(hash);
                None
            }
        }
    }

    /// Keeps the files of an adapter, unless they alone are more than the bound.
    pub(super) fn write(&self, hash: AdapterHash, files: &AdapterFiles) -> Result<()> {
        let bytes = files.len() as u64;
        if bytes > self.max_bytes {
            return Ok(());
        }
        let partial = self.root.join(format!("{PARTIAL}{hash}"));
        fs::create_dir_all(&partial).map_err(Error::io(&partial))?;
        write_atomically(&partial.join(CONFIG_FILE), &files.config)?;
        write_atomically(&partial.join(WEIGHTS_FILE), &files.weights)?;
        let dir = self.dir(hash);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Error::io(&dir))?;
        }
        fs::rename(&partial, &dir).map_err(Error::io(&dir))?;
        self.index().touch(hash, bytes);
        self.shrink(Some(hash));
        Ok(())
    }

    /// Forgets an adapter and removes its files.
    pub(super) fn remove(&self, hash: AdapterHash) {
        if self.index().forget(&hash) {
            let dir = self.dir(hash);
            if let Err(error) = fs::remove_dir_all(&dir) {
                tracing::warn!(target: "inference::adapter", dir = %dir.display(), %error, "not removed");
            }
        }
    }

    fn shrink(&self, keep: Option<AdapterHash>) {
        loop {
            let oldest = {
                let index = self.index();
                if index.bytes <= self.max_bytes {
                    return;
                }
                index.order.values().copied().find(|hash| Some(*hash) != keep)
            };
            let Some(oldest) = oldest else { return };
            self.remove(oldest);
        }
    }

    /// Adapters and bytes on disk.
    pub(super) fn size(&self) -> (usize, u64) {
        let index = self.index();
        (index.entries.len(), index.bytes)
    }
}

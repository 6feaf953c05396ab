//! Adds Datanet versions to the library as they appear.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use alloy::primitives::B256;
use tokio_util::sync::CancellationToken;

use super::{Retrieval, indexing::index, rows::version_folders};
use crate::{
    Error, Result,
    catalog::load_rows,
    chain::{ChainClient, bindings::IDatanetRegistry},
    datanet::{Datanet, Manifest},
    registry::{DatanetRef, Registry},
    store::SharedStore,
    worker::blocking,
};

/// Pause between two looks at the folders and the registry.
const PAUSE: Duration = Duration::from_secs(3);

/// The task that indexes versions whose rows are in the configured folders and whose root is on the
/// chain, one after the other, on a thread of its own.
#[derive(Debug)]
pub struct Librarian {
    retrieval: Retrieval,
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    folders: Vec<PathBuf>,
    /// Folders that were refused, and when their files had changed last by then.
    refused: HashMap<PathBuf, Option<SystemTime>>,
}

impl Librarian {
    /// The task over folders that hold a version each, or folders of such.
    pub fn new(
        retrieval: Retrieval,
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        folders: Vec<PathBuf>,
    ) -> Self {
        Self { retrieval, store, registry, client, folders, refused: HashMap::new() }
    }

    /// Looks for new versions until it is stopped. A version that fails is told of, and tried again
    /// when its files change.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        while !shutdown.is_cancelled() {
            match self.step(&shutdown).await {
                Err(error @ Error::Store(_)) => return Err(error),
                Err(Error::Stopped(_)) | Ok(_) => {}
                Err(error) => {
                    tracing::warn!(target: "node::retrieval", %error, "indexing waits");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        Ok(())
    }

    /// Indexes every version that can be. Returns how many.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] if the chain cannot be asked; [`Error::Stopped`].
    pub async fn step(&mut self, shutdown: &CancellationToken) -> Result<usize> {
        let folders = self.folders.clone();
        let found = blocking(move || Ok(version_folders(&folders))).await?;
        let mut added = 0;
        for (folder, manifest) in found {
            let of = DatanetRef { id: manifest.id, version: manifest.version };
            let changed = changed(&folder);
            if self.retrieval.holds(&of) || self.refused.get(&folder) == Some(&changed) {
                continue;
            }
            let Some(published) = self.registry.datanet_version(of.id, of.version)? else {
                continue;
            };
            if published.rows_root != manifest.rows_root {
                let (root, found) = (published.rows_root, manifest.rows_root);
                let error = format!("root is {found}, the chain has {root}");
                self.refuse(folder, changed, &error);
                continue;
            }
            match self.add(&folder, manifest, shutdown).await {
                Ok(()) => added += 1,
                Err(error @ (Error::Store(_) | Error::Chain(_) | Error::Stopped(_))) => {
                    return Err(error);
                }
                Err(error) => self.refuse(folder, changed, &error),
            }
        }
        Ok(added)
    }

    fn refuse(
        &mut self,
        folder: PathBuf,
        changed: Option<SystemTime>,
        error: &dyn std::fmt::Display,
    ) {
        let dir = folder.display();
        tracing::error!(target: "node::retrieval", %dir, %error, "rows are not searchable");
        self.refused.insert(folder, changed);
    }

    async fn add(
        &self,
        folder: &Path,
        manifest: Manifest,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let started = Instant::now();
        let registered = self.registered(manifest.id).await?;
        let (retrieval, stop) = (self.retrieval.clone(), shutdown.clone());
        let (store, registry) = (Arc::clone(&self.store), self.registry.clone());
        let folder = folder.to_owned();
        let (id, version) = (manifest.id, manifest.version);
        let rows = blocking(move || {
            let datanet = Datanet::load(&folder)?;
            if datanet.manifest != manifest {
                return Err(Error::Datanet(format!("{}: it is changing", folder.display())));
            }
            let rows = index(&retrieval, &datanet, registered, &stop)?;
            // Private rows are not given by their hash.
            if !retrieval.is_private(manifest.id) {
                load_rows(&store, &registry, &folder)?;
            }
            Ok(rows)
        })
        .await?;
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(target: "node::retrieval", datanet = %id, version, rows, seconds, "searchable");
        Ok(())
    }

    /// When a Datanet's first version was published, in seconds: of equal rows in several, those that
    /// were published first are found.
    async fn registered(&self, datanet: B256) -> Result<u64> {
        let call = IDatanetRegistry::versionOfCall { datanet, version: 1 };
        let to = self.registry.contracts().deployment.datanet_registry;
        Ok(self.client.call(to, &call).await?.publishedAt)
    }
}

/// When a version's files changed last.
fn changed(folder: &Path) -> Option<SystemTime> {
    let time = |name: &str| std::fs::metadata(folder.join(name)).ok()?.modified().ok();
    time("datanet.json").max(time("rows.jsonl"))
}

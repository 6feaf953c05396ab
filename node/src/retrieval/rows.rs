//! The rows of Datanet versions that this node has on disk.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::B256;
use attribution::{
    retrieval::{Hit, Row, prompt_text},
    settle::Use,
};

use super::{Document, Grounding, search::named};
use crate::{
    Result,
    api::request::RetrievalChoice,
    datanet::{self, Datanet, Manifest},
    registry::{DatanetRef, Registry, Role},
};

/// Versions that are kept in memory after they were asked for.
const KEPT: usize = 4;

/// Reads rows of published versions from the folders that hold them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DatanetRows {
    registry: Registry,
    folders: Arc<[PathBuf]>,
    kept: Arc<Mutex<Vec<Arc<Datanet>>>>,
}

/// Why the rows of an answer's sources cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// No node can have shown these, for this reason.
    Impossible(String),
    /// This node has not the rows of this version.
    Unknown(DatanetRef),
}

impl DatanetRows {
    /// Over folders that hold a version each, or folders of such.
    pub fn new(registry: Registry, folders: &[PathBuf]) -> Self {
        Self { registry, folders: folders.into(), kept: Arc::default() }
    }

    /// The folders that hold a version, with what each says it holds. What cannot be read, or is not
    /// on the chain yet, is not there.
    pub fn versions(&self) -> Vec<(PathBuf, Manifest)> {
        version_folders(&self.folders)
    }

    /// A version as it is published, if its rows are here. Reads the disk.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn version(&self, of: &DatanetRef) -> Result<Option<Arc<Datanet>>> {
        let is_it = |manifest: &Manifest| (manifest.id, manifest.version) == (of.id, of.version);
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().iter().find(|kept| is_it(&kept.manifest)) {
            return Ok(Some(Arc::clone(found)));
        }
        let Some(published) = self.registry.datanet_version(of.id, of.version)? else {
            return Ok(None);
        };
        for (folder, manifest) in self.versions() {
            if !is_it(&manifest) || manifest.rows_root != published.rows_root {
                continue;
            }
            match Datanet::load(&folder) {
                Ok(datanet) if datanet.manifest == manifest => {
                    let datanet = Arc::new(datanet);
                    let mut kept = lock();
                    kept.insert(0, Arc::clone(&datanet));
                    kept.truncate(KEPT);
                    return Ok(Some(datanet));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(target: "node::retrieval", %error, "rows passed over");
                }
            }
        }
        Ok(None)
    }

    /// The rows of an answer's sources, in their order, with the relevance that the document says.
    ///
    /// # Errors
    /// [`crate::Error::Store`]. The inner error says why the sources cannot be read: they are not what
    /// `asked` allows of the model's versions, or not here.
    pub fn sources(
        &self,
        model: B256,
        asked: &RetrievalChoice,
        document: &Document,
    ) -> Result<std::result::Result<Vec<Hit>, Unread>> {
        let versions = self.registry.model(model)?.map(|view| view.datanets).unwrap_or_default();
        let refused = |why: String| Ok(Err(Unread::Impossible(why)));
        if versions.is_empty() {
            return refused("the model has no Datanets to retrieve from".into());
        }
        if document.sources.len() > asked.limit {
            let (given, limit) = (document.sources.len(), asked.limit);
            return refused(format!("{given} sources, {limit} were asked for"));
        }
        let mut rows = Vec::with_capacity(document.sources.len());
        for (at, source) in document.sources.iter().enumerate() {
            let of = DatanetRef { id: source.datanet, version: source.version };
            let wanted = asked.datanets.as_ref().is_none_or(|wanted| wanted.contains(&of.id));
            if !wanted || !versions.contains(&of) {
                return refused(format!("version {} of {} is not asked for", of.version, of.id));
            }
            if document.sources[..at].iter().any(|other| other.row_hash == source.row_hash) {
                return refused(format!("row {} is there twice", source.row_hash));
            }
            let Some(datanet) = self.version(&of)? else { return Ok(Err(Unread::Unknown(of))) };
            let row = usize::try_from(source.row).ok().and_then(|at| datanet.rows.get(at));
            let is_first = |row: &&datanet::Row| {
                let first = datanet.rows.iter().find(|other| other.row_hash == source.row_hash);
                first == Some(*row) && is_canonical(row)
            };
            match row.filter(is_first) {
                Some(row) => rows.push(hit(&of, indexed(row), source.relevance)),
                None => {
                    let (row, hash) = (source.row, source.row_hash);
                    let (id, version) = (of.id, of.version);
                    let why = format!("version {version} of {id} has no row {row} of hash {hash}");
                    return refused(why);
                }
            }
        }
        Ok(Ok(rows))
    }

    /// What a record is to credit the rows for that an answer with these sources cites.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn citations(&self, model: B256, text: &str, sources: &[Hit]) -> Result<Vec<Use>> {
        let versions = self.registry.model(model)?.map(|view| view.datanets).unwrap_or_default();
        let grounding = Grounding::of(text, sources, &versions);
        grounding.uses(|account| self.registry.earner_of(account, Role::Contributor))
    }
}

/// What a call's model was shown before the question; nothing if its answer has no sources.
pub fn shown(sources: &[Hit]) -> Option<String> {
    let rows = (1..).zip(sources.iter().map(|source| &source.row));
    (!sources.is_empty()).then(|| prompt_text(rows))
}

fn hit(of: &DatanetRef, row: Row, relevance: u32) -> Hit {
    let dot = i32::try_from(relevance).unwrap_or(i32::MAX);
    Hit { version: named(of), row, vectors: Vec::new(), relevance, dot, bm25_milli: 0, score: 0 }
}

/// Whether a row is the one that its duplicates' pay goes to, or an exact repeat of it.
pub(super) fn is_canonical(row: &datanet::Row) -> bool {
    row.row_hash == row.cluster_hash
}

/// A row as it is indexed and shown.
pub(super) fn indexed(row: &datanet::Row) -> Row {
    Row {
        index: row.index,
        contributor: row.contributor.into(),
        row_hash: row.row_hash.into(),
        source: row.source.clone(),
        text: row.text.clone(),
    }
}

/// Of folders, those with a version in them, and below the others those folders that have one.
pub(super) fn version_folders(folders: &[PathBuf]) -> Vec<(PathBuf, Manifest)> {
    let mut found = Vec::new();
    let mut look = |folder: &Path| {
        let manifest = Manifest::load(folder).ok();
        let is_there = manifest.is_some();
        found.extend(manifest.map(|manifest| (folder.to_owned(), manifest)));
        is_there
    };
    for folder in folders {
        if look(folder) {
            continue;
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        below.sort();
        below.iter().filter(|path| path.is_dir()).for_each(|path| {
            look(path);
        });
    }
    found
}

//! Questions to the library.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::primitives::B256;
use attribution::retrieval::{self, DatanetVersion, Hit, Library, Question, VectorSpace};
use inference::encoder::{Encoder, VECTOR_SCALE};
use tokio::sync::Semaphore;

use super::{
    limit::Limit,
    relevance::{self, Relevance, cut},
};
use crate::{
    Error, Result,
    api::{error::ApiError, request::RetrievalChoice},
    metrics::RetrievalMetrics,
    registry::DatanetRef,
    worker::blocking,
};

/// Questions whose vectors are computed at once: each takes all cores for some milliseconds.
const AT_ONCE: usize = 2;
/// Free questions that may wait for their turn.
const MAX_WAITING: usize = 16;

/// What an operator decides about retrieval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrievalSettings {
    /// Folder of the sentence encoder.
    pub encoder: PathBuf,
    /// Folder of the library.
    pub library: PathBuf,
    /// Datanets whose rows only callers see who were granted them.
    pub private: BTreeSet<B256>,
    /// Most rows of one question.
    pub max_rows: usize,
    /// Least cosine of a row with its question, in ten-thousandths.
    pub min_cosine_bps: u16,
    /// Free questions a second.
    pub free_per_second: u32,
}

/// Where rows are looked for.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// In a model's own versions.
    Model(&'a [DatanetRef]),
    /// In the newest version of each Datanet.
    Newest,
}

/// Finds rows for questions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Retrieval {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    library: Library,
    encoder: Arc<Encoder>,
    settings: RetrievalSettings,
    turns: Arc<Semaphore>,
    waiting: Semaphore,
    free: Limit,
    metrics: RetrievalMetrics,
}

impl Retrieval {
    /// Loads the encoder and opens the library, which takes as long as reading both.
    ///
    /// # Errors
    /// [`Error::Config`] naming the encoder's or the library's folder, and what is wrong with it.
    pub fn open(settings: RetrievalSettings, metrics: RetrievalMetrics) -> Result<Self> {
        let encoder = relevance::load(&settings.encoder)?;
        let space = VectorSpace {
            encoder: encoder.hash(),
            dimension: u32::try_from(encoder.dimension()).unwrap_or(u32::MAX),
            scale: VECTOR_SCALE,
        };
        let folder = shelves(&settings.library, &encoder);
        let library = Library::open(&folder, space).map_err(|error| {
            Error::Config(format!(
                "retrieval.library: {error}; it is made again of the rows if {} is removed",
                folder.display()
            ))
        })?;
        let free = Limit::per_second(settings.free_per_second);
        let (turns, waiting) = (Arc::new(Semaphore::new(AT_ONCE)), Semaphore::new(MAX_WAITING));
        let shared = Shared { library, encoder, settings, turns, waiting, free, metrics };
        let retrieval = Self { shared: Arc::new(shared) };
        retrieval.uncover()?;
        retrieval.count();
        Ok(retrieval)
    }

    /// Forgets versions that are kept as public and are to be private, or the other way round; they
    /// are indexed again.
    fn uncover(&self) -> Result<()> {
        for edition in self.library().editions() {
            if edition.private != self.is_private(edition.version.datanet.into()) {
                self.library().remove(edition.version)?;
            }
        }
        Ok(())
    }

    pub(super) fn library(&self) -> &Library {
        &self.shared.library
    }

    pub(super) fn encoder(&self) -> &Encoder {
        &self.shared.encoder
    }

    /// What the relevance of rows is computed again by.
    pub fn relevance(&self) -> Relevance {
        Relevance::new(Arc::clone(&self.shared.encoder))
    }

    pub(super) fn metrics(&self) -> &RetrievalMetrics {
        &self.shared.metrics
    }

    /// Folder of what is computed of versions that are not finished.
    pub(super) fn journals(&self) -> PathBuf {
        shelves(&self.shared.settings.library, &self.shared.encoder).with_extension("journals")
    }

    /// Tells the metrics what is searchable.
    pub(super) fn count(&self) {
        let (versions, rows) = (self.library().editions().len(), self.library().rows());
        self.shared.metrics.holds(versions, rows, self.library().bytes());
    }

    /// Whether only callers who were granted a Datanet may see its rows.
    pub fn is_private(&self, datanet: B256) -> bool {
        self.shared.settings.private.contains(&datanet)
    }

    /// Whether a caller may see a Datanet's rows.
    pub fn may_read(&self, datanet: B256, granted: &BTreeSet<B256>) -> bool {
        !self.is_private(datanet) || granted.contains(&datanet)
    }

    /// Whether a version is searchable.
    pub fn holds(&self, version: &DatanetRef) -> bool {
        self.library().editions().iter().any(|edition| edition.version == named(version))
    }

    /// The rows that fit a question best and are near enough to it, best first. It waits for its turn.
    ///
    /// # Errors
    /// 400 if too many rows are wanted; 404 if a Datanet is named, or the model has none, that `granted`
    /// lets be searched: whether it is another's, unknown or not indexed yet is not told.
    pub async fn search(
        &self,
        question: &str,
        scope: Scope<'_>,
        asked: &RetrievalChoice,
        granted: &BTreeSet<B256>,
    ) -> std::result::Result<Vec<Hit>, ApiError> {
        let limit = self.limit(asked)?;
        let versions = self.versions(scope, asked, granted)?;
        let text = cut(question).to_owned();
        let caller = retrieval::Caller { granted: granted.iter().map(|id| id.0).collect() };
        let shared = Arc::clone(&self.shared);
        let turn = Arc::clone(&self.shared.turns).acquire_owned().await;
        let turn = turn.map_err(|error| ApiError::internal(&error))?;
        let started = Instant::now();
        let search = move || {
            // Kept to the end, also if nobody waits for it any more.
            let _turn = turn;
            let vector = shared.encoder.encode_int8(&[&text])?.swap_remove(0);
            let question =
                Question { text: &text, vector: &vector, versions: Some(&versions), limit };
            let mut hits = shared.library.search(&question, &caller)?;
            let least = shared.library.space().dot_of_cosine(shared.settings.min_cosine_bps.into());
            hits.retain(|hit| hit.relevance > 0 && i64::from(hit.dot) >= least);
            Ok(hits)
        };
        let hits = blocking(search).await.map_err(ApiError::from)?;
        self.shared.metrics.searched(started.elapsed(), hits.len());
        Ok(hits)
    }

    /// As [`Self::search`], for whoever pays nothing.
    ///
    /// # Errors
    /// 429 if too many ask; else as there.
    pub async fn search_free(
        &self,
        question: &str,
        scope: Scope<'_>,
        asked: &RetrievalChoice,
        granted: &BTreeSet<B256>,
    ) -> std::result::Result<Vec<Hit>, ApiError> {
        let busy = |what: &str| ApiError::overloaded(what, 1);
        let place = self.shared.waiting.try_acquire();
        let _place = place.map_err(|_| busy("too many questions are waiting"))?;
        if !self.shared.free.take(Instant::now()) {
            let most = self.shared.settings.free_per_second;
            return Err(busy(&format!("more than {most} free questions a second")));
        }
        let search = self.search(question, scope, asked, granted);
        let late = |_| ApiError::expired();
        tokio::time::timeout(Duration::from_secs(30), search).await.map_err(late)?
    }

    fn limit(&self, asked: &RetrievalChoice) -> std::result::Result<usize, ApiError> {
        let max = self.shared.settings.max_rows;
        match asked.limit_given {
            true if asked.limit > max => {
                let message = format!("limit {} is not 1 to {max}", asked.limit);
                Err(ApiError::invalid("retrieval.limit", message))
            }
            _ => Ok(asked.limit.min(max)),
        }
    }

    /// The versions that are searched.
    fn versions(
        &self,
        scope: Scope<'_>,
        asked: &RetrievalChoice,
        granted: &BTreeSet<B256>,
    ) -> std::result::Result<Vec<DatanetVersion>, ApiError> {
        let editions = self.library().editions();
        let readable = |version: &DatanetVersion| {
            self.may_read(version.datanet.into(), granted)
                && editions.iter().any(|edition| edition.version == *version)
        };
        let mut versions: Vec<DatanetVersion> = match scope {
            Scope::Model(versions) => versions.iter().map(named).collect(),
            Scope::Newest => {
                let mut newest: Vec<_> = editions.iter().map(|edition| edition.version).collect();
                newest.sort_by_key(|version| std::cmp::Reverse(version.version));
                let mut seen = BTreeSet::new();
                newest.retain(|version| seen.insert(version.datanet));
                newest
            }
        };
        versions.retain(readable);
        versions.sort_unstable();
        versions.dedup();
        let unknown = || {
            let message = "no such Datanet can be searched by this caller";
            ApiError::not_found("datanet_not_found", message).about("retrieval.datanets")
        };
        if let Some(wanted) = &asked.datanets {
            let is_there = |id: &B256| versions.iter().any(|version| version.datanet == id.0);
            if !wanted.iter().all(is_there) {
                return Err(unknown());
            }
            versions.retain(|version| wanted.contains(&version.datanet.into()));
        }
        if versions.is_empty() { Err(unknown()) } else { Ok(versions) }
    }
}

/// A version as the library calls it.
pub(super) const fn named(version: &DatanetRef) -> DatanetVersion {
    DatanetVersion { datanet: version.id.0, version: version.version }
}

/// Shelves of one encoder: another makes other vectors.
fn shelves(library: &Path, encoder: &Encoder) -> PathBuf {
    library.join(hex::encode(&encoder.hash()[..8]))
}

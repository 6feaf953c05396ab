//! Span indexes that batches are held against: as this node has them, or as it rebuilds them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use alloy::primitives::{B256, hex};
use attribution::spans::{Check, SpanIndex, proof::ShardCommitment};
use inference::tokenizer::Tokenizer;
use tracing::{info, warn};

use super::published::Rows;
use crate::{
    Error, Result,
    catalog::{ModelManifest, SPANS_FOLDER, base_hash},
    factory::write_spans,
    registry::{ModelView, Registry},
    worker::blocking,
};

/// Where span indexes come from.
#[derive(Clone, Debug, Default)]
pub struct SpanFiles {
    /// Folder of the base model whose tokenizer makes rows tokens; without it nothing is rebuilt.
    pub base: Option<PathBuf>,
    /// Model directories, whose span indexes are taken where they are the published ones.
    pub models: Vec<PathBuf>,
    /// Directories of Datanets, whose rows indexes are rebuilt from.
    pub datanets: Vec<PathBuf>,
    /// Where rebuilt indexes are kept; it may be lost at any time.
    pub folder: PathBuf,
}

/// A span index with what the chain knows of it.
#[derive(Debug)]
pub(super) struct Corpus {
    pub(super) index: SpanIndex,
    pub(super) commitment: ShardCommitment,
}

/// Finds span indexes, and keeps them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Corpora {
    registry: Registry,
    files: Arc<SpanFiles>,
    /// Content hash of the base, once it was needed.
    base: Arc<OnceLock<B256>>,
    kept: Arc<Mutex<BTreeMap<B256, Arc<Corpus>>>>,
    /// Held while an index is built: builders must not share a folder.
    building: Arc<Mutex<()>>,
}

impl Corpora {
    /// Span indexes from these files.
    pub fn new(registry: Registry, files: SpanFiles) -> Self {
        Self {
            registry,
            files: Arc::new(files),
            base: Arc::default(),
            kept: Arc::default(),
            building: Arc::default(),
        }
    }

    /// The index that a model has published; `None` if it has none, or nothing here is it or gives
    /// it. A failure of files is told of and is `None` too: other rules must not wait for it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) async fn of(&self, model: B256) -> Result<Option<Arc<Corpus>>> {
        let Some(published) = self.registry.span_index(model)? else { return Ok(None) };
        let hash = published.commitment_hash();
        if let Some(corpus) = self.lock().get(&hash) {
            return Ok(Some(Arc::clone(corpus)));
        }
        let corpora = self.clone();
        let found = blocking(move || corpora.find(model, hash)).await;
        let corpus = match found {
            Ok(Some(corpus)) => Arc::new(corpus),
            Ok(None) => {
                warn!(target: "node::challenger", %model, %hash, "its span index is not here");
                return Ok(None);
            }
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => {
                warn!(target: "node::challenger", %model, %hash, %error, "no span index");
                return Ok(None);
            }
        };
        self.lock().insert(hash, Arc::clone(&corpus));
        Ok(Some(corpus))
    }

    fn find(&self, model: B256, hash: B256) -> Result<Option<Corpus>> {
        if let Some(corpus) = self.files_of(model, hash)? {
            return Ok(Some(corpus));
        }
        let rebuilt = self.rebuild(model)?;
        Ok(rebuilt.filter(|rebuilt| hash == B256::new(rebuilt.commitment.hash())))
    }

    /// The published index from a model directory; files that are none are told of and passed over.
    pub(super) fn files_of(&self, model: B256, hash: B256) -> Result<Option<Corpus>> {
        for dir in &self.files.models {
            let is_its = ModelManifest::load(dir).is_ok_and(|of| of.model_id == model);
            if !is_its {
                continue;
            }
            let corpus = Corpus::open(SpanIndex::open(&dir.join(SPANS_FOLDER), Check::Header));
            let corpus = match corpus {
                Ok(corpus) => corpus,
                Err(error) => {
                    warn!(target: "node::challenger", %model, %error, "span index not opened");
                    continue;
                }
            };
            if hash == B256::new(corpus.commitment.hash()) {
                return Ok(Some(corpus));
            }
        }
        Ok(None)
    }

    /// The index that the model's rows give; `None` if not all of them are here, or it is of another
    /// base.
    pub(super) fn rebuild(&self, id: B256) -> Result<Option<Corpus>> {
        let Some(base) = &self.files.base else { return Ok(None) };
        let Some(model) = self.registry.model(id)? else { return Ok(None) };
        if !self.is_of_base(&model, base)? {
            return Ok(None);
        }
        let rows = self.rows(&model)?;
        let Some(datanets) = rows.all() else { return Ok(None) };
        let path = self.files.folder.join(hex::encode(id));
        // Files of an index that was read before stay readable when they are replaced.
        let _turn = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(&self.files.folder).map_err(Error::io(&self.files.folder))?;
        let index =
            write_spans(&Tokenizer::load(base)?, &path, &datanets, rows.earners(), &mut |_| {})?;
        let corpus = Corpus::of(index)?;
        info!(target: "node::challenger", model = %id, tokens = corpus.commitment.tokens, "span index rebuilt");
        Ok(Some(corpus))
    }

    /// The rows of a model's Datanets, as far as they are here.
    pub(super) fn rows(&self, model: &ModelView) -> Result<Rows> {
        Rows::load(&self.registry, &self.files.datanets, &model.datanets)
    }

    fn is_of_base(&self, model: &ModelView, base: &std::path::Path) -> Result<bool> {
        let Some(registered) = self.registry.model(model.base)? else { return Ok(false) };
        let own = match self.base.get() {
            Some(own) => *own,
            None => *self.base.get_or_init({
                let hash = base_hash(base)?;
                move || hash
            }),
        };
        Ok(registered.content_hash == own)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<B256, Arc<Corpus>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Corpus {
    fn open(index: attribution::Result<SpanIndex>) -> Result<Self> {
        Self::of(index.map_err(|error| Error::Attribution(error.to_string()))?)
    }

    fn of(index: SpanIndex) -> Result<Self> {
        let commitment = match index.header().shards.len() {
            1 => index.commit(0).map(|shard| shard.commitment()),
            _ => None,
        };
        let commitment =
            commitment.ok_or_else(|| Error::Attribution("a span index of one shard".into()))?;
        Ok(Self { index, commitment })
    }
}

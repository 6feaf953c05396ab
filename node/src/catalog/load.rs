//! Strict loading of one model directory.

use std::{path::Path, sync::Arc};

use alloy::primitives::B256;
use attribution::estimate::{InfluenceIndex, SiteShape};
use inference::{engine::EngineHandle, train::TrainableLora};

use super::{
    INDEX_FILE, ModelManifest, SPANS_FOLDER, ServedAdapter, ServedModel, ServedSpans, adapter_hash,
    file_hash, manifest::refused,
};
use crate::{
    Error, Result,
    registry::{ModelView, Registry},
};

/// What every directory is loaded against.
pub(super) struct Loader<'a> {
    pub(super) engine: &'a EngineHandle,
    pub(super) registry: &'a Registry,
    pub(super) base_hash: B256,
}

impl Loader<'_> {
    /// The base model, found on the chain by its content.
    pub(super) fn base(&self) -> Result<ServedModel> {
        let registered = self
            .registry
            .models()?
            .into_iter()
            .find(|model| model.base.is_zero() && model.content_hash == self.base_hash);
        let view = registered.ok_or_else(|| {
            Error::Config(format!("no base model with content {} is registered", self.base_hash))
        })?;
        let decoder = Arc::clone(self.engine.decoder());
        Ok(ServedModel { id: view.id, name: view.name, adapter: None, spans: None, decoder })
    }

    /// A model directory whose every file is what the chain has registered.
    pub(super) fn model(&self, dir: &Path) -> Result<ServedModel> {
        let manifest = ModelManifest::load(dir)?;
        let view = self.registry.model(manifest.model_id)?.ok_or_else(|| {
            refused(dir, format!("model {} is not registered", manifest.model_id))
        })?;
        let files = Files { adapter: adapter_hash(dir)?, index: file_hash(&dir.join(INDEX_FILE))? };
        check_registration(&manifest, &view, &files).map_err(|reason| refused(dir, reason))?;
        self.check_base(&view).map_err(|reason| refused(dir, reason))?;
        if self.registry.index(view.id)?.is_some_and(|index| index.struck) {
            return Err(refused(dir, "its influence index was struck: it never earns"));
        }
        let index = InfluenceIndex::read(&dir.join(INDEX_FILE))
            .map_err(|error| refused(dir, format!("{INDEX_FILE}: {error}")))?;
        if B256::from(index.root()) != view.index_root {
            let root = B256::from(index.root());
            return Err(refused(dir, differs("index root", view.index_root, root)));
        }
        let info = self.engine.load_adapter(dir).map_err(|error| refused(dir, error))?;
        if B256::from(info.hash.0) != files.adapter {
            return Err(refused(dir, "the adapter changed while it was loaded"));
        }
        let adapter = self.engine.adapter(info.hash)?;
        let lora = TrainableLora::from_weights(self.engine.decoder(), &adapter.weights())?;
        check_shapes(&lora, &index).map_err(|reason| refused(dir, reason))?;
        self.check_earners(&index).map_err(|reason| refused(dir, reason))?;
        let spans = self.spans(dir, &manifest, &index)?;
        let adapter = Some(ServedAdapter { hash: info.hash, lora, index });
        let decoder = Arc::clone(self.engine.decoder());
        Ok(ServedModel { id: view.id, name: view.name, adapter, spans, decoder })
    }

    /// The model's span index. A published one must be here, and be that one: without it nobody can
    /// write the records that the chain expects.
    fn spans(
        &self,
        dir: &Path,
        manifest: &ModelManifest,
        index: &InfluenceIndex,
    ) -> Result<Option<ServedSpans>> {
        let published = self.registry.span_index(manifest.model_id)?;
        if published.as_ref().is_some_and(|published| published.struck) {
            tracing::warn!(target: "node::catalog", dir = %dir.display(), "its span index was struck: no span is paid");
            return Ok(None);
        }
        let published = published.map(|published| published.commitment_hash());
        let Some(named) = manifest.span_hash else {
            return match published {
                None => Ok(None),
                Some(hash) => {
                    let why = format!("span index {hash} is published, model.json names none");
                    Err(refused(dir, why))
                }
            };
        };
        let spans = ServedSpans::open(&dir.join(SPANS_FOLDER), self.engine.tokenizer())
            .map_err(|error| refused(dir, format!("{SPANS_FOLDER}: {error}")))?;
        for (what, hash) in [("in model.json", Some(named)), ("published", published)] {
            if let Some(hash) = hash.filter(|&hash| hash != spans.hash()) {
                return Err(refused(
                    dir,
                    format!("span index is {}, {hash} is {what}", spans.hash()),
                ));
            }
        }
        spans.check_holders(index).map_err(|reason| refused(dir, reason))?;
        Ok(Some(spans))
    }

    fn check_base(&self, view: &ModelView) -> std::result::Result<(), String> {
        let base = self.registry.model(view.base).map_err(|error| error.to_string())?;
        match base {
            Some(base) if base.content_hash == self.base_hash => Ok(()),
            Some(base) => Err(differs("base content", base.content_hash, self.base_hash)),
            None => Err(format!("its base {} is not registered", view.base)),
        }
    }

    /// A call credits whoever the index names, so they must all exist.
    fn check_earners(&self, index: &InfluenceIndex) -> std::result::Result<(), String> {
        for contributor in index.contributors() {
            let known = self.registry.earner(contributor.earner).map_err(|e| e.to_string())?;
            if known.is_none() {
                return Err(format!("its contributor {} is no earner", contributor.earner));
            }
        }
        Ok(())
    }
}

struct Files {
    adapter: B256,
    index: B256,
}

fn check_registration(
    manifest: &ModelManifest,
    view: &ModelView,
    files: &Files,
) -> std::result::Result<(), String> {
    let hashes = [
        ("adapter", view.content_hash, files.adapter),
        ("adapter in model.json", view.content_hash, manifest.adapter_hash),
        ("index", view.index_hash, files.index),
        ("index in model.json", view.index_hash, manifest.index_hash),
        ("index root in model.json", view.index_root, manifest.index_root),
        ("base in model.json", view.base, manifest.base_id),
    ];
    for (what, registered, found) in hashes {
        if registered != found {
            return Err(differs(what, registered, found));
        }
    }
    if manifest.name != view.name {
        return Err(format!("name is {:?}, {:?} is registered", manifest.name, view.name));
    }
    let same = manifest.datanets.len() == view.datanets.len()
        && manifest
            .datanets
            .iter()
            .zip(&view.datanets)
            .all(|(ours, theirs)| (ours.id, ours.version) == (theirs.id, theirs.version));
    if same { Ok(()) } else { Err("its datanets are not the registered ones".into()) }
}

/// The index must take the gradients that this adapter gives.
fn check_shapes(lora: &TrainableLora, index: &InfluenceIndex) -> std::result::Result<(), String> {
    let shapes = crate::factory::site_shapes(lora).map_err(|error| error.to_string())?;
    let wanted: &[SiteShape] = index.projector().shapes();
    if shapes == wanted {
        return Ok(());
    }
    Err(format!(
        "index has {} sites of other shapes than the adapter's {}",
        wanted.len(),
        shapes.len()
    ))
}

fn differs(what: &str, registered: B256, found: B256) -> String {
    format!("{what} is {found}, {registered} is registered")
}

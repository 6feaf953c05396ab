//! The models on disk that this node serves, each checked against its registration on the chain.

mod load;
mod manifest;
mod rows;
mod spans;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::B256;
use attribution::{estimate::InfluenceIndex, settle::ModelId};
use inference::{
    adapter::{AdapterHash, AdapterSet},
    engine::EngineHandle,
    model::Decoder,
    tokenizer::Tokenizer,
    train::TrainableLora,
};

pub use manifest::{
    DatanetVersion, INDEX_FILE, MANIFEST_FILE, ModelManifest, adapter_hash, base_hash, file_hash,
};
pub use rows::{StoredRow, load_rows, row};
pub use spans::{FoundSpan, SPANS_FOLDER, ServedSpans};

use crate::{Error, Result, batcher::Weights, registry::Registry, serving::Grammars};

/// An adapter with its influence index.
#[derive(Debug)]
pub struct ServedAdapter {
    /// What the engine knows it by.
    pub hash: AdapterHash,
    /// The weights once more, as gradients are taken of them.
    pub lora: TrainableLora,
    /// Whose rows taught it what.
    pub index: InfluenceIndex,
}

/// A model that can be called.
#[derive(Debug)]
pub struct ServedModel {
    /// On-chain id.
    pub id: B256,
    /// Registered name.
    pub name: String,
    /// Its adapter; none for the base alone.
    pub adapter: Option<ServedAdapter>,
    /// Its span index, if it has one.
    pub spans: Option<ServedSpans>,
    /// The decoder that all models share.
    pub decoder: Arc<Decoder>,
}

impl ServedModel {
    /// Whether a request means this model by a name: its own, its id, or its adapter's hash.
    pub fn is_called(&self, name: &str) -> bool {
        let adapter = self.adapter.as_ref().map(|adapter| B256::new(adapter.hash.0));
        let hash: Option<B256> = name.starts_with("0x").then(|| name.parse().ok()).flatten();
        name == self.name || hash.is_some_and(|hash| hash == self.id || Some(hash) == adapter)
    }

    /// Whether its span index is the one with this hash.
    pub fn has_spans(&self, hash: B256) -> bool {
        self.spans.as_ref().is_some_and(|spans| spans.hash() == hash)
    }

    /// What the engine is asked for.
    pub fn adapter_set(&self) -> AdapterSet {
        self.adapter.as_ref().map_or_else(AdapterSet::base, |served| AdapterSet::one(served.hash))
    }
}

/// The base model and its adapters. Fixed for the life of the process.
#[derive(Debug)]
pub struct Catalog {
    tokenizer: Arc<Tokenizer>,
    vocab: usize,
    grammars: Option<Grammars>,
    max_positions: usize,
    longest_token: usize,
    models: Vec<Arc<ServedModel>>,
    refused: BTreeMap<PathBuf, String>,
}

impl Catalog {
    /// Loads every model directory into an engine that runs the base model in `base`. A directory
    /// that is damaged or is not what the chain has registered is left out, with its reason in
    /// [`Self::refused`].
    ///
    /// # Errors
    /// [`Error::Io`] if the base model cannot be read, [`Error::Config`] if it is not a registered
    /// one or no model is left to serve.
    pub fn load(
        engine: &EngineHandle,
        base: &Path,
        dirs: &[PathBuf],
        registry: &Registry,
    ) -> Result<Self> {
        let loader = load::Loader { engine, registry, base_hash: base_hash(base)? };
        let mut models = vec![Arc::new(loader.base()?)];
        let mut refused = BTreeMap::new();
        for dir in dirs {
            let model = loader.model(dir).and_then(|model| unused(&models, model, dir));
            match model {
                Ok(model) => models.push(Arc::new(model)),
                Err(error) => {
                    tracing::error!(target: "node::catalog", dir = %dir.display(), %error, "refused");
                    refused.insert(dir.clone(), error.to_string());
                }
            }
        }
        if models.len() == 1 && !dirs.is_empty() {
            let reasons: Vec<_> = refused.into_values().collect();
            return Err(Error::Config(format!("no model can be served: {}", reasons.join("; "))));
        }
        let tokenizer = Arc::clone(engine.tokenizer());
        let spec = engine.decoder().spec();
        let (vocab, max_positions) = (spec.vocab_size, spec.max_positions);
        let grammars = Grammars::new(&tokenizer, spec.eos.first().copied())
            .inspect_err(|error| tracing::warn!(target: "node::catalog", %error, "no JSON mode"))
            .ok();
        let longest_token = longest_token(&tokenizer);
        Ok(Self { tokenizer, vocab, grammars, max_positions, longest_token, models, refused })
    }

    /// The model with this id (`0x` and 64 hex digits) or name.
    pub fn find(&self, name: &str) -> Option<Arc<ServedModel>> {
        let id: Option<B256> = name.starts_with("0x").then(|| name.parse().ok()).flatten();
        self.models.iter().find(|model| Some(model.id) == id || model.name == name).cloned()
    }

    /// The model that `auto` means: the first one in the configuration's order that `can_earn`, or the
    /// base if none does. With one model it is that one.
    pub fn auto(&self, can_earn: impl Fn(&ServedModel) -> bool) -> Arc<ServedModel> {
        let found = self.models.iter().skip(1).find(|model| can_earn(model));
        Arc::clone(found.unwrap_or(&self.models[0]))
    }

    /// The model whose adapter this is.
    pub fn with_adapter(&self, hash: AdapterHash) -> Option<Arc<ServedModel>> {
        let is_it = |model: &&Arc<ServedModel>| {
            model.adapter.as_ref().is_some_and(|adapter| adapter.hash == hash)
        };
        self.models.iter().find(is_it).cloned()
    }

    /// All models, the base first.
    pub fn models(&self) -> &[Arc<ServedModel>] {
        &self.models
    }

    /// Directories that were left out, and why.
    pub const fn refused(&self) -> &BTreeMap<PathBuf, String> {
        &self.refused
    }

    /// The base model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Token ids that the model knows.
    pub const fn vocab(&self) -> usize {
        self.vocab
    }

    /// What makes answers JSON; none if the model's tokens do not allow it.
    pub const fn grammars(&self) -> Option<&Grammars> {
        self.grammars.as_ref()
    }

    /// Longest sequence, in tokens.
    pub const fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Most bytes that one token can add to an answer's text.
    pub const fn longest_token(&self) -> usize {
        self.longest_token
    }

    /// Accepted rows of each model's contributors: the weights of the flat rule.
    pub fn weights(&self) -> Weights {
        let adapters = self.models.iter().filter_map(|model| {
            let index = &model.adapter.as_ref()?.index;
            let rows = index.contributors().iter().map(|c| (c.earner, c.accepted_rows));
            Some((ModelId(model.id.0), rows.collect()))
        });
        adapters.collect()
    }
}

/// Broken bytes become U+FFFD, so each byte that is not ASCII, which alone is never broken, may come
/// out as the three of that character.
fn longest_token(tokenizer: &Tokenizer) -> usize {
    let written = |id: usize| {
        let bytes = tokenizer.token_bytes(u32::try_from(id).unwrap_or(u32::MAX));
        bytes.iter().map(|byte| if byte.is_ascii() { 1 } else { 3 }).sum::<usize>()
    };
    (0..tokenizer.vocab_size()).map(written).max().unwrap_or(0).max(1)
}

fn unused(models: &[Arc<ServedModel>], model: ServedModel, dir: &Path) -> Result<ServedModel> {
    match models.iter().find(|other| other.id == model.id || other.name == model.name) {
        Some(other) => {
            let reason = format!("its id or name {:?} is already served", other.name);
            Err(Error::Catalog { dir: dir.to_owned(), reason })
        }
        None => Ok(model),
    }
}

//! Merged adapters in the store.

use std::sync::{Arc, Weak};

use super::{AdapterStore, loader::Shared};
use crate::{
    Error, Result,
    adapter::{
        AdapterFiles, AdapterHash, AdapterLimits, AdapterSet, OwnerKey, Recipe, Registration,
        Source,
        merge::{leaves, merge, peft_files},
    },
};

/// Makes a merged adapter again when it is in no nearer place.
#[derive(Debug)]
struct MergeSource {
    recipe: Recipe,
    /// The store that holds this source.
    shared: Weak<Shared>,
}

impl Source for MergeSource {
    fn fetch(&self, _: &AdapterLimits) -> Result<AdapterFiles> {
        self.shared.upgrade().ok_or(Error::Stopped)?.merge(&self.recipe)
    }
}

impl Shared {
    fn merge(&self, recipe: &Recipe) -> Result<AdapterFiles> {
        let part = |&(hash, weight): &(AdapterHash, f32)| {
            let host = self.state().host.get(&hash);
            let host = host.map_or_else(|| self.fetch(hash).map(Arc::new), Ok)?;
            Ok((host.pack(None)?.weights(), weight))
        };
        let parts = recipe.parts().parts().iter().map(part).collect::<Result<Vec<_>>>()?;
        peft_files(&merge(&parts, recipe.method())?, &self.sites)
    }
}

impl AdapterStore {
    /// Makes the adapter of a recipe, on the caller's thread, and registers it: under `name`, if one
    /// is given, for the holder of `key` alone if a part is not everybody's or `key` is given, else
    /// for everybody. The same recipe again is looked up.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`] if the holder of `key` may not use a part; as
    /// [`merge`](crate::adapter::merge) and [`Self::register`].
    pub fn merge(
        &self,
        recipe: &Recipe,
        name: Option<String>,
        key: Option<OwnerKey>,
    ) -> Result<AdapterHash> {
        {
            let mut state = self.state();
            let hidden = |hash: &AdapterHash| !state.registry.is_visible(hash, key.as_ref());
            let mut parts = recipe.parts().parts().iter().map(|(hash, _)| hash);
            if let Some(hash) = parts.find(|hash| hidden(hash)) {
                return Err(Error::UnknownAdapter(hash.to_string()));
            }
            if let Some(hash) = state.registry.merged(recipe).filter(|_| name.is_none()) {
                state.registry.grant(&hash, key);
                return Ok(hash);
            }
        }
        let files = self.shared().merge(recipe)?;
        let hash = files.hash();
        let shared = Arc::downgrade(&self.handle.0);
        let source = Arc::new(MergeSource { recipe: recipe.clone(), shared });
        let registration = Registration { name, owner: key, source, hash: None };
        self.admit(files, registration)?;
        self.state().registry.set_recipe(&hash, recipe);
        Ok(hash)
    }

    /// What an adapter was merged from, if it was.
    pub fn recipe(&self, hash: &AdapterHash) -> Option<Recipe> {
        self.state().registry.get(hash)?.recipe.as_deref().cloned()
    }

    /// The adapters that answer when `set` does, with the weights that they have in it, in order of
    /// hash: merged ones are taken apart. What payouts are shared by.
    pub fn credits(&self, set: &AdapterSet) -> Vec<(AdapterHash, f32)> {
        let state = self.state();
        leaves(set, &|hash| state.registry.get(hash)?.recipe.as_deref().cloned())
    }
}

//! Who registered which adapter under which name: the tier that only knows of adapters.

use std::{collections::HashMap, fmt, sync::Arc, time::Instant};

use super::{AdapterFiles, AdapterHash, Recipe, Source};
use crate::{Error, Result};

/// Longest name of an adapter in bytes.
const MAX_NAME: usize = 256;

/// Who a private adapter belongs to: a hash of the key that the owner shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerKey(pub [u8; 32]);

impl fmt::Debug for OwnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerKey(..)")
    }
}

/// An adapter to be made known.
#[derive(Clone, Debug)]
pub struct Registration {
    /// A name for it, beside its hash.
    pub name: Option<String>,
    /// Its only user; without one everybody may use it.
    pub owner: Option<OwnerKey>,
    /// Where it is read from.
    pub source: Arc<dyn Source>,
    /// What its content must be. Without it, the source is read at once to find out.
    pub hash: Option<AdapterHash>,
}

/// Digest that is cheaper than an [`AdapterHash`], of content that had the hash once.
pub(super) type Digest = [u8; 32];

/// SHA-256 of both files with the first one's length: processors have instructions for it.
pub(super) fn digest(files: &AdapterFiles) -> Digest {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    hasher.update((files.config.len() as u64).to_le_bytes());
    hasher.update(&files.config);
    hasher.update(&files.weights);
    hasher.finalize().into()
}

/// What is known of an adapter that is not in memory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) source: Arc<dyn Source>,
    pub(super) digest: Option<Digest>,
    /// Largest rank and bytes in a slot, once they are known.
    pub(super) shape: Option<(u32, u64)>,
    /// When it could not be read, and why.
    pub(super) failure: Option<Box<(Instant, String)>>,
    /// What it was merged from.
    pub(super) recipe: Option<Box<Recipe>>,
    /// Who may use it.
    grants: Grants,
}

/// Users of an adapter. One owner is the rule, so a list is kept only beyond that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grants {
    public: bool,
    owner: Option<Box<OwnerKey>>,
    more: Vec<OwnerKey>,
}

impl Grants {
    fn allows(&self, key: Option<&OwnerKey>) -> bool {
        self.public || key.is_some_and(|key| self.owns(key))
    }

    fn owns(&self, key: &OwnerKey) -> bool {
        self.owner.as_deref() == Some(key) || self.more.contains(key)
    }

    fn add(&mut self, owner: Option<OwnerKey>) {
        match owner {
            None => self.public = true,
            Some(key) if self.owns(&key) => {}
            Some(key) if self.owner.is_none() => self.owner = Some(Box::new(key)),
            Some(key) => self.more.push(key),
        }
    }

    fn remove(&mut self, owner: Option<&OwnerKey>) -> bool {
        match owner {
            None => std::mem::take(&mut self.public),
            Some(key) if self.owner.as_deref() == Some(key) => {
                self.owner = self.more.pop().map(Box::new);
                true
            }
            Some(key) => {
                let before = self.more.len();
                self.more.retain(|other| other != key);
                self.more.len() < before
            }
        }
    }

    const fn is_empty(&self) -> bool {
        !self.public && self.owner.is_none()
    }
}

/// All registered adapters. A name belongs to its owner's names or to everybody's; an owner's own
/// come first.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: HashMap<AdapterHash, Entry>,
    names: HashMap<(Option<OwnerKey>, Box<str>), AdapterHash>,
    /// Merged adapters by recipe.
    merges: HashMap<[u8; 32], AdapterHash>,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, hash: &AdapterHash) -> Option<&Entry> {
        self.entries.get(hash)
    }

    pub(super) fn get_mut(&mut self, hash: &AdapterHash) -> Option<&mut Entry> {
        self.entries.get_mut(hash)
    }

    /// Makes `hash` known. A name that meant another adapter means this one from now on.
    pub(super) fn insert(
        &mut self,
        hash: AdapterHash,
        registration: Registration,
        digest: Option<Digest>,
        max: usize,
    ) -> Result<()> {
        let Registration { name, owner, source, .. } = registration;
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
            return Err(Error::Adapter(format!("a name must have 1 to {MAX_NAME} bytes")));
        }
        if self.entries.len() >= max && !self.entries.contains_key(&hash) {
            return Err(Error::Adapter(format!("{max} adapters are registered already")));
        }
        if name.is_some() && self.names.len() >= max.saturating_mul(2) {
            return Err(Error::Adapter(format!(
                "adapters have {} names already",
                self.names.len()
            )));
        }
        let entry = self.entries.entry(hash).or_insert_with(|| Entry {
            source: Arc::clone(&source),
            digest,
            shape: None,
            failure: None,
            recipe: None,
            grants: Grants { public: false, owner: None, more: Vec::new() },
        });
        // The newest place is the likeliest to be there still.
        entry.source = source;
        entry.digest = entry.digest.or(digest);
        entry.failure = None;
        entry.grants.add(owner);
        if let Some(name) = name {
            self.names.insert((owner, name.into()), hash);
        }
        Ok(())
    }

    /// The adapter that `name` (or a hash in hex) means for the holder of `key`. The work is the same
    /// whether an adapter of others has that name or none.
    pub(super) fn resolve(&self, name: &str, key: Option<&OwnerKey>) -> Result<AdapterHash> {
        let own = key.and_then(|key| self.names.get(&(Some(*key), name.into())));
        let everybodys = self.names.get(&(None, name.into()));
        let by_hash = AdapterHash::parse(name).filter(|hash| self.is_visible(hash, key));
        own.or(everybodys)
            .copied()
            .or(by_hash)
            .ok_or_else(|| Error::UnknownAdapter(name.chars().take(MAX_NAME).collect()))
    }

    /// The adapter that a recipe gave.
    pub(super) fn merged(&self, recipe: &Recipe) -> Option<AdapterHash> {
        self.merges.get(&recipe.id()).copied()
    }

    /// Notes what a registered adapter was merged from.
    pub(super) fn set_recipe(&mut self, hash: &AdapterHash, recipe: &Recipe) {
        if let Some(entry) = self.entries.get_mut(hash) {
            entry.recipe = Some(Box::new(recipe.clone()));
            self.merges.insert(recipe.id(), *hash);
        }
    }

    /// Lets `owner` (or everybody) use a registered adapter.
    pub(super) fn grant(&mut self, hash: &AdapterHash, owner: Option<OwnerKey>) {
        if let Some(entry) = self.entries.get_mut(hash) {
            entry.grants.add(owner);
        }
    }

    fn drop_entry(&mut self, hash: &AdapterHash) -> Option<Entry> {
        let entry = self.entries.remove(hash)?;
        if let Some(recipe) = &entry.recipe {
            self.merges.remove(&recipe.id());
        }
        Some(entry)
    }

    pub(super) fn is_visible(&self, hash: &AdapterHash, key: Option<&OwnerKey>) -> bool {
        self.entries.get(hash).is_some_and(|entry| entry.grants.allows(key))
    }

    /// Withdraws what `owner` registered. True if nobody else registered the adapter.
    pub(super) fn withdraw(
        &mut self,
        hash: &AdapterHash,
        owner: Option<&OwnerKey>,
    ) -> Result<bool> {
        let unknown = || Error::UnknownAdapter(hash.to_string());
        let entry = self.entries.get_mut(hash).ok_or_else(unknown)?;
        if !entry.grants.remove(owner) {
            return Err(unknown());
        }
        let last = entry.grants.is_empty();
        if last {
            self.drop_entry(hash);
        }
        self.names.retain(|(who, _), named| named != hash || who.as_ref() != owner);
        Ok(last)
    }

    /// Withdraws an adapter for everybody.
    pub(super) fn remove(&mut self, hash: &AdapterHash) -> Result<()> {
        let unknown = || Error::UnknownAdapter(hash.to_string());
        self.drop_entry(hash).ok_or_else(unknown)?;
        self.names.retain(|_, named| named != hash);
        Ok(())
    }

    /// The adapters that the holder of `key` may use, with their names, in order of hash.
    pub(super) fn list(&self, key: Option<&OwnerKey>) -> Vec<(AdapterHash, Vec<String>, &Entry)> {
        let visible = self.entries.iter().filter(|(_, entry)| entry.grants.allows(key));
        let mut list: HashMap<AdapterHash, (Vec<String>, &Entry)> =
            visible.map(|(hash, entry)| (*hash, (Vec::new(), entry))).collect();
        for ((owner, name), hash) in &self.names {
            if (owner.is_none() || owner.as_ref() == key)
                && let Some((names, _)) = list.get_mut(hash)
            {
                names.push(name.to_string());
            }
        }
        let mut list: Vec<_> =
            list.into_iter().map(|(hash, (names, entry))| (hash, names, entry)).collect();
        list.sort_by_key(|(hash, ..)| *hash);
        list.iter_mut().for_each(|(_, names, _)| names.sort());
        list
    }
}

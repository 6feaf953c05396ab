//! Bearer keys: who asks, whose channel pays for it, and what else it may do.
//!
//! Whoever only has a key signs nothing: the node holds the key of a payer and signs the vouchers of
//! that payer's channel for its callers. So each call is paid and settled as any other is.

mod budget;
mod purse;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use alloy::primitives::{Address, B256};
use inference::adapter::OwnerKey;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

pub use self::{
    budget::{Budget, Spending},
    purse::Purse,
};
use crate::{Error, Result, config::KeyConfig, registry::Registry, store::SharedStore};

/// A caller that the operator knows.
#[derive(Debug)]
pub struct ApiKey {
    /// Its name, which is shown.
    pub name: String,
    /// Whether it may load and unload adapters.
    pub admin: bool,
    /// Whether it may use adapters that no record can name, without paying.
    pub unrecorded: bool,
    /// Private Datanets whose rows it may see.
    pub datanets: BTreeSet<B256>,
    /// What pays for its calls; without one they need vouchers of their own.
    pub purse: Option<Arc<Purse>>,
    /// What its calls may cost.
    pub budget: Budget,
    digest: [u8; 32],
}

impl ApiKey {
    /// What private adapters of the caller are registered under.
    pub const fn owner(&self) -> OwnerKey {
        OwnerKey(self.digest)
    }

    /// Names the caller to the engine.
    pub fn tenant(&self) -> u64 {
        let [head, ..] = self.digest.as_chunks::<8>().0 else { return 0 };
        u64::from_be_bytes(*head)
    }
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    key: Option<Arc<ApiKey>>,
}

impl Caller {
    /// The key that was shown.
    pub fn key(&self) -> Option<&ApiKey> {
        self.key.as_deref()
    }

    /// What the caller's private adapters are registered under.
    pub fn owner(&self) -> Option<OwnerKey> {
        self.key().map(ApiKey::owner)
    }

    /// Private Datanets whose rows the caller may see.
    pub fn granted(&self) -> BTreeSet<B256> {
        self.key().map(|key| key.datanets.clone()).unwrap_or_default()
    }

    /// Whether the caller may use adapters that no record can name.
    pub fn is_unrecorded(&self) -> bool {
        self.key().is_some_and(|key| key.unrecorded || key.admin)
    }
}

/// All keys. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Arc<[Arc<ApiKey>]>,
}

impl Keys {
    /// The keys of a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if two have the same name or hash, or a hash or a payer's key cannot be read;
    /// [`Error::Store`].
    pub fn new(configs: &[KeyConfig], store: &SharedStore, registry: &Registry) -> Result<Self> {
        let mut purses: HashMap<Address, Arc<Purse>> = HashMap::new();
        let mut keys: Vec<Arc<ApiKey>> = Vec::new();
        for config in configs {
            let digest = config.digest()?;
            if keys.iter().any(|key| key.name == config.name || key.digest == digest) {
                let name = &config.name;
                return Err(Error::Config(format!("the name or hash of key {name:?} comes twice")));
            }
            let purse = config.payer()?.map(|signer| {
                let purse = purses.entry(signer.address());
                Arc::clone(purse.or_insert_with(|| Arc::new(Purse::new(signer, registry.clone()))))
            });
            let limit = config.daily_limit_gwei;
            let budget = Budget::load(Arc::clone(store), &config.name, limit)?;
            let (name, admin, unrecorded) = (config.name.clone(), config.admin, config.unrecorded);
            let datanets = config.datanets.iter().copied().collect();
            let key = ApiKey { name, admin, unrecorded, datanets, purse, budget, digest };
            keys.push(Arc::new(key));
        }
        Ok(Self { keys: keys.into() })
    }

    /// Who shows this key; `None` if nobody's is it. How long it takes tells nothing of the keys.
    pub fn find(&self, key: &[u8]) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let (mut place, mut found) = (0u64, Choice::from(0));
        for (number, key) in (0u64..).zip(self.keys.iter()) {
            let is_it = key.digest.ct_eq(&digest);
            place.conditional_assign(&number, is_it);
            found |= is_it;
        }
        let key = usize::try_from(place).ok().and_then(|place| self.keys.get(place));
        key.filter(|_| found.into()).map(|key| Caller { key: Some(Arc::clone(key)) })
    }

    /// All of them, in the configuration's order.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter().map(|key| &**key)
    }

    /// The key with this name.
    pub fn named(&self, name: &str) -> Option<&ApiKey> {
        self.iter().find(|key| key.name == name)
    }
}

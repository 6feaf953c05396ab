//! Influence indexes as their models' owners published them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::B256;
use attribution::{
    estimate::{ContributorLeaf, sums_bytes},
    settle::{Hash, audit::Contributor, merkle},
};

use crate::{
    Error, Result,
    chain::bindings::{ContributorProof, IndexContributor},
    factory::IndexPublisher,
    registry::Registry,
    worker::blocking,
};

/// Indexes kept in memory.
const KEPT: usize = 16;

/// What disputes need of an index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) dim: usize,
    pub(super) contributors: Vec<Contributor>,
    leaves: Vec<ContributorLeaf>,
    hashes: Vec<Hash>,
    /// `T_c` of each contributor, `(contributors, d)` row-major.
    sums: Vec<i32>,
}

impl Index {
    /// `T_c`, `(d,)`.
    pub(super) fn sums(&self, ordinal: usize) -> &[i32] {
        &self.sums[ordinal * self.dim..][..self.dim]
    }

    /// The bytes of `T_c` that a contributor's leaf has the hash of.
    pub(super) fn sums_bytes(&self, ordinal: usize) -> Vec<u8> {
        sums_bytes(self.sums(ordinal))
    }

    /// A contributor's leaf with its way to the root.
    pub(super) fn proof(&self, ordinal: usize) -> Result<ContributorProof> {
        let leaf = self
            .leaves
            .get(ordinal)
            .ok_or_else(|| Error::Dispute(format!("the index has no contributor {ordinal}")))?;
        let proof = merkle::proof(&self.hashes, ordinal)?;
        let contributor = IndexContributor {
            ordinal: leaf.ordinal,
            earner: leaf.earner.0,
            acceptedRows: leaf.root.count,
            sumsHash: leaf.root.sums_hash.into(),
            left: leaf.root.left.into(),
            right: leaf.root.right.into(),
        };
        Ok(ContributorProof { contributor, proof: proof.into_iter().map(B256::from).collect() })
    }
}

/// Reads published indexes and keeps the last ones. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Indexes {
    registry: Registry,
    publisher: IndexPublisher,
    kept: Arc<Mutex<BTreeMap<B256, Arc<Index>>>>,
}

impl Indexes {
    /// Indexes that `publisher` reads from data availability.
    pub fn new(registry: Registry, publisher: IndexPublisher) -> Self {
        Self { registry, publisher, kept: Arc::default() }
    }

    /// A model's index; `None` for one that has none, or none published.
    ///
    /// # Errors
    /// [`Error::Availability`] if it cannot be read or is not what is registered.
    pub(super) async fn of(&self, model: B256) -> Result<Option<Arc<Index>>> {
        if let Some(index) = self.lock().get(&model) {
            return Ok(Some(Arc::clone(index)));
        }
        let (Some(view), Some(known)) = (self.registry.index(model)?, self.registry.model(model)?)
        else {
            return Ok(None);
        };
        let certificates: Vec<_> = view.certificates.into_iter().map(Into::into).collect();
        let root = known.index_root;
        let published = self.publisher.read(&view.blobs, &certificates, view.symbols, root).await?;
        let index = Arc::new(blocking(move || Ok(Index::new(&published))).await?);
        let mut kept = self.lock();
        while kept.len() >= KEPT {
            kept.pop_first();
        }
        kept.insert(model, Arc::clone(&index));
        Ok(Some(index))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<B256, Arc<Index>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// What disputes need of a published index.
    pub(super) fn new(published: &attribution::estimate::PublishedIndex) -> Self {
        let leaves = published.leaves();
        let hashes = leaves.iter().map(ContributorLeaf::hash).collect();
        let contributors = leaves
            .iter()
            .map(|leaf| Contributor { earner: leaf.earner, accepted_rows: leaf.root.count })
            .collect();
        let sums = (0..leaves.len())
            .filter_map(|ordinal| published.tree(ordinal))
            .flat_map(|tree| tree.root().1)
            .collect();
        Self { dim: published.dim(), contributors, leaves, hashes, sums }
    }
}

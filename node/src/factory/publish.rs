//! Publishes influence indexes, and reads what others published.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::primitives::{B256, Bytes, U256};
use attribution::{
    estimate::{InfluenceIndex, PublishedIndex},
    settle::SYMBOL_BYTES,
};

use super::{blobs, register::Registrar};
use crate::{
    Error, Result,
    catalog::{INDEX_FILE, ModelManifest},
    chain::{
        ChainClient, Contracts,
        bindings::{G1Point, IInfluenceIndexes, Index},
    },
    committer::Kzg,
    config::Config,
    da::SharedAvailability,
    store::{RocksStore, SharedStore},
    worker::blocking,
};

/// Pause between two looks at the chain's time.
const PAUSE: Duration = Duration::from_secs(1);

/// Where indexes are published: a data-availability layer and the powers to commit with.
#[derive(Clone, Debug)]
pub struct IndexPublisher {
    layer: SharedAvailability,
    kzg: Kzg,
}

/// An index that data availability has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIndex {
    /// Symbols of each blob.
    pub symbols: u32,
    /// Commitments to the blobs, in order.
    pub blobs: Vec<G1Point>,
    /// What shows that each is available.
    pub certificates: Vec<Bytes>,
}

/// An index on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPublication {
    /// Its model.
    pub model: B256,
    /// From when the model may earn (seconds), unless a dispute puts it off.
    pub accepted_at: u64,
    /// Wei that secure it.
    pub bond: U256,
    /// False if it was published before.
    pub is_new: bool,
}

impl IndexPublisher {
    /// Publishes to a layer.
    pub const fn new(layer: SharedAvailability, kzg: Kzg) -> Self {
        Self { layer, kzg }
    }

    /// The layer and the powers of tau that a node with this configuration uses.
    ///
    /// # Errors
    /// [`Error::Config`] if a key or the powers are missing or refused on this chain,
    /// [`Error::Io`] or [`Error::Prover`] if they cannot be read.
    pub async fn open(config: &Config, contracts: &Contracts) -> Result<Self> {
        let chain_id = contracts.deployment.chain_id;
        config.check_deployment(&contracts.deployment)?;
        let data = config.node.data_dir.clone();
        let client = ChainClient::new(&config.chain.rpc_url, None)?;
        let path = data.join("relays");
        let store = || RocksStore::open(&path).map(|store| Arc::new(store) as SharedStore);
        let layer = crate::node::availability(config, contracts, &client, store)?;
        let (srs, page_size) = (config.srs.clone(), contracts.page_size);
        let kzg = blocking(move || {
            Kzg::new(Arc::new(crate::node::powers(&srs, &data, chain_id)?), page_size)
        })
        .await?;
        Ok(Self { layer, kzg })
    }

    /// Puts an index into the layer, and reads it back.
    ///
    /// - `time`: of the chain's head (seconds)
    ///
    /// # Errors
    /// [`Error::Availability`] if the index is too long, the layer fails or it gives back something
    /// else; [`Error::Prover`].
    pub async fn store(&self, index: &InfluenceIndex, time: u64) -> Result<StoredIndex> {
        let blobs = blobs::pack(&index.published(), self.kzg.srs().g1().len())?;
        let symbols = u32::try_from(blobs[0].len() / SYMBOL_BYTES)
            .map_err(|_| Error::Availability(format!("blob of {} bytes", blobs[0].len())))?;
        let mut stored = StoredIndex { symbols, blobs: vec![], certificates: vec![] };
        for blob in &blobs {
            let (kzg, copy) = (self.kzg.clone(), blob.clone());
            let commitment = blocking(move || kzg.commit_blob(copy)).await?;
            stored.blobs.push(commitment);
        }
        stored.certificates = self.certify(&stored.blobs, &blobs, time).await?;
        self.read(&stored.blobs, &stored.certificates, symbols, index.root().into()).await?;
        Ok(stored)
    }

    /// Puts all blobs, and waits until each has its certificate: they are on their way side by side.
    async fn certify(
        &self,
        commitments: &[G1Point],
        blobs: &[Vec<u8>],
        time: u64,
    ) -> Result<Vec<Bytes>> {
        let mut found = vec![None; blobs.len()];
        while let Some(mut i) = found.iter().position(Option::is_none) {
            while i < blobs.len() {
                if found[i].is_none() {
                    match self.layer.put(commitments[i].clone(), blobs[i].clone(), time).await {
                        Err(Error::Pending(_)) => {}
                        certificate => found[i] = Some(certificate?.into()),
                    }
                }
                i += 1;
            }
            if found.contains(&None) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads a published index and rebuilds its tree.
    ///
    /// - `blobs`, `certificates`, `symbols`: as the chain has them
    /// - `root`: the registered one
    ///
    /// # Errors
    /// [`Error::Availability`] if a blob is missing, is not what the commitment is to, or the
    /// content does not give the root: such an index must not be served, and nobody can prove it
    /// wrong.
    pub async fn read(
        &self,
        blobs: &[G1Point],
        certificates: &[Bytes],
        symbols: u32,
        root: B256,
    ) -> Result<PublishedIndex> {
        let mut read = Vec::new();
        for (i, (commitment, certificate)) in blobs.iter().zip(certificates).enumerate() {
            let refuse =
                |why: &str| Err(Error::Availability(format!("blob {i} of the index {why}")));
            let Some(blob) = self.layer.get(commitment.clone(), certificate).await? else {
                return refuse("is not available");
            };
            if blob.len() != symbols as usize * SYMBOL_BYTES {
                return refuse("has another length");
            }
            let (kzg, copy) = (self.kzg.clone(), blob.clone());
            if blocking(move || kzg.commit_blob(copy)).await? != *commitment {
                return refuse("is not what its commitment is to");
            }
            read.push(blob);
        }
        blocking(move || {
            let published = PublishedIndex::from_bytes(&blobs::unpack(&read)?)
                .map_err(|error| Error::Availability(format!("published index: {error}")))?;
            let found = B256::from(published.root());
            if found != root {
                return Err(Error::Availability(format!(
                    "published index has root {found}, {root} is registered"
                )));
            }
            Ok(published)
        })
        .await
    }
}

impl Registrar {
    /// Publishes the index of a registered model with the least bond. One that is published already
    /// is not published again.
    ///
    /// # Errors
    /// [`Error::Catalog`] if the directory is not the registered model or its index was struck,
    /// those of [`IndexPublisher::store`], [`Error::Reverted`] if the account does not own the
    /// model or has not the bond, [`Error::Chain`].
    pub async fn index(&self, dir: &Path, publisher: &IndexPublisher) -> Result<IndexPublication> {
        let damaged = |reason: String| Error::Catalog { dir: dir.to_owned(), reason };
        let manifest = ModelManifest::load(dir)?;
        let model = manifest.model_id;
        let known = self.index_of(model).await?;
        if known.struck {
            return Err(damaged("its influence index was struck: register the model anew".into()));
        }
        if known.acceptedAt != 0 {
            let (accepted_at, bond) = (known.acceptedAt, known.bond);
            return Ok(IndexPublication { model, accepted_at, bond, is_new: false });
        }
        let path = dir.join(INDEX_FILE);
        let index = blocking(move || {
            InfluenceIndex::read(&path).map_err(|error| Error::Attribution(error.to_string()))
        })
        .await?;
        if B256::from(index.root()) != manifest.index_root {
            return Err(damaged("index is not that of its model.json".into()));
        }
        let (to, chain) = (self.deployment().influence_indexes, self.chain());
        let bond = chain.call(to, &IInfluenceIndexes::minBondCall {}).await?;
        let stored = publisher.store(&index, self.head_time().await?).await?;
        let count = |n: usize| u32::try_from(n).map_err(|_| damaged(format!("{n} contributors")));
        let call = IInfluenceIndexes::publishCall {
            model,
            contributors: count(index.contributors().len())?,
            dim: count(index.dim())?,
            blobs: stored.blobs,
            symbols: stored.symbols,
            certificates: stored.certificates,
        };
        chain.send(to, &call, bond).await?;
        let accepted_at = self.index_of(model).await?.acceptedAt;
        Ok(IndexPublication { model, accepted_at, bond, is_new: true })
    }

    /// Waits until calls of a model may earn. `progress` gets the seconds left by the chain's clock,
    /// again and again; a dispute may lengthen them.
    ///
    /// # Errors
    /// [`Error::Config`] if the model's index is not published or was struck, [`Error::Chain`].
    pub async fn earning(&self, model: B256, mut progress: impl FnMut(u64)) -> Result<()> {
        let to = self.deployment().influence_indexes;
        loop {
            let time = self.head_time().await?;
            let call = IInfluenceIndexes::isEarningCall { model, time };
            if self.chain().call(to, &call).await? {
                return Ok(());
            }
            let index = self.index_of(model).await?;
            if index.struck || index.acceptedAt == 0 {
                let why = if index.struck { "was struck" } else { "is not published" };
                return Err(Error::Config(format!("the influence index of model {model} {why}")));
            }
            progress(index.acceptedAt.saturating_sub(time));
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn index_of(&self, model: B256) -> Result<Index> {
        let to = self.deployment().influence_indexes;
        self.chain().call(to, &IInfluenceIndexes::indexOfCall { model }).await
    }

    async fn head_time(&self) -> Result<u64> {
        let head = self.chain().block(None).await?;
        head.map(|head| head.timestamp).ok_or_else(|| Error::Chain("there is no block".into()))
    }
}

//! Puts models on the chain.

use std::path::Path;

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::local::PrivateKeySigner,
    sol_types::SolValue,
};
use attribution::estimate::InfluenceIndex;

use super::publish_spans::committed;
use crate::{
    Error, Result,
    catalog::{DatanetVersion, INDEX_FILE, ModelManifest, adapter_hash, base_hash, file_hash},
    chain::{
        ChainClient, Contracts, Deployment,
        bindings::{
            DatanetVersion as ChainVersion, IDatanetRegistry, IEarnerRegistry, IModelRegistry,
            Price,
        },
    },
    datanet::Datanet,
    registry::Role,
};

/// Name and price of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterSettings {
    /// Its name.
    pub name: String,
    /// Gwei per 1000 prompt tokens.
    pub input_rate: u64,
    /// Gwei per 1000 generated tokens.
    pub output_rate: u64,
    /// Gwei per call.
    pub platform_fee: u64,
}

impl RegisterSettings {
    const fn price(&self) -> Price {
        Price {
            inputRate: self.input_rate,
            outputRate: self.output_rate,
            platformFee: self.platform_fee,
        }
    }
}

/// What a registration gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The id on the chain.
    pub id: B256,
    /// False if it was registered before.
    pub is_new: bool,
}

/// Registers with one account. Every step finds out what is there already, so it can be repeated.
#[derive(Clone, Debug)]
pub struct Registrar {
    chain: ChainClient,
    deployment: Deployment,
    account: Address,
}

impl Registrar {
    /// A registrar on the chain at `rpc_url`.
    ///
    /// # Errors
    /// [`Error::Config`] if the address is not a URL, [`Error::Chain`] if the chain cannot be
    /// reached or is not the deployment's.
    pub async fn connect(
        rpc_url: &str,
        deployment: Deployment,
        signer: PrivateKeySigner,
    ) -> Result<Self> {
        let chain = ChainClient::new(rpc_url, Some(signer.clone()))?;
        let deployment = chain.contracts(deployment).await?.deployment;
        Ok(Self { chain, deployment, account: signer.address() })
    }

    /// The chain that it registers on.
    pub(super) const fn chain(&self) -> &ChainClient {
        &self.chain
    }

    /// Where the contracts are.
    pub(super) const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The contracts and what they were made with.
    ///
    /// # Errors
    /// [`Error::Chain`].
    pub async fn contracts(&self) -> Result<Contracts> {
        self.chain.contracts(self.deployment.clone()).await
    }

    /// The account that owns what is registered.
    pub const fn account(&self) -> Address {
        self.account
    }

    /// Registers the account in a role (contributor or model owner); returns its index.
    ///
    /// # Errors
    /// [`Error::Chain`].
    pub async fn earner(&self, role: Role) -> Result<u32> {
        let to = self.deployment.earner_registry;
        let role = role as u8;
        let ask = IEarnerRegistry::earnerOfCall { account: self.account, role };
        let known = self.chain.call(to, &ask).await?;
        if known != 0 {
            return Ok(known);
        }
        self.chain.send(to, &IEarnerRegistry::registerCall { role }, U256::ZERO).await?;
        self.chain.call(to, &ask).await
    }

    /// Registers the base model in `dir`; its owner becomes a model owner.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Config`] if the directory is not a model, [`Error::Chain`].
    pub async fn base(&self, dir: &Path, settings: &RegisterSettings) -> Result<Registered> {
        let content = base_hash(dir)?;
        if let Some(id) = self.model_with(B256::ZERO, content).await? {
            return Ok(Registered { id, is_new: false });
        }
        self.earner(Role::ModelOwner).await?;
        let (name, price) = (settings.name.clone(), settings.price());
        let call = IModelRegistry::registerBaseCall { contentHash: content, name, price };
        self.chain.send(self.deployment.model_registry, &call, U256::ZERO).await?;
        Ok(Registered { id: model_id(&self.deployment, B256::ZERO, content), is_new: true })
    }

    /// Registers the adapter and index in `dir` on a registered base, and writes its `model.json`,
    /// which also names the span index there, if there is one.
    ///
    /// # Errors
    /// [`Error::Catalog`] if a file is missing or damaged, [`Error::Chain`].
    pub async fn adapter(
        &self,
        dir: &Path,
        base_id: B256,
        datanets: &[DatanetVersion],
        settings: &RegisterSettings,
    ) -> Result<Registered> {
        let damaged = |reason: String| Error::Catalog { dir: dir.to_owned(), reason };
        let path = dir.join(INDEX_FILE);
        let index = InfluenceIndex::read(&path).map_err(|error| damaged(error.to_string()))?;
        let (adapter_hash, index_hash) = (adapter_hash(dir)?, file_hash(&path)?);
        let index_root = B256::from(index.root());
        let spans = committed(dir).map_err(|error| damaged(error.to_string()))?;
        let span_hash = spans.map(|commitment| commitment.hash().into());
        let known = self.model_with(base_id, adapter_hash).await?;
        let registered = match known {
            Some(id) => Registered { id, is_new: false },
            None => {
                self.earner(Role::ModelOwner).await?;
                let call = IModelRegistry::registerAdapterCall {
                    base: base_id,
                    contentHash: adapter_hash,
                    indexRoot: index_root,
                    indexHash: index_hash,
                    datanets: datanets.iter().map(chain_version).collect(),
                    name: settings.name.clone(),
                    price: settings.price(),
                };
                self.chain.send(self.deployment.model_registry, &call, U256::ZERO).await?;
                let id = model_id(&self.deployment, base_id, adapter_hash);
                Registered { id, is_new: true }
            }
        };
        let manifest = ModelManifest {
            name: settings.name.clone(),
            model_id: registered.id,
            base_id,
            adapter_hash,
            index_root,
            index_hash,
            datanets: datanets.to_vec(),
            span_hash,
        };
        manifest.save(dir)?;
        Ok(registered)
    }

    /// Creates a Datanet of this account and publishes the rows as its next version; writes id and
    /// version into the directory's manifest. A root that is published already is not published
    /// again.
    ///
    /// # Errors
    /// [`Error::Datanet`] if the directory is damaged or cannot be written, [`Error::Chain`].
    pub async fn datanet(&self, dir: &Path) -> Result<DatanetVersion> {
        let mut datanet = Datanet::load(dir)?;
        let to = self.deployment.datanet_registry;
        let manifest = &mut datanet.manifest;
        if manifest.id.is_zero() {
            let id = datanet_id(&self.deployment, self.account, &manifest.name);
            let call = IDatanetRegistry::createCall {
                name: manifest.name.clone(),
                licence: manifest.licence.clone(),
                metadataHash: manifest.rows_root,
            };
            let known = self.chain.call(to, &IDatanetRegistry::datanetOfCall { datanet: id }).await;
            match known {
                Ok(view) if !view.owner.is_zero() => manifest.version = view.versions,
                Ok(_) | Err(Error::Reverted(_)) => {
                    self.chain.send(to, &call, U256::ZERO).await?;
                    manifest.version = 0;
                }
                Err(error) => return Err(error),
            }
            manifest.id = id;
        }
        let (id, version) = (manifest.id, manifest.version);
        let published = match version {
            0 => None,
            _ => {
                let call = IDatanetRegistry::versionOfCall { datanet: id, version };
                Some(self.chain.call(to, &call).await?)
            }
        };
        if published.is_none_or(|version| version.rowsRoot != manifest.rows_root) {
            let count = u32::try_from(datanet.rows.len())
                .map_err(|_| Error::Datanet(format!("{} rows", datanet.rows.len())))?;
            let call = IDatanetRegistry::publishCall {
                datanet: id,
                rowsRoot: manifest.rows_root,
                rowCount: count,
            };
            self.chain.send(to, &call, U256::ZERO).await?;
            let call = IDatanetRegistry::datanetOfCall { datanet: id };
            manifest.version = self.chain.call(to, &call).await?.versions;
        }
        let version = DatanetVersion { id: manifest.id, version: manifest.version };
        datanet.save(dir)?;
        Ok(version)
    }

    /// The model with this base and content, whose id follows from them.
    async fn model_with(&self, base: B256, content: B256) -> Result<Option<B256>> {
        let id = model_id(&self.deployment, base, content);
        let call = IModelRegistry::modelOfCall { model: id };
        match self.chain.call(self.deployment.model_registry, &call).await {
            Ok(model) => Ok((model.contentHash == content).then_some(id)),
            Err(Error::Reverted(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `keccak256(abi.encode(chainid, ModelRegistry, base, contentHash))`.
pub fn model_id(deployment: &Deployment, base: B256, content: B256) -> B256 {
    let chain_id = U256::from(deployment.chain_id);
    keccak256((chain_id, deployment.model_registry, base, content).abi_encode_params())
}

/// `keccak256(abi.encode(chainid, DatanetRegistry, owner, name))`.
pub fn datanet_id(deployment: &Deployment, owner: Address, name: &str) -> B256 {
    let chain_id = U256::from(deployment.chain_id);
    let registry = deployment.datanet_registry;
    keccak256((chain_id, registry, owner, name.to_owned()).abi_encode_params())
}

const fn chain_version(version: &DatanetVersion) -> ChainVersion {
    ChainVersion { datanet: version.id, version: version.version }
}

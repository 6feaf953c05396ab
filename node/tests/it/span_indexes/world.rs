//! A chain with span indexes on it, and a node that watches them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy::{
    primitives::{B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use attribution::spans::{Check, SpanIndex};
use inference::tokenizer::Tokenizer;
use node::{
    catalog::{DatanetVersion, ModelManifest, SPANS_FOLDER},
    chain::{
        ChainClient, Contracts,
        bindings::{
            DatanetVersion as ChainVersion, IModelRegistry, ISpanIndexes, Price, SpanCommitment,
            SpanIndexEntry,
        },
    },
    challenger::{
        Corpora, SpanAnswerer, SpanChallenger, SpanExamination, SpanFiles, span_examination,
    },
    datanet::{Contribution, Datanet, assemble},
    factory::{
        EarnerMap, RegisterSettings, Registrar, earners_on_chain, model_id, span_commitment,
        write_spans,
    },
    indexer::Indexer,
    registry::{Registry, Role},
    store::{MemoryStore, SharedStore},
};

use super::damage::Damage;
use crate::{
    anvil::{self, Anvil, KEYS},
    votes::tiny,
};

/// Long enough for everything here by the machine's clock.
pub(super) const WINDOW: u64 = 86_400;

/// A chain with a Datanet and a base model on it.
pub(super) struct World {
    pub(super) anvil: Anvil,
    pub(super) contracts: Contracts,
    pub(super) owner: ChainClient,
    pub(super) base: B256,
    pub(super) version: DatanetVersion,
    pub(super) datanet: Datanet,
    pub(super) earners: EarnerMap,
    pub(super) folder: tempfile::TempDir,
}

pub(super) fn signer(key: usize) -> PrivateKeySigner {
    KEYS[key].parse().unwrap()
}

impl World {
    pub(super) async fn open() -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(10, WINDOW);
        let contracts = anvil.client(None).contracts(deployment.clone()).await.unwrap();
        let registrar = async |key| {
            Registrar::connect(&anvil.url, deployment.clone(), signer(key)).await.unwrap()
        };
        let mut accounts = vec![];
        for key in [2, 3] {
            let contributor = registrar(key).await;
            contributor.earner(Role::Contributor).await.unwrap();
            accounts.push(contributor.account());
        }
        let folder = tempfile::tempdir().unwrap();
        let texts = [
            "function transfer(address to, uint256 amount) external returns (bool) {",
            "function transfer(address to, uint256 amount) external returns (bool) {",
            "modifier onlyOwner() { require(msg.sender == owner); _; }",
            "function max(uint256 a, uint256 b) internal pure returns (uint256) {",
            // A row without tokens leaves room for an index that lacks one.
            "",
        ];
        let rows = texts.iter().enumerate().map(|(i, text)| Contribution {
            contributor: accounts[i % 2],
            text: (*text).to_owned(),
            source: String::new(),
        });
        let data = folder.path().join("datanet");
        let rows = assemble(rows.collect(), &[0, 0, 2, 3, 4]);
        Datanet::new("rows", "MIT", rows).save(&data).unwrap();
        let owner = registrar(1).await;
        let version = owner.datanet(&data).await.unwrap();
        let datanet = Datanet::load(&data).unwrap();
        let client = anvil.client(None);
        let earners =
            earners_on_chain(&client, &deployment, std::slice::from_ref(&datanet)).await.unwrap();
        let settings = RegisterSettings {
            name: "base".into(),
            input_rate: 1,
            output_rate: 1,
            platform_fee: 1,
        };
        let base = owner.base(&tiny(), &settings).await.unwrap().id;
        let owner = anvil.client(Some(signer(1)));
        Self { anvil, contracts, owner, base, version, datanet, earners, folder }
    }

    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.replace(' ', "-"))
    }

    /// Registers a model and writes its directory, whose index is damaged.
    pub(super) async fn model(
        &self,
        name: &str,
        damage: Option<&Damage>,
    ) -> (B256, SpanCommitment) {
        let at = &self.contracts.deployment;
        let (content, version) = (keccak256(name), self.version);
        let call = IModelRegistry::registerAdapterCall {
            base: self.base,
            contentHash: content,
            indexRoot: keccak256("root"),
            indexHash: keccak256("index"),
            datanets: vec![ChainVersion { datanet: version.id, version: version.version }],
            name: name.into(),
            price: Price { inputRate: 1, outputRate: 1, platformFee: 1 },
        };
        self.owner.send(at.model_registry, &call, U256::ZERO).await.unwrap();
        let model = model_id(at, self.base, content);
        let dir = self.dir(name);
        std::fs::create_dir_all(&dir).unwrap();
        let manifest = ModelManifest {
            name: name.into(),
            model_id: model,
            base_id: self.base,
            adapter_hash: content,
            index_root: B256::ZERO,
            index_hash: B256::ZERO,
            datanets: vec![version],
            span_hash: None,
        };
        manifest.save(&dir).unwrap();
        let (tokenizer, path) = (Tokenizer::load(&tiny()).unwrap(), dir.join(SPANS_FOLDER));
        drop(write_spans(&tokenizer, &path, &[&self.datanet], &self.earners, &mut |_| {}).unwrap());
        if let Some((_, damage)) = damage {
            damage(&path);
        }
        let index = SpanIndex::open(&path, Check::Header).unwrap();
        let commitment = index.commit(0).unwrap().commitment();
        (model, span_commitment(&commitment))
    }

    pub(super) async fn publish(&self, model: B256, commitment: SpanCommitment) {
        let to = self.contracts.deployment.span_indexes;
        let bond = self.owner.call(to, &ISpanIndexes::bondCall {}).await.unwrap();
        let call = ISpanIndexes::publishCall { model, commitment };
        self.owner.send(to, &call, bond).await.unwrap();
    }

    pub(super) async fn index(&self, model: B256) -> SpanIndexEntry {
        let call = ISpanIndexes::indexOfCall { model };
        self.owner.call(self.contracts.deployment.span_indexes, &call).await.unwrap()
    }
}

/// A node that watches, with the base model's tokenizer and all rows.
pub(super) struct Watcher {
    pub(super) store: SharedStore,
    pub(super) registry: Registry,
    pub(super) indexer: Indexer,
    pub(super) client: ChainClient,
    pub(super) corpora: Corpora,
}

impl Watcher {
    pub(super) fn new(
        world: &World,
        client: ChainClient,
        models: Vec<PathBuf>,
        name: &str,
    ) -> Self {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let registry = Registry::new(Arc::clone(&store), world.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let follow = world.anvil.client(None);
        let indexer = Indexer::new(Arc::clone(&store), registry.clone(), follow, pause);
        let files = SpanFiles {
            base: Some(tiny()),
            models,
            datanets: vec![world.dir("datanet")],
            folder: world.dir(name),
        };
        let corpora = Corpora::new(registry.clone(), files);
        Self { store, registry, indexer, client, corpora }
    }

    pub(super) fn challenger(&self, store: SharedStore) -> SpanChallenger {
        let (registry, client) = (self.registry.clone(), self.client.clone());
        SpanChallenger::new(store, registry, client, self.corpora.clone())
    }

    pub(super) fn answerer(&self) -> SpanAnswerer {
        let (store, registry) = (Arc::clone(&self.store), self.registry.clone());
        SpanAnswerer::new(store, registry, self.client.clone(), self.corpora.clone())
    }

    pub(super) fn found(&self, model: B256) -> Option<SpanExamination> {
        span_examination(&self.store, model).unwrap()
    }
}

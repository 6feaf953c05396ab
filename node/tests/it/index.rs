//! An influence index from its rows to earning, and those that are struck, on a local chain.

mod challenger;
mod plants;
mod watcher;

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    signers::local::PrivateKeySigner,
};
use attribution::estimate::{
    IndexBuilder, IndexConfig, InfluenceIndex, Projector, ProjectorConfig, RowSource, SiteGradient,
    SiteShape,
};
use node::{
    Error,
    catalog::{DatanetVersion, INDEX_FILE},
    chain::{
        ChainClient, Contracts, Deployment,
        bindings::{
            ContributorProof, IIndexDisputes, IInfluenceIndexes, IndexContributor, NodeProof,
        },
    },
    committer::Kzg,
    da::{Attestor, LocalAvailability, SharedAvailability},
    datanet::{Contribution, Datanet, assemble},
    factory::{EarnerMap, IndexPublisher, RegisterSettings, Registrar, earners_on_chain},
    indexer::Indexer,
    registry::{Registry, Role},
    store::{MemoryStore, SharedStore, WriteBatch},
};

use crate::anvil::{self, Anvil, KEYS, PAGE_SIZE};

const WINDOW: u64 = 5;
const SHAPE: SiteShape = SiteShape { rank: 1, d_in: 16, d_out: 16 };

/// A chain with a Datanet and a base model on it, and where indexes are published.
struct World {
    anvil: Anvil,
    contracts: Contracts,
    owner: Registrar,
    layer: SharedAvailability,
    publisher: IndexPublisher,
    registry: Registry,
    indexer: Indexer,
    datanet: Datanet,
    version: DatanetVersion,
    earners: EarnerMap,
    base: B256,
    folder: tempfile::TempDir,
}

fn settings(name: &str) -> RegisterSettings {
    RegisterSettings { name: name.into(), input_rate: 1, output_rate: 1, platform_fee: 1 }
}

fn signer(key: usize) -> PrivateKeySigner {
    KEYS[key].parse().unwrap()
}

async fn registrar(anvil: &Anvil, deployment: &Deployment, key: usize) -> Registrar {
    Registrar::connect(&anvil.url, deployment.clone(), signer(key)).await.unwrap()
}

fn write(dir: &Path, files: &[&str]) {
    std::fs::create_dir_all(dir).unwrap();
    for file in files {
        std::fs::write(dir.join(file), format!("{file} of {}", dir.display())).unwrap();
    }
}

impl World {
    async fn new(window: u64) -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(10, window);
        let contracts = anvil.client(None).contracts(deployment.clone()).await.unwrap();
        let owner = registrar(&anvil, &deployment, 1).await;
        let mut accounts: Vec<Address> = vec![];
        for key in [2, 3] {
            let contributor = registrar(&anvil, &deployment, key).await;
            contributor.earner(Role::Contributor).await.unwrap();
            accounts.push(contributor.account());
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let datanet_dir = at("datanet");
        let contribution = |i: usize| Contribution {
            contributor: accounts[i % 2],
            text: format!("row {}", i % 7),
            source: String::new(),
        };
        let rows = assemble((0..9).map(contribution).collect(), &[0, 1, 2, 3, 4, 5, 6, 0, 1]);
        Datanet::new("rows", "MIT", rows).save(&datanet_dir).unwrap();
        let version = owner.datanet(&datanet_dir).await.unwrap();
        let datanet = Datanet::load(&datanet_dir).unwrap();
        let client = anvil.client(None);
        let earners =
            earners_on_chain(&client, &deployment, std::slice::from_ref(&datanet)).await.unwrap();
        let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "m.safetensors"];
        write(&at("base"), &files);
        let base = owner.base(&at("base"), &settings("base")).await.unwrap().id;
        // The deployer is the attestor.
        let attestor = Attestor::new(signer(0), contracts.certificate_domain());
        let layer: SharedAvailability =
            Arc::new(LocalAvailability::open(&at("blobs"), attestor).unwrap());
        let publisher =
            IndexPublisher::new(Arc::clone(&layer), Kzg::new(anvil::srs(), PAGE_SIZE).unwrap());
        let store: SharedStore = Arc::new(MemoryStore::default());
        let registry = Registry::new(Arc::clone(&store), contracts.clone()).unwrap();
        let interval = Duration::from_millis(50);
        let indexer = Indexer::new(store, registry.clone(), client, interval);
        Self {
            anvil,
            contracts,
            owner,
            layer,
            publisher,
            registry,
            indexer,
            datanet,
            version,
            earners,
            base,
            folder,
        }
    }

    /// A registered adapter with an index over the Datanet; its files are this test's.
    async fn model(&self, name: &str) -> (B256, std::path::PathBuf, InfluenceIndex) {
        let dir = self.folder.path().join(name);
        write(&dir, &["adapter_config.json", "adapter_model.safetensors"]);
        let index = self.index();
        index.write(&dir.join(INDEX_FILE)).unwrap();
        let registered =
            self.owner.adapter(&dir, self.base, &[self.version], &settings(name)).await;
        (registered.unwrap().id, dir, index)
    }

    fn index(&self) -> InfluenceIndex {
        let sketches = ProjectorConfig { seed: [1; 32], dim: 256, side: 16 };
        let projector = Projector::new(&[SHAPE], sketches).unwrap();
        let mut builder = IndexBuilder::new(projector, IndexConfig::default()).unwrap();
        for (place, row) in (0u32..).zip(&self.datanet.rows) {
            let noise = |k: usize| ((k * 31 + place as usize * 17) % 23) as f32 - 11.0;
            let (a, b): (Vec<f32>, Vec<f32>) = (0..16).map(|k| (noise(k), noise(k + 99))).unzip();
            let first = self.datanet.rows.iter().position(|r| r.row_hash == row.cluster_hash);
            let source = RowSource {
                datanet: 0,
                index: row.index,
                hash: row.row_hash.0,
                earner: self.earners[&row.contributor],
                cluster: first.unwrap() as u32,
            };
            let site = SiteGradient { a: &a, b: &b, rank: 1, d_in: 16, d_out: 16 };
            assert_eq!(builder.push(source, &[site]).unwrap(), place);
        }
        builder.finish(|_| {}).unwrap().0
    }

    fn proof(index: &InfluenceIndex, c: usize) -> ContributorProof {
        let leaf = index.leaves()[c];
        ContributorProof {
            contributor: IndexContributor {
                ordinal: leaf.ordinal,
                earner: leaf.earner.0,
                acceptedRows: leaf.root.count,
                sumsHash: leaf.root.sums_hash.into(),
                left: leaf.root.left.into(),
                right: leaf.root.right.into(),
            },
            proof: index.proof(c).unwrap().into_iter().map(B256::from).collect(),
        }
    }

    async fn sync(&self) {
        self.indexer.sync().await.unwrap();
    }
}

#[tokio::test]
async fn an_index_is_published_once_and_earns_after_its_window() {
    let world = World::new(WINDOW).await;
    let (model, dir, index) = world.model("adapter").await;
    world.sync().await;
    let view = world.registry.model(model).unwrap().unwrap();
    assert_eq!(world.registry.earning_from(&view).unwrap(), None);
    let refused = world.owner.earning(model, |_| {}).await;
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");

    let published = world.owner.index(&dir, &world.publisher).await.unwrap();
    assert!(published.is_new);
    let again = world.owner.index(&dir, &world.publisher).await.unwrap();
    assert_eq!((again.is_new, again.accepted_at), (false, published.accepted_at));

    world.sync().await;
    let stored = world.registry.index(model).unwrap().unwrap();
    assert_eq!((stored.contributors, stored.dim), (2, 256));
    assert_eq!(world.registry.earning_from(&view).unwrap(), Some(published.accepted_at));
    let certificates: Vec<Bytes> = stored.certificates.iter().cloned().map(Bytes::from).collect();
    let read = async |root: B256, blobs: usize| {
        let (blobs, certificates) = (&stored.blobs[..blobs], &certificates[..blobs]);
        world.publisher.read(blobs, certificates, stored.symbols, root).await
    };
    let all = stored.blobs.len();
    assert_eq!(read(view.index_root, all).await.unwrap().leaves(), index.leaves());
    assert!(matches!(read(B256::ZERO, all).await, Err(Error::Availability(_))));
    assert!(matches!(read(view.index_root, 0).await, Err(Error::Availability(_))));

    let mut left = vec![];
    let wait = world.owner.earning(model, |seconds| left.push(seconds));
    assert!(tokio::time::timeout(Duration::from_millis(300), wait).await.is_err());
    assert!(!left.is_empty() && left.iter().all(|seconds| (1..=WINDOW).contains(seconds)));
    world.anvil.pass(WINDOW).await;
    world.owner.earning(model, |_| panic!("the window is over")).await.unwrap();
}

#[tokio::test]
async fn a_wrong_index_is_struck_and_its_model_never_earns() {
    let world = World::new(WINDOW).await;
    let (model, dir, index) = world.model("adapter").await;
    let head = world.anvil.client(None).block(None).await.unwrap().unwrap();
    let stored = world.publisher.store(&index, head.timestamp).await.unwrap();
    let client = world.anvil.client(Some(signer(1)));
    let to = world.contracts.deployment.influence_indexes;
    // One contributor too few.
    let call = IInfluenceIndexes::publishCall {
        model,
        contributors: 1,
        dim: 256,
        blobs: stored.blobs,
        symbols: stored.symbols,
        certificates: stored.certificates,
    };
    let poor = client.send(to, &call, U256::ZERO).await;
    assert!(matches!(&poor, Err(Error::Reverted(why)) if why.contains("BondTooLow")), "{poor:?}");
    let bond = client.call(to, &IInfluenceIndexes::minBondCall {}).await.unwrap();
    client.send(to, &call, bond).await.unwrap();

    let challenger = world.anvil.client(Some(signer(2)));
    let disputes = world.contracts.deployment.index_disputes;
    let node = NodeProof { contributor: World::proof(&index, 1), turns: U256::ZERO, path: vec![] };
    let sound = IIndexDisputes::proveNodeCall { model, node };
    let refused = challenger.send(disputes, &sound, U256::ZERO).await;
    assert!(matches!(refused, Err(Error::Reverted(_))), "{refused:?}");
    let contributor = World::proof(&index, 1);
    let before = challenger.balance(signer(2).address()).await.unwrap();
    let proof = IIndexDisputes::proveOrdinalCall { model, contributor };
    challenger.send(disputes, &proof, U256::ZERO).await.unwrap();
    let gained = challenger.balance(signer(2).address()).await.unwrap() - before;
    assert!(gained > bond / U256::from(2) * U256::from(99) / U256::from(100), "{gained}");

    world.sync().await;
    let view = world.registry.model(model).unwrap().unwrap();
    assert!(world.registry.index(model).unwrap().unwrap().struck);
    assert_eq!(world.registry.earning_from(&view).unwrap(), None);
    world.anvil.pass(WINDOW).await;
    let waited = world.owner.earning(model, |_| {}).await;
    assert!(matches!(waited, Err(Error::Config(_))), "{waited:?}");
    let again = world.owner.index(&dir, &world.publisher).await;
    assert!(matches!(again, Err(Error::Catalog { .. })), "{again:?}");
}

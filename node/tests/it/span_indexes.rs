//! Span indexes that are wrong in one way each, which the challenger strikes, and honest ones, which it
//! leaves alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy::{
    primitives::{B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use attribution::spans::{Check, SpanIndex};
use inference::tokenizer::Tokenizer;
use node::{
    Error,
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

use crate::{
    anvil::{self, Anvil, KEYS},
    votes::tiny,
    world::Killed,
};

/// Long enough for everything here by the machine's clock.
const WINDOW: u64 = 86_400;
/// Bytes of a row in a row table, and where its index, hash, earner and cluster are.
const ROW: usize = 57;
const INDEX: usize = 9;
const HASH: usize = 17;
const EARNER: usize = 49;
const CLUSTER: usize = 53;

/// Places in the header: tokens of the shard, and the length of its suffixes.
const TOKENS: usize = 18;
const SUFFIX_BYTES: usize = 79;
/// The hash that a header ends with.
const HEADER_HASH: usize = 32;

/// Changes files of an index.
type Damage = (&'static str, fn(&Path));

/// The second row is the first contributor's copy of the first, so its cluster is 0.
const DAMAGES: [Damage; 7] = [
    ("two suffixes in each other's place", |index| {
        change(index, "0.suffixes", |bytes| {
            let last = bytes.len() - 1;
            bytes.swap(0, last);
        });
    }),
    ("a suffix twice", |index| change(index, "0.suffixes", |bytes| bytes[4] = bytes[3])),
    ("another earner", |index| change(index, "0.rows", |bytes| bytes[ROW + EARNER + 3] ^= 1)),
    ("another text's hash", |index| change(index, "0.rows", |bytes| bytes[HASH] ^= 1)),
    ("a copy that is its own cluster", |index| {
        change(index, "0.rows", |bytes| bytes[ROW + CLUSTER + 3] = 1);
    }),
    ("a row that the Datanet has not", |index| {
        change(index, "0.rows", |bytes| {
            let last = bytes.len() - ROW;
            bytes[last + INDEX + 6] = 1;
        });
    }),
    ("a suffix left out", leave_out),
];
/// Of the damages, two that are in the rows.
const ANOTHER_EARNER: usize = 2;
const ANOTHER_HASH: usize = 3;

fn change(index: &Path, part: &str, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(index.join(part)).unwrap();
    change(&mut bytes);
    std::fs::write(index.join(part), bytes).unwrap();
}

/// An index in order that says of itself that it has one token less: spans that begin with the suffix
/// are found nowhere.
fn leave_out(index: &Path) {
    // Fewer than 256 positions, so that a pointer has one byte.
    change(index, "0.suffixes", |bytes| {
        bytes.remove(7);
    });
    let tokens = std::fs::metadata(index.join("0.suffixes")).unwrap().len().to_be_bytes();
    change(index, "header", |header| {
        let body = header.len() - HEADER_HASH;
        assert_eq!(header[TOKENS..TOKENS + 8], header[SUFFIX_BYTES..SUFFIX_BYTES + 8]);
        header[TOKENS..TOKENS + 8].copy_from_slice(&tokens);
        header[SUFFIX_BYTES..SUFFIX_BYTES + 8].copy_from_slice(&tokens);
        let hash = keccak256(&header[..body]);
        header[body..].copy_from_slice(hash.as_slice());
    });
}

/// A chain with a Datanet and a base model on it.
struct World {
    anvil: Anvil,
    contracts: Contracts,
    owner: ChainClient,
    base: B256,
    version: DatanetVersion,
    datanet: Datanet,
    earners: EarnerMap,
    folder: tempfile::TempDir,
}

fn signer(key: usize) -> PrivateKeySigner {
    KEYS[key].parse().unwrap()
}

impl World {
    async fn open() -> Self {
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

    fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.replace(' ', "-"))
    }

    /// Registers a model and writes its directory, whose index is damaged.
    async fn model(&self, name: &str, damage: Option<&Damage>) -> (B256, SpanCommitment) {
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

    async fn publish(&self, model: B256, commitment: SpanCommitment) {
        let to = self.contracts.deployment.span_indexes;
        let bond = self.owner.call(to, &ISpanIndexes::bondCall {}).await.unwrap();
        let call = ISpanIndexes::publishCall { model, commitment };
        self.owner.send(to, &call, bond).await.unwrap();
    }

    async fn index(&self, model: B256) -> SpanIndexEntry {
        let call = ISpanIndexes::indexOfCall { model };
        self.owner.call(self.contracts.deployment.span_indexes, &call).await.unwrap()
    }
}

/// A node that watches, with the base model's tokenizer and all rows.
struct Watcher {
    store: SharedStore,
    registry: Registry,
    indexer: Indexer,
    client: ChainClient,
    corpora: Corpora,
}

impl Watcher {
    fn new(world: &World, client: ChainClient, models: Vec<PathBuf>, name: &str) -> Self {
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

    fn challenger(&self, store: SharedStore) -> SpanChallenger {
        let (registry, client) = (self.registry.clone(), self.client.clone());
        SpanChallenger::new(store, registry, client, self.corpora.clone())
    }

    fn answerer(&self) -> SpanAnswerer {
        let (store, registry) = (Arc::clone(&self.store), self.registry.clone());
        SpanAnswerer::new(store, registry, self.client.clone(), self.corpora.clone())
    }

    fn found(&self, model: B256) -> Option<SpanExamination> {
        span_examination(&self.store, model).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_span_index_is_struck_and_an_honest_one_pays() {
    let world = World::open().await;
    let (honest, commitment) = world.model("honest", None).await;
    world.publish(honest, commitment).await;
    let mut wrong = BTreeMap::new();
    for damage in &DAMAGES {
        let (model, commitment) = world.model(damage.0, Some(damage)).await;
        world.publish(model, commitment).await;
        wrong.insert(model, damage.0);
    }
    let models = DAMAGES.iter().map(|(name, ..)| world.dir(name)).collect();
    let watcher = Watcher::new(&world, world.anvil.client(Some(signer(2))), models, "watcher");
    watcher.indexer.sync().await.unwrap();

    // Every process dies between the second thing that it finds and its note.
    let dying = || watcher.challenger(Killed::after(Arc::clone(&watcher.store), 1));
    while let Err(error) = dying().step().await {
        assert!(matches!(error, Error::Store(_)), "{error:?}");
        watcher.indexer.sync().await.unwrap();
    }
    while watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap() {}
    assert_eq!(watcher.found(honest), Some(SpanExamination::Clean));
    for (&model, name) in &wrong {
        assert!(world.index(model).await.struck, "{name}");
        let found = watcher.found(model);
        let is_ours = matches!(found, Some(SpanExamination::Struck { .. } | SpanExamination::Late));
        assert!(is_ours, "{name}: {found:?}");
    }
    assert!(!watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap());

    world.anvil.pass(WINDOW).await;
    watcher.indexer.sync().await.unwrap();
    let time = watcher.registry.head().timestamp;
    let hash = watcher.registry.span_index(honest).unwrap().unwrap().commitment_hash();
    assert_eq!(watcher.registry.paying_spans(honest, time).unwrap(), Some(hash));
    assert_eq!(world.index(honest).await.commitmentHash, hash);
    for &model in wrong.keys() {
        assert_eq!(watcher.registry.paying_spans(model, time).unwrap(), None);
    }
}

/// Of an index that is not what the rows give and whose files nobody else has, leaves are demanded: one,
/// and when that was shown four, which are all that are left. A publisher that shows all keeps its index,
/// though it pays later; one that withholds some, or all, is struck, and their deposits go back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_are_demanded_shown_and_missed() {
    let world = World::open().await;
    let mut models = Vec::new();
    // Files of one index would serve for another with the same commitment.
    let damages =
        [("shown", ANOTHER_EARNER), ("hidden", ANOTHER_EARNER), ("withheld", ANOTHER_HASH)];
    for (name, damage) in damages {
        let (model, mut commitment) = world.model(name, Some(&DAMAGES[damage])).await;
        if name == "hidden" {
            commitment.suffixRoot = keccak256("of a tree that nobody has");
        }
        world.publish(model, commitment).await;
        models.push(model);
    }
    let [shown, hidden, withheld] = models[..] else { panic!() };
    let client = world.anvil.client(Some(signer(2)));
    let watcher = Watcher::new(&world, client, vec![], "watcher");
    let to = world.contracts.deployment.span_indexes;
    let deposit = world.owner.call(to, &ISpanIndexes::demandDepositCall {}).await.unwrap();
    let open = async || {
        let mut open = Vec::new();
        for &model in &models {
            open.push(world.index(model).await.demands);
        }
        open
    };
    // A node that dies before it notes anything draws others the next time; one that dies after its first
    // note demands what it noted.
    watcher.indexer.sync().await.unwrap();
    let dying = watcher.challenger(Killed::after(Arc::clone(&watcher.store), 3));
    while matches!(dying.step().await, Ok(true)) {}
    watch(&watcher).await;
    assert_eq!(open().await, [1, 1, 1]);

    // The owner has the files of all, but what it published of one is nothing.
    let owner = |names: &[&str]| {
        let dirs = names.iter().map(|name| world.dir(name)).collect();
        let folder = format!("owner of {}", names.len());
        Watcher::new(&world, world.owner.clone(), dirs, &folder)
    };
    let answerer = owner(&["shown", "hidden", "withheld"]);
    answerer.indexer.sync().await.unwrap();
    assert!(answerer.answerer().step().await.unwrap());
    assert_eq!(open().await, [0, 1, 0]);
    watch(&watcher).await;
    assert_eq!(open().await, [4, 1, 4]);
    for model in [shown, withheld] {
        let Some(SpanExamination::Demanded { mut leaves, last, .. }) = watcher.found(model) else {
            panic!("{:?}", watcher.found(model))
        };
        leaves.sort_unstable();
        assert_eq!((leaves, last), (vec![0, 1, 2, 3, 4], 4), "each row once");
    }
    let answerer = owner(&["shown"]);
    answerer.indexer.sync().await.unwrap();
    assert!(answerer.answerer().step().await.unwrap());
    assert_eq!(open().await, [0, 1, 4]);
    watch(&watcher).await;
    assert_eq!(watcher.found(shown), Some(SpanExamination::Unproven));

    world.anvil.pass(WINDOW).await;
    let before = world.owner.balance(signer(2).address()).await.unwrap();
    watch(&watcher).await;
    for model in [hidden, withheld] {
        let found = watcher.found(model);
        assert!(matches!(found, Some(SpanExamination::Struck { .. })), "{found:?}");
        assert!(world.index(model).await.struck);
    }
    assert!(!world.index(shown).await.struck);
    let bond = world.index(shown).await.bond;
    let gained = world.owner.balance(signer(2).address()).await.unwrap() - before;
    let due = bond + U256::from(5) * deposit;
    assert!(gained <= due && gained > due - deposit / U256::from(10), "{gained} of {due}");
    assert_eq!(
        world.owner.balance(to).await.unwrap(),
        bond,
        "what is left is of the one that stands"
    );
}

/// Everything that a watcher finds to do.
async fn watch(watcher: &Watcher) {
    watcher.indexer.sync().await.unwrap();
    while watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap() {}
}

/// Whoever writes files must not leave anything where the index is looked for.
#[test]
fn a_build_that_was_stopped_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join(SPANS_FOLDER);
    std::fs::create_dir_all(path.with_extension("partial")).unwrap();
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("0.tokens"), "half").unwrap();
    let contributor = signer(2).address();
    let row = Contribution { contributor, text: "one two three".into(), source: String::new() };
    let datanet = Datanet::new("rows", "MIT", assemble(vec![row], &[0]));
    let earners = [(contributor, attribution::settle::EarnerIndex(7))].into();
    let tokenizer = Tokenizer::load(&tiny()).unwrap();
    let index = write_spans(&tokenizer, path, &[&datanet], &earners, &mut |_| {}).unwrap();
    assert_eq!(index.rows(), 1);
    assert_eq!(index.row(0).unwrap().earner.0, 7);
    assert_eq!(tokenizer.decode(&index.row_tokens(0).unwrap()), "one two three");
    let empty = Datanet::new("rows", "MIT", vec![]);
    let refused = write_spans(&tokenizer, path, &[&empty], &earners, &mut |_| {});
    assert!(matches!(refused, Err(Error::Datanet(_))), "{refused:?}");
}

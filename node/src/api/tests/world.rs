//! A node's API over a real model and a store whose chain tables are written by hand.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::{EarnerIndex, Mix};
use inference::{
    config::ModelSpec,
    engine::{Engine, EngineConfig},
    model::Decoder,
    tokenizer::Tokenizer,
    train::{LoraConfig, TrainableLora},
    weights::{Storage, save},
};
use prometheus_client::registry::Registry as MetricsRegistry;
use prover::Srs;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{About, Api, payment, router},
    attributor::AttributorHandle,
    catalog::{
        Catalog, DatanetVersion, INDEX_FILE, ModelManifest, adapter_hash, base_hash, file_hash,
        load_rows,
    },
    chain::{
        Certification, Contracts, Deployment,
        bindings::{Price, Rules, Split},
    },
    committer::Kzg,
    config::KeyConfig,
    da::{Attestor, LocalAvailability, SharedAvailability},
    datanet::{Contribution, Datanet, assemble},
    earnings::Earnings,
    factory::{EarnerMap, IndexSettings, build_index, model_id},
    keys::Keys,
    metrics::{
        ChallengerMetrics, EngineMetrics, PipelineMetrics, RetrievalMetrics, ServingMetrics,
        VoteMetrics,
    },
    recorder::{RecorderConfig, RecorderHandle},
    registry::{
        ChainState, ChannelView, DatanetRef, EarnerView, HEAD_KEY, Head, IndexView, ModelView,
        PriceView, Registry, Role, RulesView, VersionView, earner_key, name_key, owner_key,
        price_key,
    },
    retrieval::{Retrieval, RetrievalSettings, index},
    serving::{AdapterPlaces, Serving, ServingConfig, ServingParts},
    settler::Waits,
    store::{MemoryStore, SharedStore, Table, WriteBatch},
    voucher::{Call, SignedVoucher, Voucher, digest},
};

/// Time of the chain's head.
pub(super) const NOW: u64 = 1_700_000_000;
/// What the channel holds, gwei.
pub(super) const DEPOSIT: u64 = 10_000_000;
const CHAIN_ID: u64 = 161_201;

/// Files shared by all tests: an adapter, its index and its Datanet, made once.
pub(super) struct Files {
    folder: TempDir,
    base_id: B256,
    model_id: B256,
    datanet: DatanetVersion,
    rows_root: B256,
    pub(super) row: B256,
}

/// A running API and its payer.
pub(super) struct World {
    pub(super) url: String,
    pub(super) api: Api,
    pub(super) registry: Registry,
    pub(super) payer: PrivateKeySigner,
    pub(super) model: B256,
    pub(super) channel: B256,
    pub(super) http: reqwest::Client,
    _folder: TempDir,
    _library: Option<TempDir>,
}

/// Keys of the tests: `ana` and `ben` share a payer, `root` administers and pays nothing, `kim` may
/// use private adapters unpaid and was granted the Datanet, `poor` may spend 100 gwei a day.
pub(super) const KEYS: [&str; 5] = ["ana", "ben", "root", "kim", "poor"];

/// The key of a name.
pub(super) fn bearer(name: &str) -> String {
    format!("Bearer secret-of-{name}")
}

fn keys(store: &SharedStore, registry: &Registry, folder: &Path) -> Keys {
    let payer = folder.join("payer.hex");
    std::fs::write(&payer, keccak256("payer").to_string()).unwrap();
    let config = |name: &&str| KeyConfig {
        name: (*name).to_owned(),
        sha256: hex::encode(sha2::Sha256::digest(format!("secret-of-{name}"))),
        payer_key_file: (*name != "root").then(|| payer.clone()),
        deposit_gwei: None,
        daily_limit_gwei: (*name == "poor").then_some(100),
        adapters: Vec::new(),
        datanets: if *name == "kim" { vec![keccak256("datanet")] } else { Vec::new() },
        admin: *name == "root",
        unrecorded: *name == "kim",
    };
    let configs: Vec<KeyConfig> = KEYS.iter().map(config).collect();
    Keys::new(&configs, store, registry).unwrap()
}

/// The folder of adapters that are no models: `style`, `other`.
pub(super) fn adapters_dir() -> PathBuf {
    Files::shared().folder.path().join("adapters")
}

/// The Datanet of the model's four rows.
pub(super) fn datanet_dir() -> PathBuf {
    Files::shared().folder.path().join("datanet")
}

/// The base model of the tests.
pub(super) fn base_dir() -> PathBuf {
    Files::shared().folder.path().join("base")
}

/// Writes a base model with random weights and no end token, so that every answer is as long as it
/// may be, behind the tokenizer of the model in this repository.
fn write_base(dir: &Path) {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    std::fs::create_dir_all(dir).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tiny.join(file), dir.join(file)).unwrap();
    }
    let spec = ModelSpec { eos: Vec::new(), ..ModelSpec::load(&tiny).unwrap() };
    std::fs::write(dir.join("config.json"), spec.to_json()).unwrap();
    let tensors = Decoder::random(spec, 11).unwrap().export().unwrap();
    save(&dir.join("model.safetensors"), &tensors, Storage::F32, None).unwrap();
}

pub(super) fn operator() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256("operator")).unwrap()
}

fn contributor(number: u8) -> Address {
    Address::repeat_byte(0xc0 + number)
}

/// The contributors of the tests.
pub(super) fn earners() -> EarnerMap {
    (0..3).map(|n| (contributor(n), EarnerIndex(u32::from(n) + 2))).collect()
}

fn deployment() -> Deployment {
    let address = Address::repeat_byte;
    Deployment {
        chain_id: CHAIN_ID,
        block: 0,
        earner_registry: address(1),
        datanet_registry: address(2),
        model_registry: address(3),
        influence_indexes: address(9),
        index_disputes: address(10),
        bonded_figures: address(31),
        factor_faults: address(32),
        fee_schedule: address(4),
        staking: address(5),
        payment_channels: address(6),
        settlement: address(7),
        disputes: address(9),
        earnings_archive: address(10),
        da_cert_verifier: address(8),
        certification: Certification::Attested,
        row_faults: address(20),
        amount_faults: address(21),
        record_faults: address(22),
        receipt_faults: address(23),
        carry_faults: address(24),
        credit_faults: address(25),
        use_faults: address(29),
        model_mixes: address(30),
        span_indexes: address(30),
        sketch_votes: address(26),
        validator_roll: address(27),
        record_samples: address(28),
    }
}

pub(super) fn contracts() -> Contracts {
    Contracts { deployment: deployment(), epoch_seconds: 60, dispute_window: 5, page_size: 1024 }
}

impl Files {
    pub(super) fn shared() -> &'static Self {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(Self::make)
    }

    pub(super) fn model_dir(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    pub(super) fn datanet(&self) -> Datanet {
        Datanet::load(&self.folder.path().join("datanet")).unwrap()
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (base, dir) = (folder.path().join("base"), folder.path().join("model"));
        write_base(&base);
        let texts = [
            "// Token\nfunction transfer(address to, uint256 amount) external returns (bool) {\n",
            "// Vault\nfunction deposit(uint256 assets) public returns (uint256 shares) {\n",
            "// Math\nfunction max(uint256 a, uint256 b) internal pure returns (uint256) {\n",
            "// Owner\nmodifier onlyOwner() {\n    require(msg.sender == owner);\n    _;\n}\n",
        ];
        let contributions = texts.iter().enumerate().map(|(place, text)| Contribution {
            contributor: contributor(place as u8 % 3),
            text: (*text).to_owned(),
            source: format!("{place}.sol"),
        });
        let mut datanet =
            Datanet::new("solidity", "MIT", assemble(contributions.collect(), &[0, 1, 2, 3]));
        datanet.manifest.id = keccak256("datanet");
        datanet.manifest.version = 1;
        datanet.save(&folder.path().join("datanet")).unwrap();
        let decoder = Decoder::load(&base).unwrap();
        let modules = vec!["q_proj".to_owned(), "v_proj".to_owned()];
        let config = LoraConfig { rank: 2, alpha: 4.0, target_modules: modules };
        let lora = |seed| TrainableLora::new(&decoder, &config, seed).unwrap();
        lora(7).save(&dir, &config, "tiny").unwrap();
        for (name, seed) in [("style", 8), ("other", 9)] {
            // A fresh adapter changes nothing; these must be heard.
            let mut weights = lora(seed).weights().unwrap();
            for site in &mut weights {
                site.b = (0..site.b.len()).map(|i| ((i * 37) % 23) as f32 / 23.0 - 0.5).collect();
            }
            let adapter = TrainableLora::from_weights(&decoder, &weights).unwrap();
            adapter.save(&folder.path().join("adapters").join(name), &config, "tiny").unwrap();
        }
        let settings = IndexSettings { dim: 64, side: 64, ..IndexSettings::default() };
        let report = build_index(
            &base,
            &dir,
            std::slice::from_ref(&datanet),
            &earners(),
            &settings,
            &mut |_| {},
        )
        .unwrap();
        let base_id = model_id(&deployment(), B256::ZERO, base_hash(&base).unwrap());
        let adapter_hash = adapter_hash(&dir).unwrap();
        let model_id = model_id(&deployment(), base_id, adapter_hash);
        let version = DatanetVersion { id: datanet.manifest.id, version: 1 };
        let manifest = ModelManifest {
            name: "solidity".into(),
            model_id,
            base_id,
            adapter_hash,
            index_root: report.root,
            index_hash: file_hash(&dir.join(INDEX_FILE)).unwrap(),
            datanets: vec![version],
            span_hash: None,
        };
        manifest.save(&dir).unwrap();
        Self {
            folder,
            base_id,
            model_id,
            datanet: version,
            rows_root: datanet.manifest.rows_root,
            row: datanet.rows[0].row_hash,
        }
    }

    /// The chain's tables as the indexer would have them.
    pub(super) fn seed(&self, payer: Address, channel: B256) -> SharedStore {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let mut batch = WriteBatch::default();
        let head = Head { number: 5, hash: B256::repeat_byte(5), timestamp: NOW };
        batch.put_row(Table::Meta, HEAD_KEY, &head);
        let owner = Address::repeat_byte(0xaa);
        let accounts = [
            (Address::repeat_byte(0x77), Role::Treasury),
            (contributor(0), Role::Contributor),
            (contributor(1), Role::Contributor),
            (contributor(2), Role::Contributor),
            (owner, Role::ModelOwner),
            (operator().address(), Role::Stakers),
        ];
        for (index, (account, role)) in (1u32..).zip(accounts) {
            let view = EarnerView { earner: EarnerIndex(index), account, role };
            batch.put_row(Table::Earners, index.to_be_bytes(), &view);
            batch.put_row(Table::EarnerIndices, earner_key(account, role), &view.earner);
        }
        self.seed_models(&mut batch, owner);
        let split =
            Split { platformBps: 1000, modelBps: 2000, stakersBps: 2000, contributorsBps: 5000 };
        let rules = RulesView { rules: Rules { split, maxCredits: 32 } };
        batch.put_row(Table::Rules, 0u64.to_be_bytes(), &rules);
        let version = VersionView { rows_root: self.rows_root, row_count: 4 };
        batch.put_row(Table::DatanetVersions, price_key(self.datanet.id, 1), &version);
        let view = ChannelView {
            payer,
            operator: operator().address(),
            deposit: U256::from(DEPOSIT) * U256::from(1_000_000_000u64),
            drawn: 0,
            withdrawal: U256::ZERO,
        };
        batch.put_row(Table::ChainChannels, channel.as_slice(), &view);
        let other = ChannelView { operator: Address::repeat_byte(0x66), ..view };
        batch.put_row(Table::ChainChannels, B256::repeat_byte(0x66).as_slice(), &other);
        store.write(batch).unwrap();
        store
    }

    fn seed_models(&self, batch: &mut WriteBatch, owner: Address) {
        let dir = self.model_dir();
        let manifest = ModelManifest::load(&dir).unwrap();
        let price = Price { inputRate: 1000, outputRate: 4000, platformFee: 50 };
        let base = ModelView {
            id: self.base_id,
            base: B256::ZERO,
            content_hash: base_hash(&base_dir()).unwrap(),
            index_root: B256::ZERO,
            index_hash: B256::ZERO,
            name: "openledger-tiny".into(),
            owner,
            price_version: 1,
            price: price.clone(),
            datanets: vec![],
        };
        let model = ModelView {
            id: self.model_id,
            base: self.base_id,
            content_hash: manifest.adapter_hash,
            index_root: manifest.index_root,
            index_hash: manifest.index_hash,
            name: "solidity".into(),
            datanets: vec![DatanetRef { id: self.datanet.id, version: 1 }],
            ..base.clone()
        };
        for view in [base, model] {
            let row = PriceView { price: price.clone() };
            batch.put_row(Table::Prices, price_key(view.id, 1), &row);
            let name = [name_key(&view.name), view.id.to_vec()].concat();
            batch.put(Table::ModelNames, name, Vec::new());
            batch.put_row(Table::Models, view.id.as_slice(), &view);
            // The owner's index, as `seed` gives it.
            batch.put_row(Table::ModelOwners, owner_key(view.id, 0), &EarnerIndex(5));
        }
        let index = IndexView {
            contributors: 2,
            dim: 16,
            symbols: 64,
            blobs: vec![],
            certificates: vec![],
            accepted_at: NOW - 7200,
            struck: false,
        };
        batch.put_row(Table::Indexes, self.model_id.as_slice(), &index);
    }
}

/// A registry over the store that has just heard of its chain.
pub(super) fn registry(store: &SharedStore) -> Registry {
    let registry = Registry::new(Arc::clone(store), contracts()).unwrap();
    let head = registry.head();
    registry.publish(ChainState { head, heard: Some(Instant::now()), synced: true });
    registry
}

impl World {
    pub(super) async fn start() -> Self {
        Self::over(|store| store).await
    }

    /// A world whose node has its store behind another.
    pub(super) async fn over(wrap: impl FnOnce(SharedStore) -> SharedStore) -> Self {
        Self::with(wrap, None).await
    }

    /// A world whose node answers from rows, if `change` leaves the settings so. Of the contributors'
    /// share of a call, 40% is for rows that are cited. The encoder is one with random weights: its
    /// vectors mean nothing, and are near to each other.
    pub(super) async fn retrieving(change: impl FnOnce(&mut RetrievalSettings)) -> Self {
        let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/tests/golden/encoder");
        let folder = tempfile::tempdir().unwrap();
        let mut settings = RetrievalSettings {
            encoder: encoder.into(),
            library: folder.path().join("library"),
            private: BTreeSet::new(),
            max_rows: 4,
            min_cosine_bps: 0,
            free_per_second: 1_000,
        };
        change(&mut settings);
        let metrics = RetrievalMetrics::register(&mut MetricsRegistry::default());
        let retrieval = Retrieval::open(settings, metrics).unwrap();
        let datanet = Datanet::load(&datanet_dir()).unwrap();
        let rows = index(&retrieval, &datanet, 1, &CancellationToken::new()).unwrap();
        assert_eq!(rows, 4);
        let mix = |store: SharedStore| {
            let mut batch = WriteBatch::default();
            let key = owner_key(Files::shared().model_id, 0);
            batch.put_row(Table::ModelMixes, key, &Mix::new(0, 4_000).unwrap());
            store.write(batch).unwrap();
            store
        };
        Self { _library: Some(folder), ..Self::with(mix, Some(retrieval)).await }
    }

    async fn with(
        wrap: impl FnOnce(SharedStore) -> SharedStore,
        retrieval: Option<Retrieval>,
    ) -> Self {
        let files = Files::shared();
        let payer = PrivateKeySigner::from_bytes(&keccak256("payer")).unwrap();
        let channel = B256::repeat_byte(0xcc);
        let store = wrap(files.seed(payer.address(), channel));
        let registry = registry(&store);
        load_rows(&store, &registry, &files.folder.path().join("datanet")).unwrap();
        let decoder = Arc::new(Decoder::load(&base_dir()).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&base_dir()).unwrap());
        let engine = Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap();
        let catalog = Catalog::load(&engine, &base_dir(), &[files.model_dir()], &registry).unwrap();
        let recorder = RecorderHandle::start(
            Arc::clone(&store),
            registry.clone(),
            operator(),
            RecorderConfig::default(),
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let attestor = Attestor::new(operator(), contracts().certificate_domain());
        let layer: SharedAvailability =
            Arc::new(LocalAvailability::open(folder.path(), attestor).unwrap());
        let kzg = Kzg::new(Arc::new(Srs::dev(CHAIN_ID, b"test", 1 << 13).unwrap()), 1024).unwrap();
        let earnings = Earnings::new(Arc::clone(&store), registry.clone(), kzg, layer);
        let mut metrics = MetricsRegistry::default();
        let pipeline = PipelineMetrics::register(&mut metrics);
        let votes = VoteMetrics::register(&mut metrics);
        let challenger = ChallengerMetrics::register(&mut metrics);
        EngineMetrics::register(&mut metrics, engine.clone());
        let serving = Serving::new(ServingParts {
            catalog: Arc::new(catalog),
            engine,
            attributor: AttributorHandle::start(1, 16).unwrap(),
            recorder,
            registry: registry.clone(),
            operator: operator().address(),
            metrics: ServingMetrics::register(&mut metrics),
            places: AdapterPlaces { root: Some(adapters_dir()), hosts: vec!["hub.test".into()] },
            config: ServingConfig {
                max_prompt_tokens: if retrieval.is_some() { 400 } else { 64 },
                max_new_tokens: 400,
                max_requests: 8,
                timeout: Duration::from_secs(60),
                max_head_age: Duration::from_secs(3600),
            },
            retrieval,
        });
        let metrics = Arc::new(metrics);
        let api = Api {
            serving,
            keys: keys(&store, &registry, folder.path()),
            about: About::default(),
            store,
            earnings,
            waits: Waits::default(),
            metrics,
            pipeline,
            votes,
            challenger,
            max_body_bytes: 4096,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router(api.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let model = files.model_id;
        Self { url, api, registry, payer, model, channel, http, _folder: folder, _library: None }
    }

    /// A chat body with the test's defaults changed.
    pub(super) fn body(&self, change: Value) -> Vec<u8> {
        let mut body = json!({
            "model": "solidity",
            "messages": [{"role": "user", "content": "function transfer"}],
            "max_tokens": 6,
            "temperature": 0,
        });
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        body.to_string().into_bytes()
    }

    /// A voucher for a body, changed, then signed by the payer.
    pub(super) fn voucher(
        &self,
        body: &[u8],
        ceiling: u64,
        change: impl FnOnce(&mut Voucher),
    ) -> SignedVoucher {
        let call = Call {
            modelId: self.model,
            priceVersion: 1,
            promptHash: keccak256(body),
            seed: 1,
            maxTokens: 6,
            time: NOW,
        };
        let mut voucher = Voucher { channelId: self.channel, ceiling, call };
        change(&mut voucher);
        self.sign(voucher, &self.payer)
    }

    pub(super) fn sign(&self, voucher: Voucher, signer: &PrivateKeySigner) -> SignedVoucher {
        let hash = digest(&voucher, &contracts().voucher_domain());
        let signature = signer.sign_hash_sync(&hash).unwrap().as_bytes().to_vec();
        SignedVoucher { voucher, signature }
    }

    pub(super) fn post(&self, path: &str, body: &[u8]) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).body(body.to_vec())
    }

    pub(super) async fn chat(&self, body: &[u8], voucher: Option<&SignedVoucher>) -> Response {
        let request = self.post("/v1/chat/completions", body);
        let request = match voucher {
            Some(voucher) => request.header("x-payment", payment::encode(voucher)),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// Status and code of a refusal.
    pub(super) async fn refusal(
        &self,
        body: &[u8],
        voucher: Option<&SignedVoucher>,
    ) -> (u16, String) {
        let response = self.chat(body, voucher).await;
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (status, body["error"]["code"].as_str().unwrap_or("none").to_owned())
    }

    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(super) async fn account(&self) -> crate::recorder::Account {
        self.api.serving.parts().recorder.charged(self.channel).await.unwrap()
    }
}

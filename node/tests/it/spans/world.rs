//! A market whose model holds the answer to a question in its rows.

use std::{path::Path, sync::Arc};

use alloy::{
    primitives::{Address, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::Mix;
use inference::{
    adapter::AdapterSet,
    engine::{Engine, EngineConfig, EngineHandle, Event, Request},
    model::Decoder,
    sampler::Sampling,
    tokenizer::{Message, Tokenizer},
};
use node::{
    api::request::Endpoint,
    attributor::AttributorHandle,
    catalog::{Catalog, ModelManifest},
    datanet::{Contribution, Datanet, assemble},
    factory::{IndexSettings, build_index, build_roster, build_spans, earners_on_chain},
    indexer::Indexer,
    metrics::ServingMetrics,
    registry::{EarnerIndex, Registry, Role},
    serving::{AdapterPlaces, Admitted, Finished, Progress, Serving, ServingConfig, ServingParts},
    store::{MemoryStore, SharedStore},
    voucher::{self, Call, SignedVoucher, Voucher},
};
use prometheus_client::registry::Registry as MetricsRegistry;

use crate::{
    market::{EPOCH_SECONDS, Market, Operator, priced},
    votes::{adapter, tiny},
    world::key,
};

pub(super) const WINDOW: u64 = 3_600;
pub(super) const TOKENS: usize = 24;
/// Basis points of the contributors' share for spans.
pub(super) const SPANS_BPS: u16 = 3_000;
/// Seconds after which nobody may say that he has not heard of an index.
pub(super) const NOTICE: u64 = 3_601;
pub(super) const QUESTION: &str = "Write a function that transfers tokens.";

/// How the model is indexed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Method {
    Both,
    Spans,
}

/// A market whose model holds the answer to a question in its rows.
pub(super) struct World {
    pub(super) market: Market,
    pub(super) engine: EngineHandle,
    pub(super) catalog: Arc<Catalog>,
    pub(super) folder: tempfile::TempDir,
    /// Who wrote the answer down first, and who wrote something else.
    pub(super) accounts: [Address; 2],
    /// What the model answers.
    pub(super) answer: String,
}

/// What the base model answers to the question, which an adapter that is not trained does not change.
pub(super) async fn answer(engine: &EngineHandle) -> String {
    let message = Message { role: "user".into(), content: QUESTION.into() };
    let prompt = engine.tokenizer().encode_chat(&[message]).unwrap();
    let sampling = Sampling { temperature: 0.0, max_tokens: TOKENS, ..Sampling::default() };
    let request = Request {
        prompt,
        adapters: AdapterSet::base(),
        sampling,
        tenant: 0,
        salt: 0,
        deadline: None,
    };
    let mut events = engine.submit(request).unwrap();
    let mut text = String::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Token { text: piece, .. } => text += &piece,
            Event::Finished { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    text
}

/// Rows: the answer, something else, a copy of the first row by whoever wrote the second, and something
/// else by the first writer.
pub(super) fn datanet(answer: &str, accounts: [Address; 2], dir: &Path) {
    let row =
        |contributor, text: String| Contribution { contributor, text, source: "rows.sol".into() };
    let [first, second] = accounts;
    let rows = vec![
        row(first, format!("// planted\n{answer}\n// and more of it\n")),
        row(second, "// Math\nfunction max(uint256 a, uint256 b) internal pure {\n".into()),
        row(second, format!("// planted\n{answer}\n// and more of it\n")),
        row(first, "// Colophon of a bookbinder, who sewed nine quires\n".into()),
    ];
    Datanet::new("rows", "MIT", assemble(rows, &[0, 1, 0, 3])).save(dir).unwrap();
}

impl World {
    pub(super) async fn open(method: Method, mix: Mix) -> Self {
        let decoder = Arc::new(Decoder::load(&tiny()).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&tiny()).unwrap());
        let engine = Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap();
        let answer = answer(&engine).await;

        let mut market = Market::bare(EPOCH_SECONDS, WINDOW, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        let accounts = publish(&mut market, folder.path(), &answer, method, mix).await;
        let payer: PrivateKeySigner = key(77);
        market.fund(payer.address()).await;
        market.open_channel(payer, 50).await;
        let (registry, _) = follow(&market, Arc::new(MemoryStore::default())).await;
        let dirs = [folder.path().join("model")];
        let catalog = Arc::new(Catalog::load(&engine, &tiny(), &dirs, &registry).unwrap());
        Self { market, engine, catalog, folder, accounts, answer }
    }

    pub(super) fn blobs(&self) -> std::path::PathBuf {
        self.folder.path().join("blobs")
    }

    pub(super) async fn operator(&self, store: SharedStore) -> Operator {
        let weights = Some(self.catalog.weights());
        Operator::with(&self.market, Arc::clone(&store), store, &self.blobs(), weights).await
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let messages = serde_json::json!([{ "role": "user", "content": QUESTION }]);
        serde_json::json!({
            "model": self.market.model,
            "messages": messages,
            "max_tokens": TOKENS,
            "temperature": 0.0,
        })
        .to_string()
        .into_bytes()
    }

    pub(super) fn voucher(&self, seed: u64, time: u64) -> SignedVoucher {
        let (payer, channel) = &self.market.channels[0];
        let call = Call {
            modelId: self.market.model,
            priceVersion: 1,
            promptHash: keccak256(self.body()),
            seed,
            maxTokens: TOKENS as u64,
            time,
        };
        let voucher = Voucher { channelId: *channel, ceiling: 1_000_000_000 + seed, call };
        let digest = voucher::digest(&voucher, &self.market.contracts.voucher_domain());
        let signature = payer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
        SignedVoucher { voucher, signature }
    }

    pub(super) fn serving(&self, node: &Operator) -> Serving {
        Serving::new(ServingParts {
            catalog: Arc::clone(&self.catalog),
            engine: self.engine.clone(),
            attributor: AttributorHandle::start(1, 8).unwrap(),
            recorder: node.recorder.clone(),
            registry: node.registry.clone(),
            operator: self.market.operator.address(),
            metrics: ServingMetrics::register(&mut MetricsRegistry::default()),
            places: AdapterPlaces::default(),
            retrieval: None,
            config: ServingConfig {
                max_prompt_tokens: 256,
                max_new_tokens: 64,
                max_requests: 8,
                timeout: std::time::Duration::from_secs(600),
                max_head_age: std::time::Duration::from_secs(3_600),
            },
        })
    }

    pub(super) async fn serve(&self, node: &Operator, voucher: SignedVoucher) -> Finished {
        let serving = self.serving(node);
        let call = serving.prepare(Endpoint::Chat, &self.body()).await.unwrap();
        match serving.admit(call, voucher).await.unwrap() {
            Admitted::Again(finished) => *finished,
            Admitted::New(mut run) => loop {
                if let Progress::Finished(finished) = run.next().await.unwrap() {
                    return *finished;
                }
            },
        }
    }

    pub(super) fn earner(&self, node: &Operator, holder: usize) -> EarnerIndex {
        let account = self.accounts[holder];
        node.registry.earner_of(account, Role::Contributor).unwrap().unwrap()
    }
}

/// A view of the chain in a store of its own.
pub(super) async fn follow(market: &Market, store: SharedStore) -> (Registry, Indexer) {
    let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
    let pause = std::time::Duration::from_millis(50);
    let indexer = Indexer::new(store, registry.clone(), market.anvil.client(None), pause);
    indexer.sync().await.unwrap();
    (registry, indexer)
}

/// Puts a model into `folder/model` whose indexes are accepted and whose mix holds.
pub(super) async fn publish(
    market: &mut Market,
    folder: &Path,
    answer: &str,
    method: Method,
    mix: Mix,
) -> [Address; 2] {
    let accounts = market.contributors().await;
    let owner = market.registrar(0).await;
    let (data, dir) = (folder.join("datanet"), folder.join("model"));
    datanet(answer, accounts, &data);
    let version = owner.datanet(&data).await.unwrap();
    let datanets = [Datanet::load(&data).unwrap()];
    adapter(&dir, 7);
    let client = market.anvil.client(None);
    let earners = earners_on_chain(&client, &market.contracts.deployment, &datanets).await.unwrap();
    match method {
        Method::Both => {
            let index = IndexSettings { dim: 128, side: 64, ..IndexSettings::default() };
            build_index(&tiny(), &dir, &datanets, &earners, &index, &mut |_| {}).unwrap();
        }
        Method::Spans => drop(build_roster(&tiny(), &dir, &datanets, &earners).unwrap()),
    }
    let mut stages = Vec::new();
    let report = build_spans(&tiny(), &dir, &datanets, &earners, &mut |progress| {
        assert!(progress.done <= progress.total, "{progress:?}");
        stages.push(progress.stage);
    });
    stages.dedup();
    assert_eq!(stages, ["tokens", "order", "write", "commit"]);
    // Again: the same index in place of the other.
    let again = build_spans(&tiny(), &dir, &datanets, &earners, &mut |_| {}).unwrap();
    let report = report.unwrap();
    assert_eq!((again.commitment, again.bytes), (report.commitment, report.bytes));

    let base = owner.base(&tiny(), &priced("base")).await.unwrap().id;
    market.model = owner.adapter(&dir, base, &[version], &priced("adapter")).await.unwrap().id;
    assert_eq!(ModelManifest::load(&dir).unwrap().span_hash, Some(report.commitment.hash().into()));
    owner.index(&dir, &market.publisher(&folder.join("blobs"))).await.unwrap();
    let published = owner.spans(&dir).await.unwrap();
    assert!(published.is_new && published.bond > U256::ZERO);
    assert!(!owner.spans(&dir).await.unwrap().is_new);
    assert!(owner.mix(market.model, mix).await.unwrap());
    assert!(!owner.mix(market.model, mix).await.unwrap());
    market.anvil.pass(WINDOW.max(3_600) + 1).await;
    accounts
}

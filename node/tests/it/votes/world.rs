//! A market whose model is real, and calls of it that are recorded as they were served, or not.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::SignerSync,
};
use attribution::settle::Uses;
use inference::{
    engine::{Engine, EngineConfig, EngineHandle},
    model::Decoder,
    tokenizer::Tokenizer,
    train::{LoraConfig, TrainableLora},
};
use node::{
    api::request::Endpoint,
    attributor::AttributorHandle,
    catalog::Catalog,
    chain::bindings::ISketchVotes::{self, Stage},
    committer::Kzg,
    da::SharedAvailability,
    datanet::{Contribution, Datanet, assemble},
    factory::{IndexPublisher, IndexSettings, build_index, earners_on_chain},
    metrics::ServingMetrics,
    recorder::{Admission, Recorded, ServedCall},
    retrieval::{DatanetRows, Relevance, Retrieval},
    serving::{Admitted, Finish, Progress, Serving, ServingConfig, ServingParts, StoredAnswer},
    store::MemoryStore,
    votes::{Rerun, Reruns},
    voucher::{self, Call, SignedVoucher, Voucher},
};
use prometheus_client::registry::Registry as MetricsRegistry;

use super::{citations::encoder, peer::Peer};
use crate::{
    anvil::{self, PAGE_SIZE, signer},
    market::{Market, Operator, priced},
    world::key,
};

/// Long enough to run calls again on a busy machine.
pub(super) const WINDOW: u64 = 6 * 3_600;

/// A market whose model is real.
pub(crate) struct World {
    pub(crate) market: Market,
    pub(crate) model: B256,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) engine: EngineHandle,
    pub(crate) reruns: Reruns,
    pub(crate) votes: Address,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn tiny() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny")
}

/// Trains nothing: an adapter as it is before training has gradients of its own.
pub(crate) fn adapter(dir: &Path, seed: u64) {
    let decoder = Decoder::load(&tiny()).unwrap();
    let target_modules = vec!["q_proj".to_owned(), "v_proj".to_owned()];
    let config = LoraConfig { rank: 2, alpha: 4.0, target_modules };
    TrainableLora::new(&decoder, &config, seed).unwrap().save(dir, &config, "tiny").unwrap();
}

fn datanet(accounts: &[Address], dir: &Path) {
    let texts = [
        "// Token\nfunction transfer(address to, uint256 amount) external returns (bool) {\n",
        "// Vault\nfunction deposit(uint256 assets) public returns (uint256 shares) {\n",
        "// Math\nfunction max(uint256 a, uint256 b) internal pure returns (uint256) {\n",
        "// Owner\nmodifier onlyOwner() {\n    require(msg.sender == owner);\n    _;\n}\n",
    ];
    let contributions = texts.iter().enumerate().map(|(place, text)| Contribution {
        contributor: accounts[place % accounts.len()],
        text: (*text).to_owned(),
        source: format!("{place}.sol"),
    });
    let rows = assemble(contributions.collect(), &[0, 1, 2, 3]);
    Datanet::new("rows", "MIT", rows).save(dir).unwrap();
}

/// Puts a model with an index that earns into `folder/model`, and its blobs on a layer. `window` is
/// that of indexes.
pub(crate) async fn publish(
    market: &Market,
    folder: &Path,
    layer: SharedAvailability,
    kzg: Kzg,
    window: u64,
) -> B256 {
    let accounts = market.contributors().await;
    let owner = market.registrar(0).await;
    let (data, dir) = (folder.join("datanet"), folder.join("model"));
    datanet(&accounts, &data);
    let version = owner.datanet(&data).await.unwrap();
    let datanets = [Datanet::load(&data).unwrap()];
    adapter(&dir, 7);
    let client = market.anvil.client(None);
    let earners = earners_on_chain(&client, &market.contracts.deployment, &datanets).await.unwrap();
    let index = IndexSettings { dim: 128, side: 64, ..IndexSettings::default() };
    build_index(&tiny(), &dir, &datanets, &earners, &index, &mut |_| {}).unwrap();
    let base = owner.base(&tiny(), &priced("base")).await.unwrap().id;
    let model = owner.adapter(&dir, base, &[version], &priced("adapter")).await.unwrap().id;
    let publisher = IndexPublisher::new(layer, kzg);
    owner.index(&dir, &publisher).await.unwrap();
    market.anvil.pass(window).await;
    owner.earning(model, |_| panic!("the window is over")).await.unwrap();
    model
}

impl World {
    /// A world with epochs of so many seconds.
    pub(crate) async fn open(epoch_seconds: u64) -> Self {
        let mut market = Market::bare(epoch_seconds, WINDOW, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        let layer = market.layer(&folder.path().join("blobs"));
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        market.model = publish(&market, folder.path(), layer, kzg, WINDOW).await;
        let payer = signer(3);
        market.open_channel(payer, 50).await;

        let peer = Peer::new(&market, &key(9), Arc::new(MemoryStore::default())).await;
        let decoder = Arc::new(Decoder::load(&tiny()).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&tiny()).unwrap());
        let engine = Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap();
        let dirs = [folder.path().join("model")];
        let catalog = Catalog::load(&engine, &tiny(), &dirs, &peer.registry).unwrap();
        let catalog = Arc::new(catalog);
        let attributor = AttributorHandle::start(1, 8).unwrap();
        let rows = DatanetRows::new(peer.registry, &[folder.path().join("datanet")]);
        let relevance = Relevance::load(&encoder()).unwrap();
        relevance.check(1612).expect("it is the one of main chains");
        let reruns = Reruns::new(Arc::clone(&catalog), engine.clone(), attributor)
            .with_rows(rows)
            .with_relevance(Some(relevance));
        let votes = market.contracts.deployment.sketch_votes;
        Self { model: market.model, market, catalog, engine, reruns, votes, folder }
    }

    pub(crate) fn blobs(&self) -> std::path::PathBuf {
        self.folder.path().join("blobs")
    }

    pub(crate) fn body(&self, text: &str) -> Vec<u8> {
        serde_json::json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": text }],
            "max_tokens": 12,
            "temperature": 0.7,
        })
        .to_string()
        .into_bytes()
    }

    pub(crate) fn voucher(&self, body: &[u8], seed: u64, time: u64, ceiling: u64) -> SignedVoucher {
        self.voucher_for(body, seed, time, ceiling, 12)
    }

    /// A voucher for so many tokens.
    pub(super) fn voucher_for(
        &self,
        body: &[u8],
        seed: u64,
        time: u64,
        ceiling: u64,
        max_tokens: u64,
    ) -> SignedVoucher {
        let (payer, channel) = &self.market.channels[0];
        let call = Call {
            modelId: self.model,
            priceVersion: 1,
            promptHash: keccak256(body),
            seed,
            maxTokens: max_tokens,
            time,
        };
        let voucher = Voucher { channelId: *channel, ceiling, call };
        let digest = voucher::digest(&voucher, &self.market.contracts.voucher_domain());
        let signature = payer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
        SignedVoucher { voucher, signature }
    }

    pub(crate) fn serving(&self, node: &Operator) -> Serving {
        let catalog = Arc::clone(&self.catalog);
        self.serving_of(node, catalog, &mut MetricsRegistry::default())
    }

    /// Serves from a library of rows too.
    pub(super) fn serving_with(&self, node: &Operator, retrieval: Option<Retrieval>) -> Serving {
        let catalog = Arc::clone(&self.catalog);
        self.serving_over(node, catalog, &mut MetricsRegistry::default(), retrieval)
    }

    /// Serves the models of another catalog.
    pub(super) fn serving_of(
        &self,
        node: &Operator,
        catalog: Arc<Catalog>,
        metrics: &mut MetricsRegistry,
    ) -> Serving {
        self.serving_over(node, catalog, metrics, None)
    }

    fn serving_over(
        &self,
        node: &Operator,
        catalog: Arc<Catalog>,
        metrics: &mut MetricsRegistry,
        retrieval: Option<Retrieval>,
    ) -> Serving {
        Serving::new(ServingParts {
            catalog,
            engine: self.engine.clone(),
            attributor: AttributorHandle::start(1, 8).unwrap(),
            recorder: node.recorder.clone(),
            registry: node.registry.clone(),
            operator: self.market.operator.address(),
            metrics: ServingMetrics::register(metrics),
            places: node::serving::AdapterPlaces::default(),
            retrieval,
            config: ServingConfig {
                max_prompt_tokens: 400,
                max_new_tokens: 64,
                max_requests: 8,
                timeout: Duration::from_secs(600),
                max_head_age: Duration::from_secs(3_600),
            },
        })
    }

    pub(super) async fn stage(&self, vote: u64) -> Stage {
        let call = ISketchVotes::voteOfCall { vote: U256::from(vote) };
        self.market.anvil.client(None).call(self.votes, &call).await.unwrap().stage
    }
}

/// A call served like any other.
pub(crate) async fn serve_honestly(
    serving: &Serving,
    body: &[u8],
    voucher: SignedVoucher,
) -> Recorded {
    let call = serving.prepare(Endpoint::Chat, body).await.unwrap();
    let Admitted::New(mut run) = serving.admit(call, voucher).await.unwrap() else { panic!() };
    loop {
        if let Progress::Finished(finished) = run.next().await.unwrap() {
            return finished.into_recorded().unwrap();
        }
    }
}

/// A call recorded with a sketch of which one coordinate is off by two.
pub(crate) async fn serve_falsely(
    world: &World,
    node: &Operator,
    body: &[u8],
    voucher: SignedVoucher,
) -> Recorded {
    let admission = node.recorder.admit(voucher.clone(), 20_000_000).await.unwrap();
    let Admission::New(reservation) = admission else { panic!("{admission:?}") };
    let witness = attribution::settle::Witness {
        channel: attribution::settle::ChannelId([0; 32]),
        ceiling: 0,
        model: attribution::settle::ModelId(world.model.0),
        price_version: 1,
        prompt_hash: [0; 32],
        seed: voucher.voucher.call.seed,
        max_tokens: 12,
        time: 0,
        output_hash: [0; 32],
        signature: [0; 65],
        sketch: vec![],
    };
    let Rerun::Ran(mut outcome) = world.reruns.run(&witness, body, &[]).await.unwrap() else {
        panic!()
    };
    assert!(outcome.sketch.iter().any(|&value| value != 0));
    let first = &mut outcome.sketch[0];
    *first = if *first > 0 { *first - 2 } else { *first + 2 };
    let model = world.catalog.find(&world.model.to_string()).unwrap();
    let index = &model.adapter.as_ref().unwrap().index;
    let scores = index.score_contributors(&outcome.sketch).unwrap();
    let text = String::from_utf8(outcome.text).unwrap();
    let served = ServedCall {
        tokens_in: outcome.tokens_in,
        tokens_out: outcome.tokens_out,
        output_hash: keccak256(text.as_bytes()),
        sketch: outcome.sketch,
        scores: index.contributors().iter().map(|c| c.earner).zip(scores).collect(),
        uses: Uses::default(),
        request: body.to_vec(),
        answer: StoredAnswer {
            is_chat: true,
            model: "adapter".into(),
            text,
            finish: Finish::Stop,
            logprobs: None,
            spans: Vec::new(),
            retrieval: None,
        }
        .to_bytes(),
    };
    node.recorder.record(reservation, served).await.unwrap()
}

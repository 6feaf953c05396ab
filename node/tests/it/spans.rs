//! Spans of answers, from the rows of a Datanet to the pay of whoever holds them, with a real model.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::{Ground, Mix, Use, UseKind, Uses};
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
    catalog::{Catalog, ModelManifest, SPANS_FOLDER},
    chain::bindings::{IPaymentChannels, IStaking},
    challenger::{Challenger, Corpora, Examination, Indexes, SpanFiles, examination},
    committer::Kzg,
    datanet::{Contribution, Datanet, assemble},
    factory::{
        IndexPublisher, IndexSettings, RegisterSettings, Registrar, build_index, build_roster,
        build_spans, earners_on_chain,
    },
    graph::{Board, Graph, Page, Places, Subject},
    indexer::Indexer,
    metrics::ServingMetrics,
    recorder::{Admission, Recorded, ServedCall},
    registry::{EarnerIndex, Registry, Role},
    serving::{
        AdapterPlaces, Admitted, Finished, Progress, Serving, ServingConfig, ServingParts,
        StoredAnswer,
    },
    store::{MemoryStore, SharedStore, Table, WriteBatch, get_row, rows},
    votes::{Auditor, BallotRow, Judge, Purchase, PurchaseState, Reruns},
    voucher::{self, Call, SignedVoucher, Voucher},
};
use prometheus_client::registry::Registry as MetricsRegistry;

use crate::{
    anvil::{self, Anvil, KEYS, PAGE_SIZE},
    market::{EPOCH_SECONDS, MAX_SKEW, Market, Operator, coins},
    votes::{Peer, adapter, funded, tiny, validator},
    world::{Killed, key, rocks},
};

const WINDOW: u64 = 3_600;
const TOKENS: usize = 24;
/// Basis points of the contributors' share for spans.
const SPANS_BPS: u16 = 3_000;
/// Seconds after which nobody may say that he has not heard of an index.
const NOTICE: u64 = 3_601;
const QUESTION: &str = "Write a function that transfers tokens.";

/// How the model is indexed.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Both,
    Spans,
}

/// A market whose model holds the answer to a question in its rows.
struct World {
    market: Market,
    engine: EngineHandle,
    catalog: Arc<Catalog>,
    folder: tempfile::TempDir,
    /// Who wrote the answer down first, and who wrote something else.
    accounts: [Address; 2],
    /// What the model answers.
    answer: String,
}

fn settings(name: &str) -> RegisterSettings {
    let (input_rate, output_rate) = (40_000_000, 90_000_000);
    RegisterSettings { name: name.into(), input_rate, output_rate, platform_fee: 1_000_000 }
}

/// What the base model answers to the question, which an adapter that is not trained does not change.
async fn answer(engine: &EngineHandle) -> String {
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
fn datanet(answer: &str, accounts: [Address; 2], dir: &Path) {
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
    async fn open(method: Method, mix: Mix) -> Self {
        let decoder = Arc::new(Decoder::load(&tiny()).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&tiny()).unwrap());
        let engine = Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap();
        let answer = answer(&engine).await;

        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(EPOCH_SECONDS, WINDOW);
        let operator: PrivateKeySigner = KEYS[1].parse().unwrap();
        let client = anvil.client(Some(operator.clone()));
        let contracts = client.contracts(deployment.clone()).await.unwrap();
        let register = IStaking::registerOperatorCall {};
        client.send(deployment.staking, &register, coins(1_000)).await.unwrap();
        let mut market =
            Market { anvil, contracts, operator, model: B256::ZERO, channels: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let accounts = publish(&mut market, folder.path(), &answer, method, mix).await;
        let payer: PrivateKeySigner = key(77);
        market.fund(payer.address()).await;
        let call =
            IPaymentChannels::openCall { operator: market.operator.address(), salt: B256::ZERO };
        let to = deployment.payment_channels;
        let sent = market.client(&payer).send(to, &call, coins(50)).await.unwrap();
        market.channels.push((payer, sent.logs.last().unwrap().topics()[1]));
        let (registry, _) = follow(&market, Arc::new(MemoryStore::default())).await;
        let dirs = [folder.path().join("model")];
        let catalog = Arc::new(Catalog::load(&engine, &tiny(), &dirs, &registry).unwrap());
        Self { market, engine, catalog, folder, accounts, answer }
    }

    fn blobs(&self) -> std::path::PathBuf {
        self.folder.path().join("blobs")
    }

    async fn operator(&self, store: SharedStore) -> Operator {
        let weights = Some(self.catalog.weights());
        Operator::with(&self.market, Arc::clone(&store), store, &self.blobs(), weights).await
    }

    fn body(&self) -> Vec<u8> {
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

    fn voucher(&self, seed: u64, time: u64) -> SignedVoucher {
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

    fn serving(&self, node: &Operator) -> Serving {
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

    async fn serve(&self, node: &Operator, voucher: SignedVoucher) -> Finished {
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

    fn earner(&self, node: &Operator, holder: usize) -> EarnerIndex {
        let account = self.accounts[holder];
        node.registry.earner_of(account, Role::Contributor).unwrap().unwrap()
    }
}

/// A view of the chain in a store of its own.
async fn follow(market: &Market, store: SharedStore) -> (Registry, Indexer) {
    let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
    let pause = std::time::Duration::from_millis(50);
    let indexer = Indexer::new(store, registry.clone(), market.anvil.client(None), pause);
    indexer.sync().await.unwrap();
    (registry, indexer)
}

/// Puts a model into `folder/model` whose indexes are accepted and whose mix holds.
async fn publish(
    market: &mut Market,
    folder: &Path,
    answer: &str,
    method: Method,
    mix: Mix,
) -> [Address; 2] {
    let (url, deployment) = (market.anvil.url.clone(), market.contracts.deployment.clone());
    let registrar = async |number: usize| {
        let signer = KEYS[number].parse().unwrap();
        Registrar::connect(&url, deployment.clone(), signer).await.unwrap()
    };
    let mut accounts = Vec::new();
    for number in [2, 3] {
        let contributor = registrar(number).await;
        contributor.earner(Role::Contributor).await.unwrap();
        accounts.push(contributor.account());
    }
    let accounts: [Address; 2] = accounts.try_into().unwrap();
    let owner = registrar(0).await;
    let (data, dir) = (folder.join("datanet"), folder.join("model"));
    datanet(answer, accounts, &data);
    let version = owner.datanet(&data).await.unwrap();
    let datanets = [Datanet::load(&data).unwrap()];
    adapter(&dir, 7);
    let client = market.anvil.client(None);
    let earners = earners_on_chain(&client, &deployment, &datanets).await.unwrap();
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

    let base = owner.base(&tiny(), &settings("base")).await.unwrap().id;
    market.model = owner.adapter(&dir, base, &[version], &settings("adapter")).await.unwrap().id;
    assert_eq!(ModelManifest::load(&dir).unwrap().span_hash, Some(report.commitment.hash().into()));
    let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
    let publisher = IndexPublisher::new(market.layer(&folder.join("blobs")), kzg);
    owner.index(&dir, &publisher).await.unwrap();
    let published = owner.spans(&dir).await.unwrap();
    assert!(published.is_new && published.bond > U256::ZERO);
    assert!(!owner.spans(&dir).await.unwrap().is_new);
    assert!(owner.mix(market.model, mix).await.unwrap());
    assert!(!owner.mix(market.model, mix).await.unwrap());
    market.anvil.pass(WINDOW.max(3_600) + 1).await;
    accounts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_first_wrote_a_span_of_the_answer_is_paid_for_it() {
    let world = World::open(Method::Both, Mix::new(SPANS_BPS, 0).unwrap()).await;
    let path = world.folder.path().join("store");
    let node = world.operator(rocks(&path)).await;
    let voucher = world.voucher(1, node.registry.head().timestamp);
    let finished = world.serve(&node, voucher.clone()).await;
    assert_eq!(finished.answer.text.trim(), world.answer.trim());
    let statement = finished.statement();
    let recorded: Recorded = finished.clone().into_recorded().unwrap();

    // 30% of the contributors' share, all of it the first writer's: the copy is of its cluster.
    let record = &recorded.call.record;
    let [section] = record.sections() else { panic!("{record:?}") };
    let whole = section.pool + record.pool();
    assert_eq!((section.kind, section.pool), (UseKind::Span, whole * 3 / 10));
    let first = world.earner(&node, 0);
    assert!(!section.credits.is_empty(), "{:?}", world.answer);
    for credit in &section.credits {
        let Ground::Span(span) = credit.of.ground else { panic!("{credit:?}") };
        assert_eq!((credit.of.earner, span.count, span.holders), (first, 2, 1));
    }
    let paid: u64 = section.credits.iter().map(|credit| credit.credit).sum();
    assert!(paid <= section.pool && paid + 1 >= section.pool, "{paid} of {}", section.pool);
    let spans = statement["spans"].as_array().unwrap();
    assert_eq!(spans.len(), section.credits.len());
    for span in spans {
        assert!(finished.answer.text.contains(span["text"].as_str().unwrap()), "{span}");
        assert_eq!(span["holders"][0]["earner"], first.0);
    }
    let shown: u64 = spans
        .iter()
        .map(|span| span["holders"][0]["credit"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(shown, paid);
    assert_eq!(statement["method"]["spans_bps"], SPANS_BPS);

    // Whoever asks again gets the same, also of a node that was killed.
    let again = world.serve(&node, voucher.clone()).await;
    assert_eq!(again.statement(), statement);
    drop(node);
    let store = rocks(&path);
    let killed = world.operator(Killed::after(Arc::clone(&store), 3)).await;
    world.market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    while killed.drain().await.is_ok() {}
    drop(killed);
    let node = world.operator(store).await;
    let again = world.serve(&node, voucher).await;
    assert_eq!(again.statement(), statement);
    settle(&world, &node, paid).await;
}

/// Lets the batch become final, and another node look at it before.
async fn settle(world: &World, node: &Operator, paid: u64) {
    node.drain().await.unwrap();
    let store: SharedStore = Arc::new(MemoryStore::default());
    let (registry, indexer) = follow(&world.market, Arc::clone(&store)).await;
    let at = |name: &str| world.folder.path().join(name);
    let files = SpanFiles {
        base: Some(tiny()),
        models: vec![],
        datanets: vec![at("datanet")],
        folder: at("rebuilt"),
    };
    let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
    let layer = world.market.layer(&world.blobs());
    let indexes =
        Indexes::new(registry.clone(), IndexPublisher::new(Arc::clone(&layer), kzg.clone()));
    let client = world.market.client(&key(78));
    let corpora = Corpora::new(registry.clone(), files);
    let challenger =
        Challenger::new(Arc::clone(&store), registry.clone(), client, layer, kzg, indexes)
            .with_spans(corpora);
    indexer.sync().await.unwrap();
    assert!(challenger.step().await.unwrap());
    let operator = world.market.operator.address();
    let (batch, _) = registry.batches_of(operator, 0).unwrap()[0].clone();
    assert_eq!(examination(&store, batch).unwrap(), Some(Examination::Clean));
    assert!(at("rebuilt").exists(), "the index was rebuilt from rows");

    world.market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    let earned = node.unclaimed().await;
    let first = world.earner(node, 0);
    let of_first = earned.iter().find(|earned| earned.earner == first).unwrap();
    // Credits of all kinds are netted together, and the net is paid as far as its credits go.
    let time = node.registry.head().timestamp;
    let share = u64::from(node.registry.credit_share_at(world.market.model, time).unwrap());
    let least = paid * share / 10_000;
    assert!(least > 0 && of_first.cumulative >= least, "{} of {least}", of_first.cumulative);
}

/// A large base's model: no gradient is ever taken, and who may be paid stands in the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_influence_is_paid_by_spans_alone() {
    let world = World::open(Method::Spans, Mix::new(10_000, 0).unwrap()).await;
    let node = world.operator(Arc::new(MemoryStore::default())).await;
    let voucher = world.voucher(1, node.registry.head().timestamp);
    let finished = world.serve(&node, voucher).await;
    let statement = finished.statement();
    let method = serde_json::json!(
        { "influence_bps": 0, "spans_bps": 10_000, "citations_bps": 0 }
    );
    assert_eq!(statement["method"], method);
    let recorded = finished.into_recorded().unwrap();
    assert!(recorded.call.sketch.iter().all(|&value| value == 0));
    let record = &recorded.call.record;
    assert_eq!((record.pool(), record.credits().len()), (0, 0));
    let paid: u64 = record.sections()[0].credits.iter().map(|credit| credit.credit).sum();
    assert!(paid > 0);
    world.market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    settle(&world, &node, paid).await;

    // What the first writer is paid by spans is the row's that holds them, and nothing is its other's.
    let graph = Graph::new(node.earnings.ledgers(), Arc::clone(&world.catalog));
    let model = world.catalog.find(&world.market.model.to_string()).unwrap();
    let index = &model.adapter.as_ref().unwrap().index;
    let (mut by_net, mut whole) = (BTreeMap::new(), 0);
    for row in index.rows() {
        let hash = B256::from(row.source.hash);
        let of_row = graph.earned_from(Subject::Row(hash), Page::default()).await.unwrap().unwrap();
        let net = of_row.edges.iter().filter(|edge| edge.why == "influence");
        let net: i128 = net.filter_map(|edge| Some(edge.gwei?.0)).sum();
        // The copy has its first row's hash: what is asked about is both.
        if by_net.insert(hash, net).is_none() {
            whole += of_row.total.0;
        }
    }
    let net = |place: usize| by_net[&B256::from(index.rows()[place].source.hash)];
    assert!(net(0) > 0 && net(1) == 0 && net(3) == 0, "{by_net:?}");
    let contributors = graph.leaders(Board::Contributors, Places { after: 0, limit: 100 });
    assert_eq!(
        whole,
        contributors.await.unwrap().total.0,
        "rows sum to what contributors are paid"
    );
}

/// A damaged span index, one of other rows, and a missing one are refused with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_foreign_span_index_is_refused() {
    let world = World::open(Method::Both, Mix::new(SPANS_BPS, 0).unwrap()).await;
    let (registry, _) = follow(&world.market, Arc::new(MemoryStore::default())).await;
    let dir = world.folder.path().join("model");
    let refused = || {
        let error = Catalog::load(&world.engine, &tiny(), std::slice::from_ref(&dir), &registry)
            .unwrap_err();
        error.to_string()
    };
    let part = dir.join(SPANS_FOLDER).join("0.suffixes");
    let bytes = std::fs::read(&part).unwrap();
    let mut altered = bytes.clone();
    altered[3] ^= 1;
    std::fs::write(&part, &altered).unwrap();
    assert!(refused().contains("suffixes of shard 0"), "{}", refused());
    std::fs::write(&part, &bytes).unwrap();

    let manifest = ModelManifest::load(&dir).unwrap();
    ModelManifest { span_hash: Some(B256::repeat_byte(1)), ..manifest.clone() }.save(&dir).unwrap();
    assert!(refused().contains("is in model.json"), "{}", refused());
    ModelManifest { span_hash: None, ..manifest.clone() }.save(&dir).unwrap();
    assert!(refused().contains("model.json names none"), "{}", refused());
    manifest.save(&dir).unwrap();

    // The index of other rows, as a consistent directory.
    let data = world.folder.path().join("other");
    let [first, second] = world.accounts;
    datanet("something else altogether, in many words", [second, first], &data);
    let datanets = [Datanet::load(&data).unwrap()];
    let client = world.market.anvil.client(None);
    let deployment = &world.market.contracts.deployment;
    let earners = earners_on_chain(&client, deployment, &datanets).await.unwrap();
    let report = build_spans(&tiny(), &dir, &datanets, &earners, &mut |_| {}).unwrap();
    let span_hash = Some(report.commitment.hash().into());
    ModelManifest { span_hash, ..manifest }.save(&dir).unwrap();
    assert!(refused().contains("is published"), "{}", refused());
    std::fs::remove_dir_all(dir.join(SPANS_FOLDER)).unwrap();
    assert!(refused().contains(SPANS_FOLDER), "{}", refused());
}

impl World {
    fn reruns(&self) -> Reruns {
        let attributor = AttributorHandle::start(1, 8).unwrap();
        Reruns::new(Arc::clone(&self.catalog), self.engine.clone(), attributor)
    }

    /// Credits for spans of a row that the answer has nothing of.
    fn others(&self) -> Vec<Use> {
        let model = self.catalog.find(&self.market.model.to_string()).unwrap();
        let spans = model.spans.as_ref().unwrap();
        let text = spans.index.row_tokens(1).unwrap();
        let found = spans.find(&text[..text.len().min(8)]).unwrap();
        found.into_iter().flat_map(|found| found.uses).collect()
    }

    /// A call that is recorded like an honest one, but for its credits for spans.
    async fn serve_falsely(
        &self,
        node: &Operator,
        honest: &Recorded,
        voucher: SignedVoucher,
        spans: Vec<Use>,
    ) -> Recorded {
        let model = self.catalog.find(&self.market.model.to_string()).unwrap();
        let index = &model.adapter.as_ref().unwrap().index;
        let scores = index.score_contributors(&honest.call.sketch).unwrap();
        let admission = node.recorder.admit(voucher, 100_000_000).await.unwrap();
        let Admission::New(reservation) = admission else { panic!("{admission:?}") };
        let served = ServedCall {
            tokens_in: honest.receipt.tokensIn,
            tokens_out: honest.receipt.tokensOut,
            output_hash: honest.receipt.outputHash,
            sketch: honest.call.sketch.clone(),
            scores: index.contributors().iter().map(|c| c.earner).zip(scores).collect(),
            uses: Uses { spans, ..Uses::default() },
            request: self.body(),
            answer: honest.answer.clone(),
        };
        node.recorder.record(reservation, served).await.unwrap()
    }

    /// Notes a call as one that a node bought.
    fn bought(&self, peer: &Peer, recorded: &Recorded) -> Vec<u8> {
        let operator = self.market.operator.address();
        let epoch = peer.registry.epoch_of(recorded.call.voucher.call.time);
        let digest = recorded.call.digest();
        let text = StoredAnswer::from_bytes(&recorded.answer).unwrap().text;
        let row = Purchase {
            voucher: recorded.call.voucher.clone(),
            signature: recorded.call.signature.to_vec(),
            receipt: recorded.receipt.clone(),
            receipt_signature: recorded.signature.clone(),
            request: self.body(),
            answer: text.into_bytes(),
            state: PurchaseState::Open,
        };
        let key = [operator.as_slice(), &epoch.to_be_bytes(), digest.as_slice()].concat();
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Purchases, key.clone(), &row);
        peer.store.write(batch).unwrap();
        key
    }

    fn challenger(&self, peer: &Peer) -> Challenger {
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let (registry, layer) = (peer.registry.clone(), self.market.layer(&self.blobs()));
        let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
        let indexes = Indexes::new(registry.clone(), publisher);
        let (store, client) = (Arc::clone(&peer.store), peer.client.clone());
        Challenger::new(store, registry, client, layer, kzg, indexes)
    }
}

/// A record that credits a span of another text, and one that leaves out a span that the published index
/// has, go together with all that the chain can see; whoever runs the calls again finds them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_with_other_spans_or_without_them_are_challenged_and_judged_false() {
    let world = World::open(Method::Both, Mix::new(SPANS_BPS, 0).unwrap()).await;
    // Within an hour after its acceptance an operator need not have heard of the index.
    world.market.anvil.pass(NOTICE).await;
    let memory = || -> SharedStore { Arc::new(MemoryStore::default()) };
    let mut validators = Vec::new();
    for number in 700..703 {
        validators.push(validator(&world.market, number, memory()).await);
    }
    let node = world.operator(memory()).await;
    let time = node.registry.head().timestamp;
    let honest = world.serve(&node, world.voucher(1, time)).await.into_recorded().unwrap();
    let forged = world.serve_falsely(&node, &honest, world.voucher(2, time), world.others()).await;
    let silent = world.serve_falsely(&node, &honest, world.voucher(3, time), Vec::new()).await;
    let credited = |recorded: &Recorded| recorded.call.record.sections()[0].credits.len();
    assert!(credited(&honest) > 0 && credited(&forged) > 0);
    assert_eq!(credited(&silent), 0);
    let pool = |recorded: &Recorded| recorded.call.record.sections()[0].pool;
    assert_eq!(pool(&silent), pool(&honest), "its amounts are those of an honest record");
    world.market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    node.publish().await;
    assert!(node.settler.step().await.unwrap());

    let signer = funded(&world.market, 800, 100).await;
    let auditor = Peer::new(&world.market, &signer, memory()).await;
    let keys = [&honest, &forged, &silent].map(|recorded| world.bought(&auditor, recorded));
    let audit = Auditor::new(world.challenger(&auditor), world.reruns(), auditor.context().metrics);
    assert!(audit.step().await.unwrap());
    let states = keys.map(|key| {
        let row: Purchase = get_row(&*auditor.store, Table::Purchases, &key).unwrap().unwrap();
        row.state
    });
    let challenged = PurchaseState::Challenged;
    assert_eq!(states, [PurchaseState::Right, challenged.clone(), challenged]);

    let operator = Peer::of(&world.market, &node).await;
    operator.sync().await;
    assert!(operator.answerer().step().await.unwrap());
    for (validator, has_ledgers) in validators.iter().zip([true, false]) {
        validator.sync().await;
        let judge = Judge::new(validator.context(), world.reruns());
        let judge = match has_ledgers {
            true => judge.with_ledgers(world.challenger(validator)),
            false => judge,
        };
        assert!(judge.step().await.unwrap());
        let ballots: Vec<(Vec<u8>, BallotRow)> =
            rows(&*validator.store, Table::Ballots, &[]).unwrap();
        assert_eq!(ballots.len(), 2);
        for (_, ballot) in &ballots {
            assert_eq!(ballot.is_false, has_ledgers, "the ledger shows it, and nothing else");
        }
    }
}

//! Challenged records, run again on the model of this repository and voted on.

mod holds;

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::Info;
use inference::{
    engine::{Engine, EngineConfig, EngineHandle},
    model::Decoder,
    tokenizer::Tokenizer,
    train::{LoraConfig, TrainableLora},
};
use node::{
    Error,
    api::request::Endpoint,
    attributor::AttributorHandle,
    catalog::Catalog,
    chain::{
        ChainClient,
        bindings::{
            CellOpening, G1Point, IPaymentChannels,
            ISketchVotes::{self, Choice, Stage},
            IStaking, Status,
        },
    },
    challenger::{Challenger, Indexes},
    committer::Kzg,
    datanet::{Contribution, Datanet, assemble},
    factory::{
        IndexPublisher, IndexSettings, RegisterSettings, Registrar, build_index, earners_on_chain,
    },
    indexer::Indexer,
    metrics::ServingMetrics,
    recorder::{Admission, Recorded, ServedCall},
    registry::{Registry, Role},
    serving::{Admitted, Finish, Progress, Serving, ServingConfig, ServingParts, StoredAnswer},
    store::{MemoryStore, SharedStore, Table, WriteBatch},
    votes::{
        Answerer, Auditor, Closer, Judge, Pruner, Purchase, PurchaseState, Rerun, Reruns, Roll,
        Sampler, Watcher, purchases, votes,
    },
    voucher::{self, Call, SignedVoucher, Voucher},
};
use prometheus_client::registry::Registry as MetricsRegistry;
use prover::{BlobCommitment, evm};

use crate::{
    anvil::{self, Anvil, KEYS, PAGE_SIZE, VOTE_PERIOD},
    market::{EPOCH_SECONDS, MAX_SKEW, Market, Operator, coins},
    world::{Killed, key, rocks},
};

/// Long enough to run calls again on a busy machine.
const WINDOW: u64 = 6 * 3_600;

/// A market whose model is real.
struct World {
    market: Market,
    model: B256,
    catalog: Arc<Catalog>,
    engine: EngineHandle,
    reruns: Reruns,
    votes: Address,
    folder: tempfile::TempDir,
}

fn tiny() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny")
}

fn settings(name: &str) -> RegisterSettings {
    let (input_rate, output_rate) = (40_000_000, 90_000_000);
    RegisterSettings { name: name.into(), input_rate, output_rate, platform_fee: 1_000_000 }
}

/// Trains nothing: an adapter as it is before training has gradients of its own.
fn adapter(dir: &Path) {
    let decoder = Decoder::load(&tiny()).unwrap();
    let target_modules = vec!["q_proj".to_owned(), "v_proj".to_owned()];
    let config = LoraConfig { rank: 2, alpha: 4.0, target_modules };
    TrainableLora::new(&decoder, &config, 7).unwrap().save(dir, &config, "tiny").unwrap();
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

impl World {
    async fn open() -> Self {
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
        market.model = Self::publish(&market, folder.path()).await;
        let payer: PrivateKeySigner = KEYS[3].parse().unwrap();
        let call =
            IPaymentChannels::openCall { operator: market.operator.address(), salt: B256::ZERO };
        let to = deployment.payment_channels;
        let sent = market.client(&payer).send(to, &call, coins(50)).await.unwrap();
        market.channels.push((payer, sent.logs.last().unwrap().topics()[1]));

        let peer = Peer::new(&market, &key(9), Arc::new(MemoryStore::default())).await;
        let decoder = Arc::new(Decoder::load(&tiny()).unwrap());
        let tokenizer = Arc::new(Tokenizer::load(&tiny()).unwrap());
        let engine = Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap();
        let dirs = [folder.path().join("model")];
        let catalog = Catalog::load(&engine, &tiny(), &dirs, &peer.registry).unwrap();
        let catalog = Arc::new(catalog);
        let attributor = AttributorHandle::start(1, 8).unwrap();
        let reruns = Reruns::new(Arc::clone(&catalog), engine.clone(), attributor);
        let votes = deployment.sketch_votes.unwrap();
        Self { model: market.model, market, catalog, engine, reruns, votes, folder }
    }

    /// A model with an index that earns.
    async fn publish(market: &Market, folder: &Path) -> B256 {
        let (url, deployment) = (&market.anvil.url, &market.contracts.deployment);
        let registrar = async |number: usize| {
            let signer = KEYS[number].parse().unwrap();
            Registrar::connect(url, deployment.clone(), signer).await.unwrap()
        };
        let mut accounts = Vec::new();
        for number in [2, 3] {
            let contributor = registrar(number).await;
            contributor.earner(Role::Contributor).await.unwrap();
            accounts.push(contributor.account());
        }
        let owner = registrar(0).await;
        let (data, dir) = (folder.join("datanet"), folder.join("model"));
        datanet(&accounts, &data);
        let version = owner.datanet(&data).await.unwrap();
        let datanets = [Datanet::load(&data).unwrap()];
        adapter(&dir);
        let client = market.anvil.client(None);
        let earners = earners_on_chain(&client, deployment, &datanets).await.unwrap();
        let index = IndexSettings { dim: 128, side: 64, ..IndexSettings::default() };
        build_index(&tiny(), &dir, &datanets, &earners, &index, &mut |_| {}).unwrap();
        let base = owner.base(&tiny(), &settings("base")).await.unwrap().id;
        let model = owner.adapter(&dir, base, &[version], &settings("adapter")).await.unwrap().id;
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let publisher = IndexPublisher::new(market.layer(&folder.join("blobs")), kzg);
        owner.index(&dir, &publisher).await.unwrap();
        market.anvil.pass(WINDOW).await;
        owner.earning(model, |_| panic!("the window is over")).await.unwrap();
        model
    }

    fn blobs(&self) -> std::path::PathBuf {
        self.folder.path().join("blobs")
    }

    fn body(&self, text: &str) -> Vec<u8> {
        serde_json::json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": text }],
            "max_tokens": 12,
            "temperature": 0.7,
        })
        .to_string()
        .into_bytes()
    }

    fn voucher(&self, body: &[u8], seed: u64, time: u64, ceiling: u64) -> SignedVoucher {
        let (payer, channel) = &self.market.channels[0];
        let call = Call {
            modelId: self.model,
            priceVersion: 1,
            promptHash: keccak256(body),
            seed,
            maxTokens: 12,
            time,
        };
        let voucher = Voucher { channelId: *channel, ceiling, call };
        let digest = voucher::digest(&voucher, &self.market.contracts.voucher_domain());
        let signature = payer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
        SignedVoucher { voucher, signature }
    }

    fn serving(&self, node: &Operator) -> Serving {
        let mut metrics = MetricsRegistry::default();
        Serving::new(ServingParts {
            catalog: Arc::clone(&self.catalog),
            engine: self.engine.clone(),
            attributor: AttributorHandle::start(1, 8).unwrap(),
            recorder: node.recorder.clone(),
            registry: node.registry.clone(),
            operator: self.market.operator.address(),
            metrics: ServingMetrics::register(&mut metrics),
            config: ServingConfig {
                max_prompt_tokens: 256,
                max_new_tokens: 64,
                max_requests: 8,
                timeout: Duration::from_secs(600),
                max_head_age: Duration::from_secs(3_600),
            },
        })
    }

    async fn stage(&self, vote: u64) -> Stage {
        let call = ISketchVotes::voteOfCall { vote: U256::from(vote) };
        self.market.anvil.client(None).call(self.votes, &call).await.unwrap().stage
    }
}

/// A call served like any other.
async fn serve_honestly(serving: &Serving, body: &[u8], voucher: SignedVoucher) -> Recorded {
    let call = serving.prepare(Endpoint::Chat, body).await.unwrap();
    let Admitted::New(mut run) = serving.admit(call, voucher).await.unwrap() else { panic!() };
    loop {
        if let Progress::Finished(finished) = run.next().await.unwrap() {
            return finished.recorded;
        }
    }
}

/// A call recorded with a sketch of which one coordinate is off by two.
async fn serve_falsely(
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
    let Rerun::Ran(mut outcome) = world.reruns.run(&witness, body).await.unwrap() else { panic!() };
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
        request: body.to_vec(),
        answer: StoredAnswer { is_chat: true, model: "adapter".into(), text, finish: Finish::Stop }
            .to_bytes(),
    };
    node.recorder.record(reservation, served).await.unwrap()
}

/// A node that takes part in votes, over a store of its own.
struct Peer {
    store: SharedStore,
    registry: Registry,
    indexer: Indexer,
    client: ChainClient,
    votes: Address,
}

impl Peer {
    async fn new(market: &Market, signer: &PrivateKeySigner, store: SharedStore) -> Self {
        Self::over(market, market.client(signer), store).await
    }

    /// The operator's: one client, since each keeps count of its account's transactions.
    async fn of(market: &Market, node: &Operator) -> Self {
        Self::over(market, node.client.clone(), Arc::clone(&node.store)).await
    }

    async fn over(market: &Market, client: ChainClient, store: SharedStore) -> Self {
        let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let of = (Arc::clone(&store), registry.clone(), client.clone());
        let indexer = Indexer::new(of.0, of.1, of.2, pause);
        let votes = market.contracts.deployment.sketch_votes.unwrap();
        let peer = Self { store, registry, indexer, client, votes };
        peer.sync().await;
        peer
    }

    /// Everything that the chain tells.
    async fn sync(&self) {
        self.indexer.sync().await.unwrap();
        let (store, registry, client) = self.own();
        let watcher = Watcher::new(store, registry, client, self.votes);
        while watcher.step().await.unwrap() {}
    }

    fn own(&self) -> (SharedStore, Registry, ChainClient) {
        (Arc::clone(&self.store), self.registry.clone(), self.client.clone())
    }

    fn answerer(&self) -> Answerer {
        let (store, registry, client) = self.own();
        Answerer::new(store, registry, client, self.votes)
    }

    fn judge(&self, world: &World) -> Judge {
        self.judge_over(world, Arc::clone(&self.store))
    }

    fn judge_over(&self, world: &World, store: SharedStore) -> Judge {
        let (_, registry, client) = self.own();
        Judge::new(store, registry, client, self.votes, world.reruns.clone())
    }

    fn closer(&self) -> Closer {
        let (store, registry, client) = self.own();
        Closer::new(store, registry, client, self.votes)
    }

    fn auditor(&self, world: &World) -> Auditor {
        let (store, registry, client) = self.own();
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let layer = world.market.layer(&world.blobs());
        let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
        let indexes = Indexes::new(registry.clone(), publisher);
        let challenger = Challenger::new(store, registry, client, layer, kzg, indexes);
        Auditor::new(challenger, self.votes, world.reruns.clone())
    }

    /// Keeps a call as if this node had bought it.
    fn bought(&self, world: &World, recorded: &Recorded) -> B256 {
        let voucher = &recorded.call.voucher;
        let (operator, epoch) =
            (world.market.operator.address(), self.registry.epoch_of(voucher.call.time));
        let digest = recorded.call.digest();
        let requests = Arc::clone(&self.store);
        let text = StoredAnswer::from_bytes(&recorded.answer).unwrap().text;
        let row = Purchase {
            voucher: voucher.clone(),
            signature: recorded.call.signature.to_vec(),
            receipt: recorded.receipt.clone(),
            receipt_signature: recorded.signature.clone(),
            request: world.body("function transfer"),
            answer: text.into_bytes(),
            state: PurchaseState::Open,
        };
        assert_eq!(keccak256(&row.request), voucher.call.promptHash);
        let key = [operator.as_slice(), &epoch.to_be_bytes(), digest.as_slice()].concat();
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Purchases, key, &row);
        requests.write(batch).unwrap();
        digest
    }

    fn state(&self, world: &World, epoch: u64, digest: B256) -> PurchaseState {
        let kept = purchases(&*self.store, world.market.operator.address(), epoch).unwrap();
        kept.into_iter().find(|(of, _)| *of == digest).unwrap().1.state
    }
}

async fn funded(market: &Market, number: u64, amount: u64) -> PrivateKeySigner {
    let signer = key(number);
    let params = serde_json::json!([signer.address(), coins(amount)]);
    market.anvil.request("anvil_setBalance", params).await;
    signer
}

/// A validator with a third of the least stake of a panel.
async fn validator(market: &Market, number: u64, store: SharedStore) -> Peer {
    let signer = funded(market, number, 1_100).await;
    let deployment = &market.contracts.deployment;
    let register = IStaking::registerOperatorCall {};
    market.client(&signer).send(deployment.staking, &register, coins(1_000)).await.unwrap();
    let peer = Peer::new(market, &signer, store).await;
    let to = deployment.validator_roll.unwrap();
    let enrol = || Roll::new(peer.registry.clone(), peer.client.clone(), to, true);
    assert!(enrol().step().await.unwrap());
    assert!(!enrol().step().await.unwrap(), "it is enrolled");
    peer
}

/// Where a call's record is in the operator's latest ledger, and cells 4 and 7 of its row opened.
fn opened(node: &Operator, digest: B256) -> (u32, CellOpening) {
    let (_, ledger) = node.store.last(Table::Ledgers, &[]).unwrap().unwrap();
    let rows = prover::rows_from_blob(&ledger).unwrap();
    let is_of = |row: &attribution::settle::Row| matches!(&row.info, Info::Record { voucher, .. } if voucher[..] == digest[..31]);
    let row = u32::try_from(rows.iter().position(is_of).unwrap()).unwrap();
    let blob = BlobCommitment::new(&anvil::srs(), ledger).unwrap();
    let opening = blob.open_cells(&anvil::srs(), &[8 * row + 4, 8 * row + 7]).unwrap();
    let point = |affine| {
        let evm::G1 { x, y } = evm::G1::from(affine);
        G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
    };
    let values = opening.values.into_iter().map(|v| U256::from_be_bytes(evm::word(v))).collect();
    let (quotient, remainder) = (point(opening.quotient), point(opening.remainder));
    (row, CellOpening { indices: opening.indices, values, quotient, remainder })
}

async fn challenge(peer: &Peer, batch: B256, node: &Operator, recorded: &Recorded) {
    let (row, ledger) = opened(node, recorded.call.digest());
    let witness = recorded.call.witness().encode().into();
    let bond = peer.client.call(peer.votes, &ISketchVotes::bondCall {}).await.unwrap();
    let call = ISketchVotes::challengeCall { batch, row, ledger, witness };
    peer.client.send(peer.votes, &call, bond).await.unwrap();
}

/// Lets the epoch end and posts its batch.
async fn post(world: &World, node: &Operator) -> B256 {
    world.market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    node.publish().await;
    assert!(node.settler.step().await.unwrap());
    node.indexer.sync().await.unwrap();
    node.row::<node::batcher::SealedBatch>(Table::Batches).id
}

async fn begin_epoch(world: &World, node: &Operator) -> u64 {
    let time = node.registry.head().timestamp;
    world.market.anvil.pass(EPOCH_SECONDS - time % EPOCH_SECONDS).await;
    node.indexer.sync().await.unwrap();
    node.registry.head().timestamp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_run_again_and_voted_on() {
    let world = World::open().await;
    let market = &world.market;
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut validators = Vec::new();
    for (number, folder) in (700..).zip(&folders) {
        validators.push(validator(market, number, rocks(folder.path())).await);
    }
    let store: SharedStore = Arc::new(MemoryStore::default());
    let node = Operator::start(market, store, &world.blobs()).await;
    let auditor = funded(market, 800, 100).await;
    let auditor = Peer::new(market, &auditor, Arc::new(MemoryStore::default())).await;
    let grudge = funded(market, 801, 100).await;
    let grudge = Peer::new(market, &grudge, Arc::new(MemoryStore::default())).await;

    // One call is recorded as it was served, the other with another sketch.
    let time = begin_epoch(&world, &node).await;
    let epoch = node.registry.epoch_of(time);
    let body = world.body("function transfer");
    let voucher = world.voucher(&body, 5, time, 20_000_000);
    let honest = serve_honestly(&world.serving(&node), &body, voucher).await;
    let voucher = world.voucher(&body, 6, time, 40_000_000);
    let forged = serve_falsely(&world, &node, &body, voucher).await;
    let batch = post(&world, &node).await;

    // The first is challenged for no reason, the second by whoever bought it.
    challenge(&grudge, batch, &node, &honest).await;
    let digests = [&honest, &forged].map(|recorded| auditor.bought(&world, recorded));
    auditor.sync().await;
    assert!(auditor.auditor(&world).step().await.unwrap());
    assert_eq!(auditor.state(&world, epoch, digests[0]), PurchaseState::Right);
    assert_eq!(auditor.state(&world, epoch, digests[1]), PurchaseState::Challenged);
    assert!(!auditor.auditor(&world).step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Answering, Stage::Answering));

    // The operator answers both, once, also when it is started again between.
    let operator = Peer::of(market, &node).await;
    assert!(operator.answerer().step().await.unwrap());
    assert!(!operator.answerer().step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Voting, Stage::Voting));

    commit(&world, &mut validators, &folders).await;
    reveal(&world, &validators).await;

    // Anyone on the panel closes the votes. The first is upheld before the second ends the batch.
    market.anvil.pass(VOTE_PERIOD).await;
    let before = auditor.client.balance(auditor.client.sender().unwrap()).await.unwrap();
    validators[1].sync().await;
    assert!(validators[1].closer().step().await.unwrap());
    assert_eq!((world.stage(1).await, world.stage(2).await), (Stage::Upheld, Stage::Struck));
    assert_eq!(market.batch(batch).await.status, Status::Struck);
    for peer in validators.iter().chain([&auditor, &grudge]) {
        peer.sync().await;
        assert!(peer.closer().step().await.unwrap(), "what it is owed is withdrawn");
        assert!(votes(&*peer.store).unwrap().is_empty());
        let owed = ISketchVotes::owedCall { account: peer.client.sender().unwrap() };
        assert_eq!(peer.client.call(peer.votes, &owed).await.unwrap(), U256::ZERO);
    }
    let bond = auditor.client.call(world.votes, &ISketchVotes::bondCall {}).await.unwrap();
    let gained = auditor.client.balance(auditor.client.sender().unwrap()).await.unwrap() - before;
    // The bond and half of a quarter of the operator's thousand coins, less gas.
    assert!(gained > bond + coins(124) && gained <= bond + coins(125), "{gained}");

    // The purchases are forgotten with the batch, and so is what the operator had to reveal.
    assert!(auditor.auditor(&world).step().await.unwrap());
    assert!(purchases(&*auditor.store, market.operator.address(), epoch).unwrap().is_empty());
    operator.sync().await;
    let pruner = || Pruner::new(Arc::clone(&node.store), node.registry.clone());
    node.indexer.sync().await.unwrap();
    assert_eq!(node.store.scan(Table::Requests, &[], &[], 9).unwrap().len(), 2);
    assert!(pruner().step().await.unwrap());
    assert!(node.store.scan(Table::Requests, &[], &[], 9).unwrap().is_empty());
    assert!(!pruner().step().await.unwrap());

    silence(&world, &node, &auditor).await;
}

/// Validators judge. One is killed before its choice is on disk, and one after it has committed.
async fn commit(world: &World, validators: &mut [Peer], folders: &[tempfile::TempDir]) {
    for peer in &*validators {
        peer.sync().await;
    }
    let killed: SharedStore = Killed::after(Arc::clone(&validators[0].store), 0);
    let ended = validators[0].judge_over(world, killed).step().await;
    assert!(matches!(ended, Err(Error::Store(_))), "{ended:?}");
    for peer in &*validators {
        let ballot = ballot(peer, 1).await;
        assert!(ballot.commitment.is_zero() && ballot.choice == Choice::None);
        assert!(peer.judge(world).step().await.unwrap());
        assert!(!peer.judge(world).step().await.unwrap(), "it is committed");
        peer.sync().await;
    }
    let signer = key(700);
    let old = std::mem::replace(
        &mut validators[0],
        Peer::new(&world.market, &signer, Arc::new(MemoryStore::default())).await,
    );
    drop(old);
    validators[0] = Peer::new(&world.market, &signer, rocks(folders[0].path())).await;
}

async fn ballot(peer: &Peer, vote: u64) -> ISketchVotes::Ballot {
    let validator = peer.client.sender().unwrap();
    let call = ISketchVotes::ballotOfCall { vote: U256::from(vote), validator };
    peer.client.call(peer.votes, &call).await.unwrap()
}

async fn reveal(world: &World, validators: &[Peer]) {
    world.market.anvil.pass(VOTE_PERIOD).await;
    for peer in validators {
        peer.sync().await;
        assert!(peer.judge(world).step().await.unwrap());
        assert!(!peer.judge(world).step().await.unwrap(), "it is revealed");
        assert_eq!(ballot(peer, 1).await.choice, Choice::Holds);
        assert_eq!(ballot(peer, 2).await.choice, Choice::False);
    }
}

/// An operator that does not answer is struck, whatever it recorded.
async fn silence(world: &World, node: &Operator, auditor: &Peer) {
    let time = begin_epoch(world, node).await;
    let body = world.body("function transfer");
    let voucher = world.voucher(&body, 7, time, 60_000_000);
    let honest = serve_honestly(&world.serving(node), &body, voucher).await;
    let batch = post(world, node).await;

    // Samples are drawn in two transactions, blocks apart.
    auditor.sync().await;
    let samples = world.market.contracts.deployment.record_samples.unwrap();
    let sampler = Sampler::new(auditor.registry.clone(), auditor.client.clone(), samples);
    assert!(sampler.step().await.unwrap());
    auditor.sync().await;
    assert!(!sampler.step().await.unwrap(), "its block is to come");
    for _ in 0..9 {
        world.market.anvil.pass(1).await;
    }
    auditor.sync().await;
    assert!(sampler.step().await.unwrap());
    assert!(!sampler.step().await.unwrap(), "it is drawn");

    challenge(auditor, batch, node, &honest).await;
    auditor.sync().await;
    assert!(!auditor.closer().step().await.unwrap(), "there is time to answer");
    world.market.anvil.pass(VOTE_PERIOD).await;
    auditor.sync().await;
    assert!(auditor.closer().step().await.unwrap());
    assert_eq!(world.stage(3).await, Stage::Struck);
    assert_eq!(world.market.batch(batch).await.status, Status::Struck);
    // Too late: the answer is not sent.
    let operator = Peer::of(&world.market, node).await;
    assert!(!operator.answerer().step().await.unwrap());
}

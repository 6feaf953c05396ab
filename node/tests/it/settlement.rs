//! From calls to claims on a chain.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::Provider,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolCall,
};
use attribution::settle::EarnerIndex;
use node::{
    Error,
    batcher::{Batcher, Weights},
    chain::{
        ChainClient, Contracts,
        bindings::{
            Claim, DatanetVersion, IDatanetRegistry, IEarnerRegistry, IModelRegistry,
            IPaymentChannels, ISettlement, IStaking, Price,
        },
    },
    committer::{Committer, Kzg},
    da::{Attestor, LocalAvailability, Publisher, SharedAvailability},
    earnings::{EarnerEarnings, Earnings},
    finaliser::{FinalBatch, Finaliser},
    indexer::Indexer,
    recorder::{Admission, RecorderConfig, RecorderHandle, ServedCall},
    registry::{Registry, Role},
    settler::{PostedBatch, Settler},
    store::{MemoryStore, SharedStore, Table, decode},
    voucher::{self, Call, SignedVoucher, Voucher},
};

use crate::{
    anvil::{self, Anvil, KEYS, PAGE_SIZE},
    world::{Killed, key},
};

const EPOCH_SECONDS: u64 = 60;
const WINDOW: u64 = 30;
const CONTRIBUTORS: u64 = 12;
const MAX_SKEW: u64 = 30;
const GWEI: u64 = 1_000_000_000;

/// A chain with a model, contributors, an operator and payers.
struct Market {
    anvil: Anvil,
    contracts: Contracts,
    operator: PrivateKeySigner,
    model: B256,
    channels: Vec<(PrivateKeySigner, B256)>,
}

fn coins(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}

fn returned<C: SolCall>(sent: &node::chain::Sent, topic: usize) -> B256 {
    let log = sent.logs.last().unwrap_or_else(|| panic!("{} has no event", C::SIGNATURE));
    log.topics()[topic]
}

impl Market {
    async fn open() -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(EPOCH_SECONDS, WINDOW);
        let operator: PrivateKeySigner = KEYS[1].parse().unwrap();
        let client = anvil.client(Some(operator.clone()));
        let contracts = client.contracts(deployment.clone()).await.unwrap();
        let register = IStaking::registerOperatorCall {};
        client.send(deployment.staking, &register, coins(1)).await.unwrap();
        let mut market =
            Self { anvil, contracts, operator, model: B256::ZERO, channels: Vec::new() };
        for number in 0..CONTRIBUTORS {
            market.register(&key(number), Role::Contributor).await;
        }
        market.model = market.publish_model().await;
        for number in [2, 3] {
            market.open_channel(KEYS[number].parse().unwrap()).await;
        }
        market
    }

    fn client(&self, signer: &PrivateKeySigner) -> ChainClient {
        self.anvil.client(Some(signer.clone()))
    }

    async fn fund(&self, account: Address) {
        let params = serde_json::json!([account, coins(100)]);
        self.anvil.request("anvil_setBalance", params).await;
    }

    async fn register(&self, signer: &PrivateKeySigner, role: Role) {
        self.fund(signer.address()).await;
        let call = IEarnerRegistry::registerCall { role: role as u8 };
        let to = self.contracts.deployment.earner_registry;
        self.client(signer).send(to, &call, U256::ZERO).await.unwrap();
    }

    async fn publish_model(&self) -> B256 {
        let owner = key(500);
        self.register(&owner, Role::ModelOwner).await;
        let client = self.client(&owner);
        let at = &self.contracts.deployment;
        let create = IDatanetRegistry::createCall {
            name: "rows".into(),
            licence: "MIT".into(),
            metadataHash: B256::ZERO,
        };
        let sent = client.send(at.datanet_registry, &create, U256::ZERO).await.unwrap();
        let datanet = returned::<IDatanetRegistry::createCall>(&sent, 1);
        let rows_root = keccak256("rows");
        let publish = IDatanetRegistry::publishCall { datanet, rowsRoot: rows_root, rowCount: 12 };
        client.send(at.datanet_registry, &publish, U256::ZERO).await.unwrap();
        let price = Price { inputRate: 40_000_000, outputRate: 90_000_000, platformFee: 1_000_000 };
        let base = IModelRegistry::registerBaseCall {
            contentHash: keccak256("base"),
            name: "base".into(),
            price: price.clone(),
        };
        let sent = client.send(at.model_registry, &base, U256::ZERO).await.unwrap();
        let base = returned::<IModelRegistry::registerBaseCall>(&sent, 1);
        let adapter = IModelRegistry::registerAdapterCall {
            base,
            contentHash: keccak256("adapter"),
            indexRoot: keccak256("root"),
            indexHash: keccak256("index"),
            datanets: vec![DatanetVersion { datanet, version: 1 }],
            name: "adapter".into(),
            price,
        };
        let sent = client.send(at.model_registry, &adapter, U256::ZERO).await.unwrap();
        returned::<IModelRegistry::registerAdapterCall>(&sent, 1)
    }

    async fn open_channel(&mut self, payer: PrivateKeySigner) {
        let call =
            IPaymentChannels::openCall { operator: self.operator.address(), salt: B256::ZERO };
        let to = self.contracts.deployment.payment_channels;
        let sent = self.client(&payer).send(to, &call, coins(5)).await.unwrap();
        let channel = returned::<IPaymentChannels::openCall>(&sent, 1);
        self.channels.push((payer, channel));
    }

    fn voucher(&self, number: usize, seed: u64, time: u64) -> SignedVoucher {
        let (payer, channel) = &self.channels[number];
        let call = Call {
            modelId: self.model,
            priceVersion: 1,
            promptHash: keccak256(seed.to_be_bytes()),
            seed,
            maxTokens: 64,
            time,
        };
        let voucher = Voucher { channelId: *channel, ceiling: 1_000_000_000 + seed, call };
        let digest = voucher::digest(&voucher, &self.contracts.voucher_domain());
        let signature = payer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
        SignedVoucher { voucher, signature }
    }
}

/// An operator's node without its API, over one store.
struct Operator {
    store: SharedStore,
    registry: Registry,
    indexer: Indexer,
    recorder: RecorderHandle,
    batcher: Batcher,
    committer: Committer,
    publisher: Publisher,
    client: ChainClient,
    settler: Settler,
    finaliser: Finaliser,
    earnings: Earnings,
}

impl Operator {
    async fn start(market: &Market, store: SharedStore, blobs: &Path) -> Self {
        let client = market.client(&market.operator);
        let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let indexer = Indexer::new(Arc::clone(&store), registry.clone(), client.clone(), pause);
        indexer.sync().await.unwrap();
        let config = RecorderConfig { max_skew: MAX_SKEW, ..Default::default() };
        let recorder = RecorderHandle::start(
            Arc::clone(&store),
            registry.clone(),
            market.operator.clone(),
            config,
        )
        .unwrap();
        let attestor =
            Attestor::new(KEYS[0].parse().unwrap(), market.contracts.certificate_domain());
        let layer: SharedAvailability = Arc::new(LocalAvailability::open(blobs, attestor).unwrap());
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let publisher = Publisher::new(Arc::clone(&store), registry.clone(), Arc::clone(&layer));
        let operator = market.operator.address();
        let weights = weights(&registry, market.model);
        let batcher = Batcher::new(
            Arc::clone(&store),
            registry.clone(),
            recorder.clone(),
            operator,
            MAX_SKEW,
            weights,
        );
        Self {
            batcher,
            committer: Committer::new(Arc::clone(&store), kzg.clone()),
            settler: Settler::new(
                Arc::clone(&store),
                registry.clone(),
                client.clone(),
                publisher.clone(),
            ),
            publisher,
            finaliser: Finaliser::new(Arc::clone(&store), registry.clone(), client.clone()),
            earnings: Earnings::new(Arc::clone(&store), registry.clone(), kzg, layer),
            store,
            registry,
            indexer,
            recorder,
            client,
        }
    }

    async fn serve(&self, voucher: SignedVoucher) -> u64 {
        let admission = self.recorder.admit(voucher.clone(), 20_000_000).await.unwrap();
        let Admission::New(reservation) = admission else { panic!("{admission:?}") };
        let seed = voucher.voucher.call.seed;
        let earners = self.registry.earners().unwrap();
        let contributors = earners.iter().filter(|view| view.role == Role::Contributor);
        let score = |earner: EarnerIndex| {
            let raw = i64::try_from((u64::from(earner.0) * 31 + seed * 17) % 100).unwrap();
            (earner, (raw - 20) * 10_007)
        };
        let served = ServedCall {
            tokens_in: 30 + seed % 7,
            tokens_out: 64,
            output_hash: B256::ZERO,
            sketch_hash: B256::ZERO,
            scores: contributors.map(|view| score(view.earner)).collect(),
            answer: Vec::new(),
        };
        self.recorder.record(reservation, served).await.unwrap().receipt.fee
    }

    /// Everything up to the certificate.
    async fn publish(&self) {
        assert!(self.batcher.step().await.unwrap());
        assert!(self.committer.step().await.unwrap());
        assert!(self.publisher.step().await.unwrap());
    }

    fn row<T: borsh::BorshDeserialize>(&self, table: Table) -> T {
        decode(table, &self.store.last(table, &[]).unwrap().unwrap().1).unwrap()
    }

    async fn unclaimed(&self) -> Vec<EarnerEarnings> {
        self.indexer.sync().await.unwrap();
        let all = self.earnings.all().await.unwrap();
        all.into_iter().filter(|earner| earner.cumulative > earner.claimed).collect()
    }

    async fn claims(&self, earners: &[EarnerEarnings]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for earner in earners {
            claims.push(self.earnings.of(earner.earner).await.unwrap().unwrap().claim().unwrap());
        }
        claims
    }
}

fn weights(registry: &Registry, model: B256) -> Weights {
    let earners = registry.earners().unwrap();
    let contributors = earners.iter().filter(|view| view.role == Role::Contributor);
    let rows = contributors.map(|view| (view.earner, 1)).collect();
    Weights::from([(attribution::settle::ModelId(model.0), rows)])
}

#[tokio::test]
async fn calls_are_posted_finalised_and_claimed() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let fees = serve_epoch(&market, &node, 0).await;

    let posted = post(&market, &node).await;
    let finalised = finalise(&market, &node).await;
    let total = claim(&market, &node).await;
    assert_eq!(total.paid, fees, "everything that was charged is paid");

    // A second batch adds to the same page, and a store that starts afresh agrees with the chain
    // from data availability alone.
    let more = serve_epoch(&market, &node, 1).await;
    post(&market, &node).await;
    finalise(&market, &node).await;
    let fresh = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let open = node.unclaimed().await;
    assert_eq!(fresh.unclaimed().await, open);
    assert_eq!(fresh.claims(&open).await, node.claims(&open).await);
    assert_eq!(open.iter().map(|e| e.cumulative - e.claimed).sum::<u64>(), more);
    assert_eq!(open.iter().map(|e| e.cumulative).sum::<u64>(), fees + more);
    let claims = fresh.claims(&open).await;
    let call = ISettlement::claimManyCall { claims };
    fresh.client.send(market.contracts.deployment.settlement, &call, U256::ZERO).await.unwrap();
    assert!(node.unclaimed().await.is_empty());

    println!(
        "gas: post {}, finalise {}, claim one {}, claim ten {}",
        posted.gas, finalised.gas, total.gas_one, total.gas_ten
    );
}

/// Serves calls of one epoch and lets it pass. Returns the fees.
async fn serve_epoch(market: &Market, node: &Operator, number: u64) -> u64 {
    market.anvil.pass(EPOCH_SECONDS - node.registry.head().timestamp % EPOCH_SECONDS).await;
    node.indexer.sync().await.unwrap();
    let time = node.registry.head().timestamp;
    let mut fees = 0;
    for seed in 0..20 {
        let voucher = market.voucher((seed % 2) as usize, number * 1_000 + seed, time);
        fees += node.serve(voucher).await;
    }
    assert!(!node.batcher.step().await.unwrap(), "the epoch is not over");
    market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    fees
}

/// Posts the batch; a kill after the transaction and before its row does not post it twice.
async fn post(market: &Market, node: &Operator) -> PostedBatch {
    node.publish().await;
    let killed: SharedStore = Killed::after(Arc::clone(&node.store), 0);
    let settler =
        Settler::new(killed, node.registry.clone(), node.client.clone(), node.publisher.clone());
    assert!(matches!(settler.step().await, Err(Error::Store(_))));
    let provider = node.client.provider();
    let sent =
        || async { provider.get_transaction_count(market.operator.address()).await.unwrap() };
    let before = sent().await;
    assert!(node.settler.step().await.unwrap());
    assert!(!node.settler.step().await.unwrap());
    assert_eq!(sent().await, before, "it is found on chain");
    let posted: PostedBatch = node.row(Table::Postings);
    assert!(posted.gas > 0);
    posted
}

async fn finalise(market: &Market, node: &Operator) -> FinalBatch {
    node.indexer.sync().await.unwrap();
    assert!(!node.finaliser.step().await.unwrap(), "the window is open");
    market.anvil.pass(WINDOW).await;
    node.indexer.sync().await.unwrap();
    assert!(node.finaliser.step().await.unwrap());
    assert!(!node.finaliser.step().await.unwrap());
    node.row(Table::Finals)
}

struct Claimed {
    paid: u64,
    gas_one: u64,
    gas_ten: u64,
}

/// Claims one, then ten, then the rest; wrong and repeated claims are refused.
async fn claim(market: &Market, node: &Operator) -> Claimed {
    let settlement = market.contracts.deployment.settlement;
    let open = node.unclaimed().await;
    assert!(open.len() > 11, "{} earners", open.len());
    let stranger = market.client(&PrivateKeySigner::from_bytes(&keccak256("stranger")).unwrap());
    market.fund(stranger.sender().unwrap()).await;
    let claims = node.claims(&open).await;
    let one = ISettlement::claimCall { claim_: claims[0].clone() };

    let mut wrong = claims[1].clone();
    wrong.cumulativeEarnings += 1;
    let call = ISettlement::claimCall { claim_: wrong };
    let refused = stranger.send(settlement, &call, U256::ZERO).await;
    assert!(
        matches!(&refused, Err(Error::Reverted(e)) if e.contains("InvalidOpening")),
        "{refused:?}"
    );

    let before = node.client.balance(open[0].account).await.unwrap();
    let gas_one = stranger.send(settlement, &one, U256::ZERO).await.unwrap().gas;
    let paid = node.client.balance(open[0].account).await.unwrap() - before;
    assert_eq!(paid, U256::from(open[0].cumulative) * U256::from(GWEI));
    let again = stranger.send(settlement, &one, U256::ZERO).await;
    assert!(matches!(&again, Err(Error::Reverted(e)) if e.contains("NothingToClaim")), "{again:?}");

    let ten = ISettlement::claimManyCall { claims: claims[1..11].to_vec() };
    let gas_ten = stranger.send(settlement, &ten, U256::ZERO).await.unwrap().gas;
    let rest = ISettlement::claimManyCall { claims: claims[11..].to_vec() };
    stranger.send(settlement, &rest, U256::ZERO).await.unwrap();
    assert!(node.unclaimed().await.is_empty());
    let paid = open.iter().map(|earner| earner.cumulative).sum();
    assert_eq!(node.client.balance(settlement).await.unwrap(), U256::ZERO);
    Claimed { paid, gas_one, gas_ten }
}

#[tokio::test]
async fn a_batch_that_the_contract_refuses_stays_and_is_tried_again() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.publish().await;
    // Half a day later the certificate is refused; the stage gets another and posts.
    market.anvil.pass(13 * 3600).await;
    node.indexer.sync().await.unwrap();
    let refused = node.settler.step().await;
    assert!(matches!(&refused, Err(Error::Reverted(e)) if e.contains("Expired")), "{refused:?}");
    assert!(node.store.last(Table::Postings, &[]).unwrap().is_none());
    assert!(node.settler.step().await.unwrap());
}

#[tokio::test]
async fn a_chain_that_goes_away_changes_nothing() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    serve_epoch(&market, &node, 0).await;
    node.publish().await;
    drop(market);
    let head = node.registry.head();
    assert!(matches!(node.indexer.sync().await, Err(Error::Chain(_))));
    assert!(matches!(node.settler.step().await, Err(Error::Chain(_))));
    assert_eq!(node.registry.head(), head);
    assert!(node.store.last(Table::Postings, &[]).unwrap().is_none());
}

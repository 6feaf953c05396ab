//! A chain with a market on it, and an operator's node without its API.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::Provider,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolCall,
};
use attribution::settle::{EarnerIndex, Uses};
use node::{
    Error,
    batcher::{Batcher, Weights},
    chain::{
        ChainClient, Contracts,
        bindings::{
            Batch, Claim, DatanetVersion, IDatanetRegistry, IEarnerRegistry, IModelRegistry,
            IPaymentChannels, ISettlement, IStaking, Price,
        },
    },
    committer::{Committer, Kzg},
    da::{Attestor, LocalAvailability, Publisher, SharedAvailability},
    earnings::{Archiver, EarnerEarnings, Earnings},
    finaliser::Finaliser,
    indexer::Indexer,
    proofs::Proofs,
    recorder::{Admission, RecorderConfig, RecorderHandle, ServedCall},
    registry::{Registry, Role},
    settler::Settler,
    standing::Standing,
    store::{SharedStore, Table, decode},
    strikes::Strikes,
    voucher::{self, Call, SignedVoucher, Voucher},
};

use crate::{
    anvil::{self, Anvil, KEYS, PAGE_SIZE},
    world::key,
};

pub(crate) const EPOCH_SECONDS: u64 = 60;
pub(crate) const WINDOW: u64 = 30;
pub(crate) const CONTRIBUTORS: u64 = 12;
pub(crate) const MAX_SKEW: u64 = 30;
pub(crate) const GWEI: u64 = 1_000_000_000;

/// A chain with a model, contributors, an operator and payers.
pub(crate) struct Market {
    pub(crate) anvil: Anvil,
    pub(crate) contracts: Contracts,
    pub(crate) operator: PrivateKeySigner,
    pub(crate) model: B256,
    pub(crate) channels: Vec<(PrivateKeySigner, B256)>,
}

pub(crate) fn coins(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}

fn returned<C: SolCall>(sent: &node::chain::Sent, topic: usize) -> B256 {
    let log = sent.logs.last().unwrap_or_else(|| panic!("{} has no event", C::SIGNATURE));
    log.topics()[topic]
}

impl Market {
    /// Data availability in a folder.
    pub(crate) fn layer(&self, blobs: &Path) -> SharedAvailability {
        Arc::new(LocalAvailability::open(blobs, self.attestor()).unwrap())
    }

    pub(crate) fn attestor(&self) -> Attestor {
        Attestor::new(KEYS[0].parse().unwrap(), self.contracts.certificate_domain())
    }

    /// Sends to Settlement as its owner.
    pub(crate) async fn govern<C: SolCall>(&self, call: &C) {
        let owner = self.client(&KEYS[0].parse().unwrap());
        owner.send(self.contracts.deployment.settlement, call, U256::ZERO).await.unwrap();
    }

    pub(crate) async fn batch(&self, batch: B256) -> Batch {
        let call = ISettlement::batchOfCall { batch };
        self.anvil.client(None).call(self.contracts.deployment.settlement, &call).await.unwrap()
    }

    /// Wei that Settlement holds.
    pub(crate) async fn held(&self) -> U256 {
        self.anvil.client(None).balance(self.contracts.deployment.settlement).await.unwrap()
    }

    /// Transactions that the operator has sent.
    pub(crate) async fn sent(&self) -> u64 {
        let client = self.anvil.client(None);
        client.provider().get_transaction_count(self.operator.address()).await.unwrap()
    }

    pub(crate) async fn open() -> Self {
        Self::with_stake(10).await
    }

    /// A market whose operator has a stake of so many coins.
    pub(crate) async fn with_stake(stake: u64) -> Self {
        Self::with(stake, WINDOW).await
    }

    /// A market whose operator has a stake of so many coins, and whose batches are open to disputes for
    /// so many seconds.
    pub(crate) async fn with(stake: u64, window: u64) -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(EPOCH_SECONDS, window);
        let operator: PrivateKeySigner = KEYS[1].parse().unwrap();
        let client = anvil.client(Some(operator.clone()));
        let contracts = client.contracts(deployment.clone()).await.unwrap();
        let register = IStaking::registerOperatorCall {};
        client.send(deployment.staking, &register, coins(stake)).await.unwrap();
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

    pub(crate) fn client(&self, signer: &PrivateKeySigner) -> ChainClient {
        self.anvil.client(Some(signer.clone()))
    }

    pub(crate) async fn fund(&self, account: Address) {
        let params = serde_json::json!([account, coins(100)]);
        self.anvil.request("anvil_setBalance", params).await;
    }

    pub(crate) async fn register(&self, signer: &PrivateKeySigner, role: Role) {
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

    pub(crate) fn voucher(&self, number: usize, seed: u64, time: u64) -> SignedVoucher {
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

/// Seconds between two snapshots.
pub(crate) const ARCHIVE_SECONDS: u64 = 86_400;

/// An operator's node without its API, over one store.
pub(crate) struct Operator {
    pub(crate) store: SharedStore,
    pub(crate) registry: Registry,
    pub(crate) indexer: Indexer,
    pub(crate) recorder: RecorderHandle,
    pub(crate) batcher: Batcher,
    pub(crate) committer: Committer,
    pub(crate) publisher: Publisher,
    pub(crate) proofs: Proofs,
    pub(crate) client: ChainClient,
    pub(crate) settler: Settler,
    pub(crate) finaliser: Finaliser,
    pub(crate) strikes: Strikes,
    pub(crate) earnings: Earnings,
    pub(crate) archiver: Archiver,
}

impl Operator {
    pub(crate) async fn start(market: &Market, store: SharedStore, blobs: &Path) -> Self {
        Self::over(market, Arc::clone(&store), store, blobs).await
    }

    /// A node whose stages have `stages` in place of the store.
    pub(crate) async fn over(
        market: &Market,
        store: SharedStore,
        stages: SharedStore,
        blobs: &Path,
    ) -> Self {
        Self::with(market, store, stages, blobs, None).await
    }

    /// A node that pays by given weights instead of one for each contributor.
    pub(crate) async fn with(
        market: &Market,
        store: SharedStore,
        stages: SharedStore,
        blobs: &Path,
        given: Option<Weights>,
    ) -> Self {
        let client = market.client(&market.operator);
        let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let indexer = Indexer::new(Arc::clone(&store), registry.clone(), client.clone(), pause);
        indexer.sync().await.unwrap();
        let config = RecorderConfig { max_skew: MAX_SKEW, ..Default::default() };
        let signer = market.operator.clone();
        let recorder =
            RecorderHandle::start(Arc::clone(&store), registry.clone(), signer, config).unwrap();
        let layer = market.layer(blobs);
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let operator = market.operator.address();
        let own = || (Arc::clone(&stages), registry.clone());
        let (of, view) = own();
        let standing = Standing::new(of, view, Arc::clone(&layer), kzg.clone(), operator);
        let (of, view) = own();
        let publisher = Publisher::new(of, view, Arc::clone(&layer));
        let (of, view) = own();
        let earnings = Earnings::new(of, view, kzg.clone(), Arc::clone(&layer));
        let (of, view) = own();
        let weights = given.unwrap_or_else(|| weights(&registry, market.model));
        let batcher = Batcher::new(of, view, recorder.clone(), standing.clone(), MAX_SKEW, weights);
        let (of, view) = own();
        let settler = Settler::new(of, view, client.clone(), publisher.clone());
        let (of, view) = own();
        let finaliser = Finaliser::new(of, view, client.clone());
        let (of, view) = own();
        let strikes = Strikes::new(of, view, client.clone(), standing);
        let (of, view) = own();
        let (by, from) = (client.clone(), earnings.clone());
        let archiver = Archiver::new(of, view, by, from, kzg.clone(), layer, ARCHIVE_SECONDS);
        Self {
            committer: Committer::new(Arc::clone(&stages), kzg.clone()),
            proofs: Proofs::new(Arc::clone(&stages), &registry, operator, kzg),
            batcher,
            publisher,
            settler,
            finaliser,
            strikes,
            archiver,
            earnings,
            store,
            registry,
            indexer,
            recorder,
            client,
        }
    }

    pub(crate) async fn serve(&self, voucher: SignedVoucher) -> u64 {
        let admission = self.recorder.admit(voucher.clone(), 20_000_000).await.unwrap();
        let Admission::New(reservation) = admission else { panic!("{admission:?}") };
        let seed = voucher.voucher.call.seed;
        let earners = self.registry.earners().unwrap();
        let contributors = earners.iter().filter(|view| view.role == Role::Contributor);
        let score = |earner: EarnerIndex| {
            let raw = i64::try_from((u64::from(earner.0) * 31 + seed * 17) % 100).unwrap();
            // Some do harm in most calls, so that batches leave negative nets.
            let harm = if earner.0.is_multiple_of(4) { 80 } else { 20 };
            (earner, (raw - harm) * 10_007)
        };
        let served = ServedCall {
            tokens_in: 30 + seed % 7,
            tokens_out: 64,
            output_hash: B256::ZERO,
            sketch: vec![1, -2, 3],
            scores: contributors.map(|view| score(view.earner)).collect(),
            uses: Uses::default(),
            request: seed.to_be_bytes().to_vec(),
            answer: Vec::new(),
        };
        self.recorder.record(reservation, served).await.unwrap().receipt.fee
    }

    /// Everything up to the proof.
    pub(crate) async fn publish(&self) {
        assert!(self.batcher.step().await.unwrap());
        assert!(self.committer.step().await.unwrap());
        assert!(self.publisher.step().await.unwrap());
        assert!(self.proofs.step().await.unwrap());
    }

    /// All stages in the order of the node's line, until none has anything to do.
    ///
    /// # Errors
    /// The first of a stage.
    pub(crate) async fn drain(&self) -> Result<(), Error> {
        loop {
            self.indexer.sync().await?;
            let worked = self.strikes.step().await?
                || self.batcher.step().await?
                || self.committer.step().await?
                || self.publisher.step().await?
                || self.proofs.step().await?
                || self.settler.step().await?
                || self.finaliser.step().await?
                || self.archiver.step().await?;
            if !worked {
                return Ok(());
            }
        }
    }

    pub(crate) fn row<T: borsh::BorshDeserialize>(&self, table: Table) -> T {
        decode(table, &self.store.last(table, &[]).unwrap().unwrap().1).unwrap()
    }

    pub(crate) async fn unclaimed(&self) -> Vec<EarnerEarnings> {
        self.indexer.sync().await.unwrap();
        let all = self.earnings.all().await.unwrap();
        all.into_iter().filter(|earner| earner.cumulative > earner.claimed).collect()
    }

    pub(crate) async fn claims(&self, earners: &[EarnerEarnings]) -> Vec<Claim> {
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

/// Serves calls of one epoch and lets it pass. Returns the fees.
pub(crate) async fn serve_epoch(market: &Market, node: &Operator, number: u64) -> u64 {
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

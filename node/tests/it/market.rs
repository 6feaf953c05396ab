//! A chain with a market on it, and an operator's node without its API.

mod operator;

use std::{path::Path, sync::Arc};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::Provider,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolCall,
};
use node::{
    chain::{
        ChainClient, Contracts, Deployment,
        bindings::{
            Batch, DatanetVersion, IDatanetRegistry, IEarnerRegistry, IModelRegistry,
            IPaymentChannels, ISettlement, IStaking, Price,
        },
    },
    committer::Kzg,
    da::{Attestor, LocalAvailability, SharedAvailability},
    factory::{IndexPublisher, RegisterSettings, Registrar},
    registry::Role,
    voucher::{self, Call, SignedVoucher, Voucher},
};

pub(crate) use self::operator::{ARCHIVE_SECONDS, Operator, serve_epoch};
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

/// A name with the prices that most tests have.
pub(crate) fn priced(name: &str) -> RegisterSettings {
    let (input_rate, output_rate) = (40_000_000, 90_000_000);
    RegisterSettings { name: name.into(), input_rate, output_rate, platform_fee: 1_000_000 }
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
        let mut market = Self::bare(EPOCH_SECONDS, window, stake).await;
        for number in 0..CONTRIBUTORS {
            market.register(&key(number), Role::Contributor).await;
        }
        market.model = market.publish_model().await;
        for number in [2, 3] {
            market.open_channel(KEYS[number].parse().unwrap(), 5).await;
        }
        market
    }

    /// A chain whose operator has a stake of so many coins, and nobody else on it.
    pub(crate) async fn bare(epoch_seconds: u64, window: u64, stake: u64) -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy(epoch_seconds, window);
        Self::over(anvil, deployment, stake).await
    }

    /// The same over a chain that has the contracts.
    pub(crate) async fn over(anvil: Anvil, deployment: Deployment, stake: u64) -> Self {
        let operator: PrivateKeySigner = KEYS[1].parse().unwrap();
        let client = anvil.client(Some(operator.clone()));
        let (to, register) = (deployment.staking, IStaking::registerOperatorCall {});
        let contracts = client.contracts(deployment).await.unwrap();
        client.send(to, &register, coins(stake)).await.unwrap();
        Self { anvil, contracts, operator, model: B256::ZERO, channels: Vec::new() }
    }

    /// Registers with one of the chain's keys.
    pub(crate) async fn registrar(&self, number: usize) -> Registrar {
        let (url, deployment) = (&self.anvil.url, self.contracts.deployment.clone());
        Registrar::connect(url, deployment, KEYS[number].parse().unwrap()).await.unwrap()
    }

    /// The third and fourth keys, registered as contributors.
    pub(crate) async fn contributors(&self) -> [Address; 2] {
        let mut accounts = [Address::ZERO; 2];
        for (account, number) in accounts.iter_mut().zip([2, 3]) {
            let contributor = self.registrar(number).await;
            contributor.earner(Role::Contributor).await.unwrap();
            *account = contributor.account();
        }
        accounts
    }

    /// Publishes indexes on data availability in a folder.
    pub(crate) fn publisher(&self, blobs: &Path) -> IndexPublisher {
        IndexPublisher::new(self.layer(blobs), Kzg::new(anvil::srs(), PAGE_SIZE).unwrap())
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

    /// Opens a payer's channel to the operator with so many coins.
    pub(crate) async fn open_channel(&mut self, payer: PrivateKeySigner, deposit: u64) {
        let call =
            IPaymentChannels::openCall { operator: self.operator.address(), salt: B256::ZERO };
        let to = self.contracts.deployment.payment_channels;
        let sent = self.client(&payer).send(to, &call, coins(deposit)).await.unwrap();
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

//! Figures on a local chain: at every moment the registry says of every time what the contract says.

use std::{sync::Arc, time::Duration};

use alloy::{
    primitives::{B256, U256, keccak256},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use attribution::settle::{EarnerIndex, ModelId, factor};
use node::{
    chain::{
        ChainClient, Contracts,
        bindings::{
            DatanetVersion, IBondedFigures, IDatanetRegistry, IEarnerRegistry, IModelMixes,
            IModelRegistry, IStaking, IValidatorRoll, Price,
        },
    },
    indexer::Indexer,
    registry::{FigureKind, Registry, Role},
    store::{MemoryStore, SharedStore},
};

use crate::{
    anvil::{self, Anvil, KEYS, VOTE_PERIOD},
    market::coins,
};

const WINDOW: u64 = 50_000;
/// Seconds until a mix holds.
const MIX_NOTICE: u64 = 3_600;
/// Owner of the model, contributor, validator.
const OWNER: usize = 1;
const CONTRIBUTOR: usize = 2;
const VALIDATOR: usize = 3;

struct World {
    anvil: Anvil,
    contracts: Contracts,
    registry: Registry,
    indexer: Indexer,
    model: B256,
    earner: u32,
    /// Times at which something changed.
    times: Vec<u64>,
}

fn indexed(anvil: &Anvil, contracts: &Contracts) -> (Registry, Indexer) {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let registry = Registry::new(Arc::clone(&store), contracts.clone()).unwrap();
    let poll = Duration::from_millis(50);
    let indexer = Indexer::new(store, registry.clone(), anvil.client(None), poll);
    (registry, indexer)
}

impl World {
    async fn open() -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let deployment = anvil.deploy_figures(WINDOW, 10, 5);
        let contracts = anvil.client(None).contracts(deployment).await.unwrap();
        let (registry, indexer) = indexed(&anvil, &contracts);
        let mut world = Self {
            anvil,
            contracts,
            registry,
            indexer,
            model: B256::ZERO,
            earner: 0,
            times: vec![0],
        };
        world.register().await;
        world
    }

    async fn register(&mut self) {
        let at = self.contracts.deployment.clone();
        let role = |role: Role| IEarnerRegistry::registerCall { role: role as u8 };
        self.send(OWNER, at.earner_registry, &role(Role::ModelOwner), 0).await;
        self.send(CONTRIBUTOR, at.earner_registry, &role(Role::Contributor), 0).await;
        let account = signer(CONTRIBUTOR).address();
        let call = IEarnerRegistry::earnerOfCall { account, role: Role::Contributor as u8 };
        self.earner = self.client(OWNER).call(at.earner_registry, &call).await.unwrap();
        self.send(VALIDATOR, at.staking, &IStaking::registerOperatorCall {}, 5).await;
        self.send(VALIDATOR, at.validator_roll, &IValidatorRoll::enrolCall {}, 0).await;

        let (name, licence) = ("rows".to_owned(), "MIT".to_owned());
        let create = IDatanetRegistry::createCall { name, licence, metadataHash: B256::ZERO };
        let datanet = self.send(OWNER, at.datanet_registry, &create, 0).await;
        let rows_root = keccak256("rows");
        let publish = IDatanetRegistry::publishCall { datanet, rowsRoot: rows_root, rowCount: 9 };
        self.send(OWNER, at.datanet_registry, &publish, 0).await;
        let price = Price { inputRate: 1, outputRate: 1, platformFee: 1 };
        let call = IModelRegistry::registerBaseCall {
            contentHash: keccak256("base"),
            name: "base".into(),
            price: price.clone(),
        };
        let base = self.send(OWNER, at.model_registry, &call, 0).await;
        let call = IModelRegistry::registerAdapterCall {
            base,
            contentHash: keccak256("adapter"),
            indexRoot: keccak256("root"),
            indexHash: keccak256("index"),
            datanets: vec![DatanetVersion { datanet, version: 1 }],
            name: "adapter".into(),
            price,
        };
        self.model = self.send(OWNER, at.model_registry, &call, 0).await;
    }

    fn client(&self, key: usize) -> ChainClient {
        self.anvil.client(Some(signer(key)))
    }

    /// Sends coins with a call; returns the first topic of its last event.
    async fn send<C: SolCall + Sync>(
        &self,
        key: usize,
        to: alloy::primitives::Address,
        call: &C,
        value: u64,
    ) -> B256 {
        let sent = self.client(key).send(to, call, coins(value)).await.unwrap();
        sent.logs.last().unwrap().topics()[1]
    }

    /// Sends a call to BondedFigures, notes the time and compares what everybody says.
    async fn act<C: SolCall + Sync>(&mut self, key: usize, call: &C, with_bond: bool) {
        let to = self.contracts.deployment.bonded_figures;
        let client = self.client(key);
        let bond = client.call(to, &IBondedFigures::bondCall {}).await.unwrap();
        let value = if with_bond { bond } else { U256::ZERO };
        client.send(to, call, value).await.unwrap();
        self.agree().await;
    }

    async fn pass(&mut self, seconds: u64) {
        self.anvil.pass(seconds).await;
        self.agree().await;
    }

    async fn agree(&mut self) {
        let now = self.anvil.client(None).block(None).await.unwrap().unwrap().timestamp;
        for time in [now, now + 1, now + WINDOW, now + 2 * VOTE_PERIOD] {
            self.times.extend([time - 1, time, time + 1]);
        }
        self.indexer.sync().await.unwrap();
        self.compare(&self.registry).await;
    }

    async fn compare(&self, registry: &Registry) {
        let to = self.contracts.deployment.bonded_figures;
        let client = self.anvil.client(None);
        let (model, earner) = (self.model, self.earner);
        for &time in &self.times {
            let call = IBondedFigures::influenceAtCall { model, time };
            let influence = client.call(to, &call).await.unwrap();
            assert_eq!(registry.influence_at(model, time).unwrap(), influence, "at {time}");
            let call = IBondedFigures::reputationAtCall { earner, time };
            let reputation = client.call(to, &call).await.unwrap();
            let found = registry.reputation_at(EarnerIndex(earner), time).unwrap();
            assert_eq!(found, reputation, "at {time}");
            let call = IBondedFigures::factorAtCall { model, earner, time };
            let expected = client.call(to, &call).await.unwrap();
            let call = IBondedFigures::creditShareAtCall { model, time };
            let share = client.call(to, &call).await.unwrap();
            assert_eq!(registry.credit_share_at(model, time).unwrap(), share, "at {time}");
            assert_eq!(factor(share, reputation), expected);
            let factors = registry.factors_at([ModelId(model.0)], time).unwrap();
            let balance = attribution::settle::Balance::new(ModelId(model.0), EarnerIndex(earner));
            assert_eq!(factors.of(balance), expected, "at {time}");
        }
    }

    async fn vote(&mut self, figure: u64, choice: IBondedFigures::Choice) {
        let (figure, salt) = (U256::from(figure), B256::repeat_byte(7));
        let validator = signer(VALIDATOR).address();
        let ask = IBondedFigures::commitmentOfCall { figure, validator, choice, salt };
        let to = self.contracts.deployment.bonded_figures;
        let commitment = self.anvil.client(None).call(to, &ask).await.unwrap();
        self.act(VALIDATOR, &IBondedFigures::commitCall { figure, commitment }, false).await;
        self.pass(VOTE_PERIOD).await;
        self.act(VALIDATOR, &IBondedFigures::revealCall { figure, choice, salt }, false).await;
        self.pass(VOTE_PERIOD).await;
        self.act(OWNER, &IBondedFigures::resolveCall { figure }, false).await;
    }
}

fn signer(key: usize) -> PrivateKeySigner {
    KEYS[key].parse().unwrap()
}

fn report(model: B256, low: u16) -> IBondedFigures::postReportCall {
    let report = IBondedFigures::Report {
        hash: keccak256(low.to_be_bytes()),
        ldsLow: low,
        lds: 7_000,
        ldsHigh: 8_000,
        ceiling: 5_000,
        retrainings: 8,
    };
    IBondedFigures::postReportCall { model, report }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_and_the_contract_say_the_same_of_every_time() {
    let mut world = World::open().await;
    world.agree().await;
    world.act(OWNER, &report(world.model, 6_000), true).await;
    let conduct = IBondedFigures::Conduct {
        accepted: 5,
        refused: 2,
        earningBatches: 1,
        harmfulBatches: 1,
        penalties: 0,
    };
    let (earner, evidence) = (world.earner, keccak256("events"));
    let posted = IBondedFigures::postConductCall { earner, conduct, evidence };
    world.act(OWNER, &posted, true).await;
    let figure = U256::from(2);
    world.act(CONTRIBUTOR, &IBondedFigures::challengeCall { figure }, true).await;
    world.vote(2, IBondedFigures::Choice::Holds).await;
    world.pass(WINDOW).await;
    let now = world.registry.head().timestamp;
    assert_eq!(world.registry.influence_at(world.model, now).unwrap(), 7_200);
    let set = IBondedFigures::setDefaultInfluenceCall { influenceBps: 100 };
    world.act(0, &set, false).await;
    world.act(OWNER, &IBondedFigures::reclaimCall { figure: U256::from(1) }, false).await;
    // A mix that pays 60% by spans and citations leaves 40% to what influence was measured to be.
    let mix = IModelMixes::Mix { spansBps: 4_000, citationsBps: 2_000 };
    let (to, model) = (world.contracts.deployment.model_mixes, world.model);
    world.send(OWNER, to, &IModelMixes::setMixCall { model, mix }, 0).await;
    world.agree().await;
    world.pass(MIX_NOTICE).await;
    let now = world.registry.head().timestamp;
    assert_eq!(world.registry.credit_share_at(world.model, now).unwrap(), 8_880);

    world.act(OWNER, &report(world.model, 7_000), true).await;
    let figure = U256::from(3);
    world.act(CONTRIBUTOR, &IBondedFigures::challengeCall { figure }, true).await;
    world.vote(3, IBondedFigures::Choice::False).await;
    world.pass(WINDOW).await;
    let now = world.registry.head().timestamp;
    let (number, view) =
        world.registry.figure_at(FigureKind::Influence, world.model, now).unwrap().unwrap();
    assert_eq!((number, view.bps), (1, 7_200), "what was in force stays");

    let votes = world.registry.figure_votes().unwrap();
    assert_eq!(votes.iter().map(|(figure, _)| *figure).collect::<Vec<_>>(), [2, 3]);
    for (_, vote) in &votes {
        assert!(vote.is_closed);
        assert_eq!(vote.panel, [signer(VALIDATOR).address()]);
        assert_eq!(vote.challenger, signer(CONTRIBUTOR).address());
        assert_eq!(vote.reveal_ends_at, vote.commit_ends_at + VOTE_PERIOD);
    }

    // Whoever indexes all of it at once says the same.
    let (again, indexer) = indexed(&world.anvil, &world.contracts);
    indexer.sync().await.unwrap();
    world.compare(&again).await;
    assert_eq!(again.figure_votes().unwrap(), votes);
}

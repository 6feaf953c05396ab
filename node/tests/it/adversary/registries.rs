//! What the chain says: earners, models, rules, and where batches are posted.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use alloy::{
    primitives::{B256, U256, keccak256},
    signers::local::PrivateKeySigner,
    sol,
    sol_types::SolCall,
};
use attribution::settle::{EarnerIndex, Factors, ModelId, Uses};
use node::{
    chain::{
        ChainClient, Contracts, Sent,
        bindings::{
            DatanetVersion, IBondedFigures, IDatanetRegistry, IEarnerRegistry, IFeeSchedule,
            IInfluenceIndexes, IModelRegistry, Price, Rules, Split,
        },
    },
    da::{Attestor, LocalAvailability, SharedAvailability},
    datanet::Datanet,
    registry::Role,
};

use super::{
    belief::{Belief, Served},
    index::{FIRST, Published, contributors, publish},
    spans::{self, Indexed, mix},
};
use crate::{
    anvil::{self, Anvil, signer},
    market::coins,
    world::key,
};

pub(super) const EPOCH_SECONDS: u64 = 100;
/// Long enough for every batch to be posted and examined by the machine's clock.
pub(super) const WINDOW: u64 = 86_400;
pub(super) const MAX_CREDITS: u8 = 4;
/// Owner of the models.
pub(super) const OWNER: EarnerIndex = EarnerIndex(3);
/// Registered and in no index: before all contributors and behind them.
pub(super) const STRANGERS: [u32; 2] = [2, 11];
/// The base model, which has no index, and one whose index comes too late.
pub(super) const BASE: u8 = 0;
pub(super) const LATE: u8 = 3;
/// A model that pays for spans, and one that would and has no span index.
pub(super) const MIXED: u8 = 4;
pub(super) const BARE: u8 = 5;
const ADAPTERS: [u8; 5] = [1, 2, LATE, MIXED, BARE];
/// Influence share of models without a report.
pub(super) const DEFAULT_INFLUENCE: u16 = 5_000;
/// What that leaves of nets where spans and citations are paid 60%: half of 40%, and the 60%.
pub(super) const MIXED_SHARE: u16 = 8_000;
/// That of model 1 by its report: `0.6^2 / 0.5`.
const MEASURED: u16 = 7_200;
/// A contributor with a penalty, and what that leaves of its reputation.
const DISTRUSTED: EarnerIndex = EarnerIndex(FIRST);
const REPUTATION: u16 = 5_000;
const DAY: u64 = 86_400;

sol! {
    interface IStake {
        function stakeOf(address operator) external view returns (uint256);
    }
}

/// A chain with everything but operators.
pub(super) struct Registries {
    pub(super) anvil: Anvil,
    pub(super) contracts: Contracts,
    pub(super) layer: SharedAvailability,
    pub(super) models: BTreeMap<u8, ModelId>,
    /// The first epoch that calls are in; they may be in the next one too.
    pub(super) epoch: u64,
    /// The mixed model's span index.
    pub(super) indexed: Indexed,
    pub(super) owner: PrivateKeySigner,
}

pub(super) fn topic(sent: &Sent) -> B256 {
    sent.logs.last().unwrap().topics()[1]
}

impl Registries {
    /// Everything is registered, the indexes of models 1 and 2 are accepted, and the epochs of the
    /// calls have passed.
    pub(super) async fn open(blobs: &Path) -> Self {
        let anvil = Anvil::start(anvil::free_port()).await;
        let srs = anvil::srs();
        let defaults = [("DEPLOY_DEFAULT_INFLUENCE", DEFAULT_INFLUENCE.to_string())];
        let deployment = anvil.deploy_as(&srs, EPOCH_SECONDS, WINDOW, &defaults);
        let contracts = anvil.client(None).contracts(deployment).await.unwrap();
        let attestor = Attestor::new(signer(0), contracts.certificate_domain());
        let layer = Arc::new(LocalAvailability::open(blobs, attestor).unwrap());
        let (models, owner) = (BTreeMap::new(), key(u64::from(OWNER.0)));
        let indexed = Indexed::new();
        let mut opened = Self { anvil, contracts, layer, models, epoch: 0, indexed, owner };
        opened.register_earners().await;
        opened.register_models().await;
        for number in [1, 2, MIXED, BARE] {
            opened.publish(number).await;
        }
        for number in [MIXED, BARE] {
            opened.set_mix(number).await;
        }
        opened.indexed.save(opened.models[&MIXED]);
        opened.publish_spans().await;
        opened.post_figures().await;
        opened.schedule_rules().await;
        opened.anvil.pass(8 * DAY).await;
        opened.epoch = opened.time().await / EPOCH_SECONDS + 1;
        opened.anvil.pass(3 * EPOCH_SECONDS).await;
        opened.publish(LATE).await;
        opened
    }

    pub(super) fn client(&self, signer: &PrivateKeySigner) -> ChainClient {
        self.anvil.client(Some(signer.clone()))
    }

    pub(super) async fn time(&self) -> u64 {
        self.anvil.client(None).block(None).await.unwrap().unwrap().timestamp
    }

    pub(super) async fn fund(&self, signer: &PrivateKeySigner, amount: u64) {
        let params = serde_json::json!([signer.address(), coins(amount)]);
        self.anvil.request("anvil_setBalance", params).await;
    }

    /// What everybody can read.
    pub(super) fn truth(&self, stakers: EarnerIndex) -> Belief {
        let index = |number: u8| (number, contributors(number));
        Belief {
            price: attribution::settle::Price {
                input_rate: 7_000,
                output_rate: 11_000,
                platform_fee: 5_000,
            },
            split: attribution::settle::Split::default(),
            max_credits: MAX_CREDITS,
            owner: OWNER,
            stakers,
            factors: self.factors(),
            indexes: ADAPTERS.map(index).into(),
            uses: [(MIXED, self.indexed.uses()), (BARE, Uses { mix: mix(), ..Uses::default() })]
                .into(),
        }
    }

    /// What the figures come to: a report for model 1, none for the others, and one bad reputation.
    fn factors(&self) -> Factors {
        let share = |number: u8| match number {
            1 => MEASURED,
            MIXED | BARE => MIXED_SHARE,
            _ => DEFAULT_INFLUENCE,
        };
        let shares = self.models.iter().map(|(&number, &id)| (id.into(), share(number)));
        Factors { shares: shares.collect(), reputation: [(DISTRUSTED, REPUTATION)].into() }
    }

    /// Earners 2 to 11 by their numbers: the owner, contributors, strangers.
    async fn register_earners(&self) {
        let to = self.contracts.deployment.earner_registry;
        for number in STRANGERS[0]..=STRANGERS[1] {
            let role = if number == OWNER.0 { Role::ModelOwner } else { Role::Contributor } as u8;
            let signer = key(u64::from(number));
            self.fund(&signer, 100_000).await;
            let client = self.client(&signer);
            client.send(to, &IEarnerRegistry::registerCall { role }, U256::ZERO).await.unwrap();
            let call = IEarnerRegistry::earnerOfCall { account: signer.address(), role };
            assert_eq!(client.call(to, &call).await.unwrap(), number);
        }
    }

    async fn send<C: SolCall>(&self, to: alloy::primitives::Address, call: &C) -> B256 {
        topic(&self.client(&self.owner).send(to, call, U256::ZERO).await.unwrap())
    }

    async fn register_models(&mut self) {
        let at = self.contracts.deployment.clone();
        let create = IDatanetRegistry::createCall {
            name: "rows".into(),
            licence: "MIT".into(),
            metadataHash: B256::ZERO,
        };
        let datanet = self.send(at.datanet_registry, &create).await;
        let Datanet { manifest, rows } = spans::datanet();
        let publish = IDatanetRegistry::publishCall {
            datanet,
            rowsRoot: manifest.rows_root,
            rowCount: u32::try_from(rows.len()).unwrap(),
        };
        self.send(at.datanet_registry, &publish).await;
        self.indexed.save_rows(datanet);
        let price = Price { inputRate: 7_000, outputRate: 11_000, platformFee: 5_000 };
        let call = IModelRegistry::registerBaseCall {
            contentHash: keccak256("base"),
            name: "base".into(),
            price: price.clone(),
        };
        let base = self.send(at.model_registry, &call).await;
        self.models.insert(BASE, ModelId(base.0));
        for number in ADAPTERS {
            let call = IModelRegistry::registerAdapterCall {
                base,
                contentHash: keccak256([b'a', number]),
                indexRoot: Published::new(number).root,
                indexHash: keccak256([b'i', number]),
                datanets: vec![DatanetVersion { datanet, version: 1 }],
                name: format!("adapter {number}"),
                price: price.clone(),
            };
            let model = self.send(at.model_registry, &call).await;
            self.models.insert(number, ModelId(model.0));
        }
    }

    async fn publish(&self, number: u8) {
        let model = self.models[&number].0.into();
        let call = publish(model, number, &self.layer, self.time().await).await;
        let (to, client) = (self.contracts.deployment.influence_indexes, self.client(&self.owner));
        let bond = client.call(to, &IInfluenceIndexes::minBondCall {}).await.unwrap();
        client.send(to, &call, bond).await.unwrap();
    }

    /// A report of an LDS of 0.6 under a ceiling of 0.5, and an account with one upheld penalty.
    async fn post_figures(&self) {
        let (to, client) = (self.contracts.deployment.bonded_figures, self.client(&self.owner));
        let bond = client.call(to, &IBondedFigures::bondCall {}).await.unwrap();
        let report = IBondedFigures::Report {
            hash: keccak256("report"),
            ldsLow: 6_000,
            lds: 6_500,
            ldsHigh: 7_000,
            ceiling: 5_000,
            retrainings: 8,
        };
        let model = self.models[&1].0.into();
        let call = IBondedFigures::postReportCall { model, report };
        client.send(to, &call, bond).await.unwrap();
        let conduct = IBondedFigures::Conduct {
            accepted: 3,
            refused: 0,
            earningBatches: 1,
            harmfulBatches: 0,
            penalties: 1,
        };
        let evidence = keccak256("events");
        let call = IBondedFigures::postConductCall { earner: DISTRUSTED.0, conduct, evidence };
        client.send(to, &call, bond).await.unwrap();
    }

    async fn schedule_rules(&self) {
        let governor = self.client(&signer(0));
        let split =
            Split { platformBps: 1000, modelBps: 2000, stakersBps: 2000, contributorsBps: 5000 };
        let rules = Rules { split, maxCredits: MAX_CREDITS };
        let activation = self.time().await + 7 * DAY + DAY / 2;
        let call = IFeeSchedule::scheduleCall { rules, activation };
        governor.send(self.contracts.deployment.fee_schedule, &call, U256::ZERO).await.unwrap();
    }
}

/// Calls of both models and the base model on two channels, two at the same second.
pub(super) fn calls() -> Vec<Served> {
    let call =
        |channel, model, second, tokens, sketch| Served { channel, model, second, tokens, sketch };
    vec![
        call(0, 1, 5, (10, 20), 3),
        call(0, 1, 9, (11, 21), -2),
        call(1, 2, 9, (7, 5), 1),
        call(0, BASE, 30, (3, 4), 0),
        call(1, 1, 99, (100, 200), 5),
    ]
}

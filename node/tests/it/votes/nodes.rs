//! Nodes that shop, vote and challenge because their configuration files say so.

use std::{path::Path, sync::Arc};

use alloy::{
    primitives::{Address, B256, U256},
    signers::local::PrivateKeySigner,
};
use attribution::settle::{Info, ModelId, Row, SlotLayout, Witness};
use node::{
    chain::bindings::{
        IRecordSamples, ISettlement,
        ISketchVotes::{self, Choice, Stage},
        IValidatorRoll, Status,
    },
    registry::{ChainBatch, Registry},
    store::MemoryStore,
};

use super::{
    ballots::begin_epoch,
    dishonest::Dishonest,
    peer::{Peer, funded, staked},
    world::{World, serve_honestly},
};
use crate::{
    anvil::VOTE_PERIOD,
    binary::{Files, Process, eventually, metric, write_key},
    market::{MAX_SKEW, Operator},
};

/// Seconds of an epoch, enough to shop on a busy machine.
const EPOCH: u64 = 1_200;
/// The rule of a record that a vote finds false: the last of the contract's `Rule`.
const SKETCH: u8 = 24;
const CHALLENGED: &str = "openledger_purchases_total{result=\"Challenged\"}";
const RIGHT: &str = "openledger_purchases_total{result=\"Right\"}";
const SERVED: &str = "openledger_calls_total{outcome=\"Served\"}";
const HOLDS: &str = "openledger_votes_revealed_total{choice=\"Holds\"}";
const FALSE: &str = "openledger_votes_revealed_total{choice=\"False\"}";
const CLEAN: &str = "openledger_examinations{result=\"Clean\"}";
const STRUCK: &str = "openledger_examinations{result=\"Struck\"}";

/// Two nodes with all of it turned on, one of which shops, and a dishonest operator.
struct Fleet {
    world: World,
    dishonest: Dishonest,
    honest: PrivateKeySigner,
    validator: PrivateKeySigner,
    seller: Process,
    buyer: Process,
    buyer_files: Files,
}

const CHECKS: &str = r#"
[validator]
enabled = true

[challenger]
enabled = true
draw_samples = true

[da]
attestor_key_file = "attestor.hex"
"#;

impl Fleet {
    async fn start() -> Self {
        let world = World::open(EPOCH).await;
        let market = &world.market;
        // Whoever challenges is not on the panel, and neither is whoever is accused.
        let honest = staked(market, 710, 4_000).await;
        let validator = staked(market, 720, 4_000).await;
        let shopper = funded(market, 730, 100).await;
        let dishonest = Dishonest::start(&world).await;
        let (folder, anvil) = (world.folder.path().to_owned(), &market.anvil);
        let (blobs, model) = (world.blobs(), folder.join("model"));
        let files = |name: &str, key: &PrivateKeySigner, settings: &str| {
            Files::write(&folder.join(name), anvil, key, &model, Some(&blobs), settings)
        };
        let seller = files("seller", &honest, CHECKS).start();
        let shopping = shopping(&folder, &shopper, &[seller.url.as_str(), dishonest.url.as_str()]);
        let buyer_files = files("buyer", &validator, &format!("{CHECKS}{shopping}"));
        // Everything is bought in one epoch.
        let head = anvil.client(None).block(None).await.unwrap().unwrap();
        anvil.pass(EPOCH - head.timestamp % EPOCH).await;
        let buyer = buyer_files.start();
        Self { world, dishonest, honest, validator, seller, buyer, buyer_files }
    }

    async fn call<C: alloy::sol_types::SolCall>(&self, to: Address, call: &C) -> C::Return {
        self.world.market.anvil.client(None).call(to, call).await.unwrap()
    }

    async fn is_enrolled(&self, account: Address) -> bool {
        let to = self.world.market.contracts.deployment.validator_roll;
        self.call(to, &IValidatorRoll::isEnrolledCall { account }).await
    }

    async fn is_drawn(&self, batch: B256) -> bool {
        let to = self.world.market.contracts.deployment.record_samples;
        !self.call(to, &IRecordSamples::seedOfCall { batch }).await.is_zero()
    }

    /// The votes on an operator's records, with their stages.
    async fn votes_on(&self, operator: Address) -> Vec<(u64, Stage)> {
        let mut found = Vec::new();
        for vote in 1.. {
            let call = ISketchVotes::voteOfCall { vote: U256::from(vote) };
            let entry = self.call(self.world.votes, &call).await;
            if entry.batch.is_zero() {
                break;
            }
            if entry.operator == operator {
                found.push((vote, entry.stage));
            }
        }
        found
    }

    async fn ballot(&self, vote: u64, validator: &PrivateKeySigner) -> ISketchVotes::Ballot {
        let (vote, validator) = (U256::from(vote), validator.address());
        self.call(self.world.votes, &ISketchVotes::ballotOfCall { vote, validator }).await
    }

    /// Buys until the dishonest operator has sold an answer of the model, and the honest one any.
    /// The dishonest operator's batch with it.
    async fn shop(&self) -> B256 {
        eventually("calls are bought", async || {
            self.world.market.anvil.pass(1).await;
            let sold = self.dishonest.first_epoch(self.world.model).is_some();
            sold && self.seller.metric(SERVED).await > 0
        })
        .await;
        self.dishonest.close();
        assert!(metric(&self.seller.client(), SERVED).await > 0);
        let epoch = self.dishonest.first_epoch(self.world.model).unwrap();
        let operator = self.world.market.operator.address();
        let to = self.world.market.contracts.deployment.settlement;
        self.call(to, &ISettlement::batchIdOfCall { operator, epoch }).await
    }

    /// The first batch that an operator has posted, if there is one.
    async fn first_batch(&self, peer: &Peer, operator: Address) -> Option<(B256, ChainBatch)> {
        peer.sync().await;
        peer.registry.batches_of(operator, 0).unwrap().into_iter().next()
    }
}

/// The section that has calls bought from some operators.
fn shopping(folder: &Path, shopper: &PrivateKeySigner, endpoints: &[&str]) -> String {
    let (key_file, prompts) = (folder.join("shopper.hex"), folder.join("prompts.txt"));
    write_key(&key_file, shopper);
    let lines = "function transfer\n\n  contract Vault {  \nWhat does a modifier do?\n";
    std::fs::write(&prompts, lines).unwrap();
    format!(
        r#"
[challenger.shopping]
endpoints = {endpoints:?}
key_file = {key_file:?}
prompts = {prompts:?}
budget_gwei = 1000000000
deposit_gwei = 60000000
calls_per_epoch = 600
max_tokens = 12
"#
    )
}

/// The row and the witness of a batch's first record, from data availability.
async fn first_record(world: &World, batch: &ChainBatch) -> (Vec<u8>, usize, Vec<u8>) {
    let (layer, posted) = (world.market.layer(&world.blobs()), &batch.submission);
    let mut blobs = Vec::new();
    let commitments = std::iter::once(&posted.ledger).chain(&posted.witnesses);
    for (commitment, certificate) in commitments.zip(&posted.certificates) {
        blobs.push(layer.get(commitment.clone(), certificate).await.unwrap().unwrap());
    }
    let ledger = blobs.remove(0);
    let rows = prover::rows_from_blob(&ledger).unwrap();
    let is_record = |row: &Row| matches!(row.info, Info::Record { .. });
    let at = rows.iter().position(is_record).unwrap();
    let Info::Record { ordinal, record, .. } = rows[at].info else { unreachable!() };
    let (symbols, cells) = (posted.witnessSymbols as usize, posted.slotCells as usize);
    let layout = SlotLayout::new(symbols, cells).unwrap();
    // The base has no sketch.
    let dim = |model: ModelId| if world.model.0 == model.0 { 128 } else { 0 };
    let witness = layout.witness(&blobs, ordinal.into(), dim).unwrap();
    assert_eq!(Witness::decode(&witness).unwrap().hash()[..31], record);
    (ledger, at, witness)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_shop_vote_and_challenge_as_their_files_say() {
    let mut fleet = Fleet::start().await;
    let (accused, honest) = (fleet.world.market.operator.address(), fleet.honest.address());
    for account in [fleet.validator.address(), honest] {
        eventually("it enrols", async || fleet.is_enrolled(account).await).await;
    }
    let grudge = funded(&fleet.world.market, 801, 100).await;
    let grudge = Peer::new(&fleet.world.market, &grudge, Arc::new(MemoryStore::default())).await;

    // Calls are bought like any, posted, drawn for samples, and compared with their records.
    let forged = fleet.shop().await;
    fleet.world.market.anvil.pass(EPOCH + MAX_SKEW).await;
    eventually("the forged record is challenged, and the honest operator has posted", async || {
        fleet.world.market.anvil.pass(1).await;
        fleet.buyer.metric(CHALLENGED).await > 0
            && fleet.buyer.metric(RIGHT).await > 0
            && fleet.first_batch(&grudge, honest).await.is_some()
    })
    .await;
    let (id, posted) = fleet.first_batch(&grudge, honest).await.unwrap();
    eventually("samples are drawn", async || {
        fleet.world.market.anvil.pass(1).await;
        fleet.is_drawn(id).await && fleet.is_drawn(forged).await
    })
    .await;
    assert!(fleet.votes_on(honest).await.is_empty(), "an honest record is not challenged");
    let votes = fleet.votes_on(accused).await;
    assert!(!votes.is_empty());

    // Somebody challenges an honest record.
    let (ledger, row, witness) = first_record(&fleet.world, &posted).await;
    grudge.challenge(id, ledger, row, witness).await;
    eventually("both operators answer", async || {
        let of = [fleet.votes_on(accused).await, fleet.votes_on(honest).await].concat();
        of.iter().all(|&(_, stage)| stage == Stage::Voting)
    })
    .await;
    let (votes, upheld) = (fleet.votes_on(accused).await, fleet.votes_on(honest).await[0].0);
    let (judge, other) = (fleet.validator.clone(), fleet.honest.clone());
    eventually("everybody commits", async || {
        let mut is_so = !fleet.ballot(upheld, &judge).await.commitment.is_zero();
        for &(vote, _) in &votes {
            is_so &= !fleet.ballot(vote, &other).await.commitment.is_zero();
        }
        is_so
    })
    .await;
    assert_eq!(fleet.buyer.metric(FALSE).await + fleet.buyer.metric(HOLDS).await, 0);
    eventually("answers and commitments are counted", async || {
        fleet.buyer.metric("openledger_votes_committed_total").await == 1
            && fleet.seller.metric("openledger_votes_answered_total").await == 1
    })
    .await;

    // The validator is killed between its commitment and what it reveals.
    let Fleet { buyer, .. } = fleet;
    buyer.kill();
    fleet.buyer = fleet.buyer_files.start();
    fleet.world.market.anvil.pass(VOTE_PERIOD).await;
    eventually("everybody reveals", async || {
        let mut is_so = fleet.ballot(upheld, &judge).await.choice == Choice::Holds;
        for &(vote, _) in &votes {
            is_so &= fleet.ballot(vote, &other).await.choice == Choice::False;
        }
        is_so
    })
    .await;
    let revealed = async |node: &Process| (node.metric(HOLDS).await, node.metric(FALSE).await);
    eventually("ballots are counted", async || {
        revealed(&fleet.buyer).await == (1, 0)
            && revealed(&fleet.seller).await == (0, votes.len() as u64)
    })
    .await;

    // They close the votes: the forged record's batch is struck, the honest one's stays.
    fleet.world.market.anvil.pass(VOTE_PERIOD).await;
    eventually("votes are closed", async || {
        let of = [fleet.votes_on(accused).await, fleet.votes_on(honest).await].concat();
        of.iter().all(|&(_, stage)| !matches!(stage, Stage::Answering | Stage::Voting))
    })
    .await;
    let stages: Vec<_> = fleet.votes_on(accused).await.iter().map(|(_, stage)| *stage).collect();
    assert!(stages.contains(&Stage::Struck), "{stages:?}");
    assert_eq!(fleet.votes_on(honest).await, [(upheld, Stage::Upheld)]);
    assert_eq!(fleet.world.market.batch(forged).await.status, Status::Struck);
    assert_eq!(fleet.world.market.batch(id).await.status, Status::Posted);
    grudge.sync().await;
    let strike = grudge.registry.strike(forged).unwrap().unwrap();
    assert_eq!((strike.rule, strike.challenger), (SKETCH, fleet.validator.address()));
    assert_eq!(fleet.buyer.metric("openledger_votes_slashed_gwei").await, 0);

    a_provable_fault_is_proven(fleet, &grudge.registry, &grudge).await;
}

/// The challenger proves what needs no vote: here payouts by weights that are not the index's.
async fn a_provable_fault_is_proven(fleet: Fleet, registry: &Registry, reader: &Peer) {
    let Fleet { world, dishonest, validator, seller, buyer, .. } = fleet;
    assert!(buyer.metric(CLEAN).await + seller.metric(CLEAN).await > 0, "rows are right so far");
    assert_eq!(buyer.metric(STRUCK).await + seller.metric(STRUCK).await, 0);
    // Proofs of both would race.
    seller.stop();
    let store = dishonest.stop().await;
    let node = Operator::start(&world.market, store, &world.blobs()).await;
    node.drain().await.unwrap();
    let time = begin_epoch(&world, &node).await;
    let body = world.body("function transfer");
    let voucher = world.voucher(&body, 7, time, 20_000_000);
    serve_honestly(&world.serving(&node), &body, voucher).await;
    let epoch = node.registry.epoch_of(time);
    world.market.anvil.pass(EPOCH + MAX_SKEW).await;
    node.drain().await.unwrap();
    let operator = world.market.operator.address();
    let call = ISettlement::batchIdOfCall { operator, epoch };
    let to = world.market.contracts.deployment.settlement;
    let id = world.market.anvil.client(None).call(to, &call).await.unwrap();
    assert_ne!(world.market.batch(id).await.status, Status::None);
    eventually("the fault is proven", async || {
        buyer.metric(STRUCK).await > 0 && world.market.batch(id).await.status == Status::Struck
    })
    .await;
    reader.sync().await;
    assert_eq!(registry.strike(id).unwrap().unwrap().challenger, validator.address());
    assert!(buyer.metric("openledger_dispute_gas").await > 21_000);
    buyer.stop();
}

//! Indexes that are wrong in one way each, which the challenger strikes, and an honest one, which it
//! leaves alone.

use std::{collections::BTreeMap, sync::Arc};

use alloy::{
    primitives::keccak256,
    rpc::types::Filter,
    sol_types::{SolCall, SolEvent},
};
use attribution::{
    estimate::PublishedIndex,
    settle::{
        SYMBOL_BYTES,
        merkle::{self, SumNode},
        payload_header,
    },
};
use node::{
    chain::bindings::{
        DatanetVersion as ChainVersion, G1Point,
        IIndexDisputes::{DatanetRow, Fault, FaultProven, Gap, Row as DisputedRow},
        IModelRegistry, IndexNode, IndexRow as ChainIndexRow, Price, RowProof,
    },
    challenger::{IndexExamination, index_examination},
    store::Table,
};
use prover::{BlobCommitment, evm};

use super::{
    plants::{Draft, Plant, hidden, visible},
    watcher::Watcher,
    *,
};
use crate::world::Killed;

/// Long enough for everything here by the machine's clock.
const LONG: u64 = 86_400;
const SYMBOLS: usize = 256;

impl World {
    /// Registers a model with what a draft gives, and publishes it.
    async fn post(&self, name: &str, draft: &Draft) -> B256 {
        let root = B256::new(PublishedIndex::from_bytes(&draft.bytes()).unwrap().root());
        self.post_under(name, draft, root).await
    }

    async fn post_under(&self, name: &str, draft: &Draft, root: B256) -> B256 {
        let (client, at) = (self.anvil.client(Some(signer(1))), &self.contracts.deployment);
        let bytes = draft.bytes();
        let content = keccak256(name);
        let call = IModelRegistry::registerAdapterCall {
            base: self.base,
            contentHash: content,
            indexRoot: root,
            indexHash: keccak256(&bytes),
            datanets: vec![ChainVersion {
                datanet: self.version.id,
                version: self.version.version,
            }],
            name: name.into(),
            price: Price { inputRate: 1, outputRate: 1, platformFee: 1 },
        };
        client.send(at.model_registry, &call, U256::ZERO).await.unwrap();
        let model = node::factory::model_id(at, self.base, content);
        let blob = blob(&bytes);
        let commitment = BlobCommitment::new(&anvil::srs(), blob.clone()).unwrap().commitment();
        let evm::G1 { x, y } = commitment.into();
        let commitment = G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) };
        let head = client.block(None).await.unwrap().unwrap();
        let put = self.layer.put(commitment.clone(), blob, head.timestamp).await;
        let (contributors, dim) = draft.declared;
        let call = IInfluenceIndexes::publishCall {
            model,
            contributors,
            dim,
            blobs: vec![commitment],
            symbols: u32::try_from(SYMBOLS).unwrap(),
            certificates: vec![put.unwrap().into()],
        };
        let bond = client.call(at.influence_indexes, &IInfluenceIndexes::minBondCall {}).await;
        client.send(at.influence_indexes, &call, bond.unwrap()).await.unwrap();
        model
    }

    async fn post_all(&self, plants: Vec<Plant>) -> BTreeMap<B256, (&'static str, u8)> {
        let honest = Draft::of(&self.index());
        let mut posted = BTreeMap::new();
        for Plant { name, fault, change } in plants {
            let mut draft = honest.clone();
            change(&mut draft);
            posted.insert(self.post(name, &draft).await, (name, fault as u8));
        }
        posted
    }

    /// Models whose indexes were proven wrong, with the faults.
    async fn proven(&self) -> Vec<(B256, u8)> {
        let filter = Filter::new()
            .address(self.contracts.deployment.index_disputes)
            .event_signature(FaultProven::SIGNATURE_HASH)
            .from_block(0);
        let logs = self.anvil.client(None).logs(&filter).await.unwrap();
        let fault = |log: &alloy::rpc::types::Log| {
            let event = log.log_decode::<FaultProven>().unwrap().inner.data;
            (event.model, event.fault)
        };
        logs.iter().map(fault).collect()
    }
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut blob = payload_header(SYMBOLS).to_vec();
    for piece in bytes.chunks(SYMBOL_BYTES - 1) {
        blob.push(0);
        blob.extend(piece);
        blob.resize(blob.len().next_multiple_of(SYMBOL_BYTES), 0);
    }
    assert!(blob.len() <= SYMBOLS * SYMBOL_BYTES);
    blob.resize(SYMBOLS * SYMBOL_BYTES, 0);
    blob
}

/// Claims that an honest index leaves out row 7, which is a copy of row 0 by the second contributor.
async fn claim_falsely(world: &World, model: B256, index: &InfluenceIndex) {
    let tree = index.tree(1).unwrap();
    let last = tree.rows().len() - 1;
    let (row, path) = (tree.rows()[last].0, tree.path(last).unwrap());
    let contributor = World::proof(index, 1);
    let node = |node: &SumNode| IndexNode {
        count: node.count,
        sumsHash: node.sums_hash.into(),
        left: node.left.into(),
        right: node.right.into(),
    };
    let path = NodeProof {
        contributor: contributor.clone(),
        turns: U256::from(path.turns),
        path: path.nodes.iter().map(node).collect(),
    };
    let row = ChainIndexRow {
        datanet: 0,
        rowIndex: row.index,
        rowHash: row.hash.into(),
        clusterHash: row.cluster.into(),
    };
    let lower = RowProof { node: path, row };
    let copy = &world.datanet.rows[7];
    let proof = merkle::proof(&world.datanet.leaves(), 7).unwrap();
    let call = IIndexDisputes::claimLeftOutRowCall {
        model,
        row: DatanetRow {
            datanet: 0,
            row: DisputedRow {
                index: 7,
                rowHash: copy.row_hash,
                contributor: copy.contributor,
                clusterHash: copy.cluster_hash,
            },
            proof: proof.into_iter().map(B256::from).collect(),
        },
        contributor,
        gap: Gap { lower: vec![lower], upper: vec![] },
    };
    claim(world, &call).await;
}

/// Somebody's claim.
async fn claim(world: &World, call: &impl SolCall) {
    let to = world.contracts.deployment.index_disputes;
    let attacker = world.anvil.client(Some(signer(3)));
    let bond = attacker.call(to, &IIndexDisputes::claimBondCall {}).await.unwrap();
    attacker.send(to, call, bond).await.unwrap();
}

/// Only rows answer a false claim; an answer takes its bond.
async fn answer(world: &World, watcher: &Watcher, blind: &Watcher) {
    let to = world.contracts.deployment.index_disputes;
    let held = watcher.client.balance(to).await.unwrap();
    for (by, answered) in [(blind, false), (watcher, true), (watcher, true)] {
        by.indexer.sync().await.unwrap();
        let answerer = by.answerer();
        assert!(answerer.step().await.unwrap());
        let bond = watcher.client.call(to, &IIndexDisputes::claimBondCall {}).await.unwrap();
        let left = watcher.client.balance(to).await.unwrap();
        assert_eq!(left, if answered { held - bond } else { held });
        assert!(!answerer.step().await.unwrap(), "there are no new blocks");
    }
}

/// What is done with is not read again, also not by another process; what is published later is.
async fn passes_over_what_is_done(world: &World, watcher: &Watcher, done: B256) {
    world.anvil.request("anvil_mine", serde_json::json!(["0x41"])).await;
    watcher.indexer.sync().await.unwrap();
    while watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap() {}
    let forgotten = || {
        let mut batch = WriteBatch::default();
        batch.delete(Table::IndexExaminations, done.as_slice());
        watcher.store.write(batch).unwrap();
    };
    forgotten();
    assert!(!watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap());
    let late = world.post("published late", &Draft::of(&world.index())).await;
    watcher.indexer.sync().await.unwrap();
    assert!(watcher.challenger(Arc::clone(&watcher.store)).step().await.unwrap());
    watcher.all([&late], |found| *found == IndexExamination::Clean { datanets: 1 }).await;
    assert_eq!(index_examination(&watcher.store, done).unwrap(), None);
}

/// Whoever publishes an index, which needs no rows for it, answers that its ordinals are there, also
/// beside a claim that cannot be judged before its time is over; those of ordinals that are not there
/// stay.
async fn answer_ordinals(world: &World, honest: B256, wrong: B256) {
    let root = keccak256("of a tree that nobody has");
    let unreadable = world.post_under("unreadable", &Draft::of(&world.index()), root).await;
    for (model, ordinal) in [(unreadable, 0), (honest, 1), (wrong, 2), (honest, 0)] {
        let call = IIndexDisputes::claimMissingOrdinalCall { model, ordinal };
        claim(world, &call).await;
    }
    let owner = Watcher::new(world, 1, vec![]);
    owner.indexer.sync().await.unwrap();
    let (to, answerer) = (world.contracts.deployment.index_disputes, owner.answerer());
    let bond = owner.client.call(to, &IIndexDisputes::claimBondCall {}).await.unwrap();
    let held = owner.client.balance(to).await.unwrap();
    assert!(answerer.step().await.unwrap());
    let left = owner.client.balance(to).await.unwrap();
    assert_eq!(left, held - U256::from(2) * bond, "two were false");
    assert_eq!(owner.waiting(), 1, "nobody knows what the unreadable one holds");
    assert!(!answerer.step().await.unwrap(), "there is nothing new");
    let call = IIndexDisputes::openClaimsCall { model: honest };
    assert_eq!(owner.client.call(to, &call).await.unwrap(), U256::ZERO);

    world.anvil.pass(LONG).await;
    owner.indexer.sync().await.unwrap();
    assert!(owner.answerer().step().await.unwrap());
    assert_eq!(owner.waiting(), 0);
}

const fn is_struck(found: &IndexExamination) -> bool {
    matches!(found, IndexExamination::Struck { .. })
}

const fn is_claimed(found: &IndexExamination) -> bool {
    matches!(found, IndexExamination::Claimed { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_index_is_struck_and_an_honest_one_earns() {
    let world = World::new(LONG).await;
    let rows = world.folder.path().join("datanet");
    let (honest, dir, index) = world.model("honest").await;
    world.owner.index(&dir, &world.publisher).await.unwrap();
    let visible = world.post_all(visible()).await;

    // Whoever has no rows finds what shows without them.
    let blind = Watcher::new(&world, 3, vec![]);
    let running = blind.run();
    blind.all(visible.keys(), is_struck).await;
    blind.all([&honest], |found| *found == IndexExamination::Clean { datanets: 0 }).await;
    running.end().await;

    let hidden = world.post_all(hidden()).await;
    let watcher = Watcher::new(&world, 2, vec![rows, world.folder.path().join("missing")]);
    watcher.indexer.sync().await.unwrap();
    let before = watcher.client.balance(watcher.client.sender().unwrap()).await.unwrap();

    // Every process dies between the second thing that it finds and its note.
    let dying = || watcher.challenger(Killed::after(Arc::clone(&watcher.store), 1));
    while let Err(error) = dying().step().await {
        assert!(matches!(error, Error::Store(_)), "{error:?}");
    }
    let (claimed, struck): (Vec<B256>, Vec<B256>) =
        hidden.keys().partition(|model| hidden[*model].1 >= Fault::LeftOut as u8);
    watcher.all(&struck, is_struck).await;
    watcher.all(&claimed, is_claimed).await;
    watcher.all(visible.keys(), |found| *found == IndexExamination::Late).await;
    watcher.all([&honest], |found| *found == IndexExamination::Clean { datanets: 1 }).await;
    assert_eq!(world.proven().await.len(), visible.len() + struck.len());

    claim_falsely(&world, honest, &index).await;
    answer(&world, &watcher, &blind).await;

    let padded = hidden.iter().find(|(_, of)| of.0 == "a contributor that is not there").unwrap().0;
    answer_ordinals(&world, honest, *padded).await;

    // Claims are concluded when nobody answered in time, by another process.
    let running = watcher.run();
    watcher.all(&claimed, is_struck).await;
    running.end().await;
    let mut expected: Vec<_> =
        visible.iter().chain(&hidden).map(|(model, (_, fault))| (*model, *fault)).collect();
    let mut proven = world.proven().await;
    expected.sort_unstable();
    proven.sort_unstable();
    let named = |list: &[(B256, u8)]| -> Vec<(&str, u8)> {
        let name =
            |model: &B256| visible.get(model).or(hidden.get(model)).map_or("honest", |n| n.0);
        list.iter().map(|(model, fault)| (name(model), *fault)).collect()
    };
    assert_eq!(named(&proven), named(&expected));

    // Half of each bond is the challenger's, the bonds of its claims are back, and it has that
    // of the false one.
    let bond = world.contracts.deployment.influence_indexes;
    let bond = watcher.client.call(bond, &IInfluenceIndexes::minBondCall {}).await.unwrap();
    let after = watcher.client.balance(watcher.client.sender().unwrap()).await.unwrap();
    let gained = after - before;
    let claim = world.contracts.deployment.index_disputes;
    let claim = watcher.client.call(claim, &IIndexDisputes::claimBondCall {}).await.unwrap();
    let prize = bond / U256::from(2) * U256::from(hidden.len()) + claim;
    assert!(gained <= prize && gained > prize - bond / U256::from(10), "{gained} of {prize}");

    passes_over_what_is_done(&world, &watcher, honest).await;

    // Only the honest model earns, from the end of its window: answered claims put nothing off.
    let to = world.contracts.deployment.influence_indexes;
    let time = world.anvil.client(None).block(None).await.unwrap().unwrap().timestamp;
    for model in visible.keys().chain(hidden.keys()) {
        let call = IInfluenceIndexes::isEarningCall { model: *model, time };
        assert!(!watcher.client.call(to, &call).await.unwrap());
    }
    let call = IInfluenceIndexes::isEarningCall { model: honest, time };
    assert!(watcher.client.call(to, &call).await.unwrap());
    let known = watcher.client.call(to, &IInfluenceIndexes::indexOfCall { model: honest }).await;
    let known = known.unwrap();
    assert_eq!(known.acceptedAt, known.disputableUntil);
}

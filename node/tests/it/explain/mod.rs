//! Recorded answers are explained, computed again and found in their batch; what was changed is found.

mod program;

use std::sync::Arc;

use alloy::primitives::B256;
use node::{
    committer::Kzg,
    explain::{Checker, Claimed, Explanation, Report, Sources, Verdict, explain},
    graph::{Board, Graph, GraphAnswer, Page, Places, Subject},
    recorder::{CallRecord, Recorded, recorded},
    registry::Role,
    store::{MemoryStore, Table, WriteBatch, rows},
};

use crate::{
    anvil::{self, PAGE_SIZE},
    market::{MAX_SKEW, Operator},
    votes::{World, serve_falsely, serve_honestly},
};

const EPOCH: u64 = 1_200;
const WINDOW: u64 = 6 * 3_600;

/// A world in which an operator has served calls.
struct Served {
    world: World,
    node: Operator,
    honest: Vec<Recorded>,
    falsely: Recorded,
}

impl Served {
    async fn start() -> Self {
        let world = World::open(EPOCH).await;
        let store = Arc::new(MemoryStore::default());
        let node = Operator::start(&world.market, store, &world.blobs()).await;
        let serving = world.serving(&node);
        let head = node.registry.head().timestamp;
        world.market.anvil.pass(EPOCH - head % EPOCH).await;
        node.indexer.sync().await.unwrap();
        let (time, mut honest) = (node.registry.head().timestamp, Vec::new());
        for seed in 0..3 {
            let body = world.body("function transfer");
            let voucher = world.voucher(&body, seed, time, 1_000_000_000);
            honest.push(serve_honestly(&serving, &body, voucher).await);
        }
        let body = world.body("function deposit");
        let voucher = world.voucher(&body, 9, time, 1_000_000_001);
        let falsely = serve_falsely(&world, &node, &body, voucher).await;
        Self { world, node, honest, falsely }
    }

    fn checker(&self) -> Checker {
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let layer = self.world.market.layer(&self.world.blobs());
        let reruns = Some(self.world.reruns.clone());
        Checker::new(self.node.registry.clone(), reruns, Some((layer, kzg)))
    }

    fn explained(&self, digest: B256) -> Explanation {
        let (store, registry) = (&*self.node.store, &self.node.registry);
        let found = recorded(store, digest).unwrap().unwrap();
        let model = self.world.catalog.find(&self.world.model.to_string()).unwrap();
        let index = model.adapter.as_ref().map(|adapter| &adapter.index);
        explain(Sources { store, registry, index }, &found, 4, true).unwrap()
    }

    async fn checked(&self, said: &Explanation) -> Report {
        let text = said.text.as_ref().unwrap();
        let request = text.request.as_deref().map(str::as_bytes);
        let claimed = Claimed { explanation: said, request, answer: Some(text.answer.as_bytes()) };
        self.checker().check(claimed).await.unwrap()
    }

    /// Seals, posts and makes final what was served.
    async fn settle(&self) {
        self.world.market.anvil.pass(EPOCH + MAX_SKEW).await;
        self.node.drain().await.unwrap();
    }

    async fn finalise(&self) {
        self.world.market.anvil.pass(WINDOW).await;
        self.node.drain().await.unwrap();
    }

    fn graph(&self) -> Graph {
        Graph::new(self.node.earnings.ledgers(), Arc::clone(&self.world.catalog))
    }

    async fn earned_from(&self, subject: Subject) -> GraphAnswer {
        self.graph().earned_from(subject, Page::default()).await.unwrap().unwrap()
    }
}

fn verdict(report: &Report, what: &str) -> Verdict {
    report.of(what).unwrap_or_else(|| panic!("no {what} in {report:#?}")).verdict
}

/// Changes the record in the store, as damage or an operator would.
fn change(served: &Served, digest: B256, change: impl Fn(&mut CallRecord)) -> CallRecord {
    let calls: Vec<(Vec<u8>, CallRecord)> = rows(&*served.node.store, Table::Calls, &[]).unwrap();
    let (key, original) = calls.into_iter().find(|(_, call)| call.digest() == digest).unwrap();
    let mut changed = original.clone();
    change(&mut changed);
    let mut batch = WriteBatch::default();
    batch.put_row(Table::Calls, key, &changed);
    served.node.store.write(batch).unwrap();
    original
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_agrees_with_its_batch_and_a_false_one_does_not() {
    let served = Served::start().await;
    let digest = served.honest[1].call.digest();
    let report = served.checked(&served.explained(digest)).await;
    assert!(report.agrees(), "{report:#?}");
    assert_eq!(verdict(&report, "batch"), Verdict::Unchecked);

    served.settle().await;
    let said = served.explained(digest);
    assert_eq!(said.batch.as_ref().unwrap().status, "posted");
    let report = served.checked(&said).await;
    assert!(report.agrees(), "{report:#?}");
    for what in ["batch", "inclusion", "paid", "answer again", "sketch again", "credits", "rows"] {
        assert_eq!(verdict(&report, what), Verdict::Agrees, "{what}");
    }
    let batch = said.batch.unwrap();
    assert_eq!(batch.calls, 4);

    // The operator that recorded a sketch of its own making: everything fits but the sketch.
    let falsely = served.checked(&served.explained(served.falsely.call.digest())).await;
    assert_eq!(verdict(&falsely, "sketch again"), Verdict::Differs, "{falsely:#?}");
    assert_eq!(verdict(&falsely, "inclusion"), Verdict::Agrees);
    assert_eq!(verdict(&falsely, "scores"), Verdict::Agrees);

    served.finalise().await;
    let said = served.explained(digest);
    assert_eq!(said.batch.as_ref().unwrap().status, "final");
    let mut changed = said.clone();
    changed.batch.as_mut().unwrap().paid[0].amount.0 += 1;
    assert_eq!(verdict(&served.checked(&changed).await, "paid"), Verdict::Differs);
    let mut changed = said.clone();
    changed.batch.as_mut().unwrap().id = B256::ZERO;
    assert_eq!(verdict(&served.checked(&changed).await, "batch"), Verdict::Differs);

    // A record that was changed after it was settled is not what the chain committed to.
    let original = change(&served, digest, |call| call.sketch[3] ^= 1);
    let report = served.checked(&served.explained(digest)).await;
    assert_eq!(verdict(&report, "inclusion"), Verdict::Differs, "{report:#?}");
    assert_eq!(verdict(&report, "record"), Verdict::Differs);
    change(&served, digest, |call| *call = original.clone());
    assert!(served.checked(&served.explained(digest)).await.agrees());
    // So is a ledger on data availability that is not there any more: that says nothing.
    std::fs::remove_dir_all(served.world.blobs()).unwrap();
    let report = served.checked(&said).await;
    assert_eq!(verdict(&report, "inclusion"), Verdict::Unchecked, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_adds_up_to_the_ledger_and_to_what_the_chain_paid() {
    let served = Served::start().await;
    let call = served.earned_from(Subject::Call(served.honest[0].call.digest())).await;
    let fee = i128::from(served.honest[0].receipt.fee);
    let paid: i128 = call.edges.iter().filter_map(|edge| Some(edge.gwei?.0)).sum();
    assert_eq!(paid, fee, "{call:#?}");
    assert!(call.batches.is_empty());

    served.settle().await;
    let model = Subject::Model(served.world.model);
    assert_eq!(served.earned_from(model).await.total.0, 0, "nothing is final");
    let open = Page { has_open: true, ..Page::default() };
    let open = served.graph().earned_from(model, open).await.unwrap().unwrap();
    let fees = served.honest.iter().chain([&served.falsely]).map(|one| one.receipt.fee);
    let fees: i128 = fees.map(i128::from).sum();
    assert_eq!(open.total.0, fees);

    served.finalise().await;
    let of_model = served.earned_from(model).await;
    assert_eq!((of_model.total.0, of_model.batches.len()), (fees, 1));
    assert_eq!(of_model.batches[0].status, "final");

    // What each account earned is what the chain's earnings say.
    let registry = &served.node.registry;
    let all = served.node.earnings.all().await.unwrap();
    let mut sum = 0;
    for earner in registry.earners().unwrap() {
        let known = all.iter().find(|one| one.earner == earner.earner).unwrap();
        let from = served.earned_from(Subject::Account(earner.account)).await;
        let earned = from.earned.iter().find(|one| one.earner == earner.earner.0);
        let gwei = earned.map_or(0, |one| one.gwei.0);
        assert_eq!(gwei, i128::from(known.cumulative), "{earner:?}");
        sum += gwei;
    }
    assert_eq!(sum, fees);

    // So are all models' together, the most first, with how often each was called.
    let everything = served.earned_from(Subject::All).await;
    assert_eq!((everything.total.0, &everything.earned), (fees, &of_model.earned));
    assert!(everything.earned.is_sorted_by(|a, b| a.gwei >= b.gwei));
    let called = everything.nodes.iter().find(|node| node.calls > 0).unwrap();
    assert_eq!((called.kind.as_str(), called.calls), ("model", 4));

    // Rows sum to their Datanet version, and that to what contributors are paid.
    let view = registry.model(served.world.model).unwrap().unwrap();
    let datanet = view.datanets[0];
    let of_datanet = served.earned_from(Subject::Datanet(datanet.id, datanet.version)).await;
    let contributors: i128 = all
        .iter()
        .filter(|one| one.role == Role::Contributor)
        .map(|one| i128::from(one.cumulative))
        .sum();
    assert!(contributors > 0);
    assert_eq!(of_datanet.total.0 + of_datanet.unplaced.0, contributors, "{of_datanet:#?}");
    assert!(of_datanet.left_out.is_empty());
    let model = served.world.catalog.find(&served.world.model.to_string()).unwrap();
    let index = &model.adapter.as_ref().unwrap().index;
    let mut rows = 0;
    for row in index.rows() {
        let of_row = served.earned_from(Subject::Row(row.source.hash.into())).await;
        assert!(of_row.earned.iter().all(|one| one.earner == row.source.earner.0));
        rows += of_row.total.0;
    }
    assert_eq!(rows, of_datanet.total.0);

    // The ranking has everybody's earnings, and Datanets' are what contributors are paid.
    let everybody = Places { after: 0, limit: 100 };
    let graph = served.graph();
    let leaders = graph.leaders(Board::Contributors, everybody).await.unwrap();
    assert!(!leaders.is_behind && leaders.left_out.is_empty(), "{leaders:?}");
    assert_eq!((leaders.total.0, leaders.batches, leaders.next), (contributors, 1, None));
    assert!(leaders.data.is_sorted_by(|a, b| a.gwei >= b.gwei));
    for (place, leader) in (1..).zip(&leaders.data) {
        let known = all.iter().find(|one| format!("earner:{}", one.earner) == leader.id).unwrap();
        assert_eq!(leader.place, place);
        assert_eq!(leader.account, Some(known.account));
        assert_eq!(leader.gwei.0, i128::from(known.cumulative));
    }
    let datanets = graph.leaders(Board::Datanets, everybody).await.unwrap();
    assert_eq!(datanets.total.0 + datanets.unplaced.0, contributors);
    let [leader] = &datanets.data[..] else { panic!("{datanets:?}") };
    assert_eq!(leader.id, format!("datanet:{}", datanet.id));
    let [version] = &leader.versions[..] else { panic!("{leader:?}") };
    assert_eq!((version.version, version.gwei), (datanet.version, of_datanet.total));
    // In pages it is the same, and what was counted is not counted again.
    let mut pages = Vec::new();
    for after in 0..leaders.data.len() as u64 {
        let page = Places { after, limit: 1 };
        let page = graph.leaders(Board::Contributors, page).await.unwrap();
        assert_eq!((page.batches, page.total), (1, leaders.total));
        let next = (after + 1 < leaders.data.len() as u64).then_some(after + 1);
        assert_eq!(page.next, next);
        pages.extend(page.data);
    }
    assert_eq!(pages, leaders.data);

    // A node that has only the chain and data availability says the same.
    let fresh = Arc::new(MemoryStore::default());
    let other = Operator::start(&served.world.market, fresh, &served.world.blobs()).await;
    let graph = Graph::new(other.earnings.ledgers(), Arc::clone(&served.world.catalog));
    for subject in [
        Subject::Model(served.world.model),
        Subject::Datanet(datanet.id, datanet.version),
        Subject::Row(index.rows()[0].source.hash.into()),
        Subject::Call(served.honest[0].call.digest()),
        Subject::Call(served.falsely.call.digest()),
    ] {
        let theirs = graph.earned_from(subject, Page::default()).await.unwrap().unwrap();
        assert_eq!(theirs, served.earned_from(subject).await);
    }
    assert_eq!(graph.leaders(Board::Datanets, everybody).await.unwrap(), datanets);
    let page = Page::default();
    for unknown in [
        Subject::Call(B256::ZERO),
        Subject::Model(B256::ZERO),
        Subject::Datanet(datanet.id, 9),
        Subject::Row(B256::ZERO),
    ] {
        assert_eq!(graph.earned_from(unknown, page).await.unwrap(), None);
    }
}

//! Who holds a span of an answer is paid for it.

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::B256;
use attribution::settle::{Ground, Mix, UseKind};
use node::{
    challenger::{Challenger, Corpora, Examination, Indexes, SpanFiles, examination},
    committer::Kzg,
    factory::IndexPublisher,
    graph::{Board, Graph, Page, Places, Subject},
    recorder::Recorded,
    store::{MemoryStore, SharedStore},
};

use super::world::{Method, SPANS_BPS, WINDOW, World, follow};
use crate::{
    anvil::{self, PAGE_SIZE},
    market::{EPOCH_SECONDS, MAX_SKEW, Operator},
    votes::tiny,
    world::{Killed, key, rocks},
};

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

//! Span indexes that a node does not serve.

use std::sync::Arc;

use alloy::primitives::B256;
use attribution::settle::Mix;
use node::{
    catalog::{Catalog, ModelManifest, SPANS_FOLDER},
    datanet::Datanet,
    factory::{build_spans, earners_on_chain},
    store::MemoryStore,
};

use super::world::{Method, SPANS_BPS, World, datanet, follow};
use crate::votes::tiny;

/// A damaged span index, one of other rows, and a missing one are refused with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_foreign_span_index_is_refused() {
    let world = World::open(Method::Both, Mix::new(SPANS_BPS, 0).unwrap()).await;
    let (registry, _) = follow(&world.market, Arc::new(MemoryStore::default())).await;
    let dir = world.folder.path().join("model");
    let refused = || {
        let error = Catalog::load(&world.engine, &tiny(), std::slice::from_ref(&dir), &registry)
            .unwrap_err();
        error.to_string()
    };
    let part = dir.join(SPANS_FOLDER).join("0.suffixes");
    let bytes = std::fs::read(&part).unwrap();
    let mut altered = bytes.clone();
    altered[3] ^= 1;
    std::fs::write(&part, &altered).unwrap();
    assert!(refused().contains("suffixes of shard 0"), "{}", refused());
    std::fs::write(&part, &bytes).unwrap();

    let manifest = ModelManifest::load(&dir).unwrap();
    ModelManifest { span_hash: Some(B256::repeat_byte(1)), ..manifest.clone() }.save(&dir).unwrap();
    assert!(refused().contains("is in model.json"), "{}", refused());
    ModelManifest { span_hash: None, ..manifest.clone() }.save(&dir).unwrap();
    assert!(refused().contains("model.json names none"), "{}", refused());
    manifest.save(&dir).unwrap();

    // The index of other rows, as a consistent directory.
    let data = world.folder.path().join("other");
    let [first, second] = world.accounts;
    datanet("something else altogether, in many words", [second, first], &data);
    let datanets = [Datanet::load(&data).unwrap()];
    let client = world.market.anvil.client(None);
    let deployment = &world.market.contracts.deployment;
    let earners = earners_on_chain(&client, deployment, &datanets).await.unwrap();
    let report = build_spans(&tiny(), &dir, &datanets, &earners, &mut |_| {}).unwrap();
    let span_hash = Some(report.commitment.hash().into());
    ModelManifest { span_hash, ..manifest }.save(&dir).unwrap();
    assert!(refused().contains("is published"), "{}", refused());
    std::fs::remove_dir_all(dir.join(SPANS_FOLDER)).unwrap();
    assert!(refused().contains(SPANS_FOLDER), "{}", refused());
}

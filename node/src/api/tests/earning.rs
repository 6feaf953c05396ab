//! Models are called once their influence index is accepted.

use serde_json::{Value, json};

use super::world::{DEPOSIT, Files, NOW, World, base_dir};
use crate::{
    catalog::Catalog,
    registry::IndexView,
    store::{Table, WriteBatch},
};

/// What the indexer would have written.
fn set(world: &World, change: impl FnOnce(&mut IndexView)) {
    let mut view = world.registry.index(world.model).unwrap().unwrap();
    change(&mut view);
    let mut batch = WriteBatch::default();
    batch.put_row(Table::Indexes, world.model.as_slice(), &view);
    world.api.store.write(batch).unwrap();
}

async fn listed(world: &World) -> Value {
    let (_, text) = world.get("/v1/models").await;
    let list: Value = serde_json::from_str(&text).unwrap();
    let id = json!(world.model);
    let models = list["data"].as_array().unwrap();
    models.iter().find(|model| model["id"] == id).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_refused_until_its_index_is_accepted_and_once_it_is_struck() {
    let world = World::start().await;
    let body = world.body(json!({}));
    let refused = (503, "model_not_earning".to_owned());
    set(&world, |view| view.accepted_at = NOW + 1);
    assert_eq!(world.refusal(&body, None).await, refused);
    let model = listed(&world).await;
    assert_eq!((&model["earning"], &model["earning_from"]), (&json!(false), &json!(NOW + 1)));

    set(&world, |view| view.accepted_at = NOW);
    assert_eq!(world.refusal(&body, None).await.0, 402);
    assert_eq!(listed(&world).await["earning"], json!(true));
    // Signed before, within the bounds of clocks: the batch could not credit it.
    let early = world.voucher(&body, DEPOSIT, |voucher| voucher.call.time = NOW - 1);
    assert_eq!(world.refusal(&body, Some(&early)).await, (400, "model_not_earning".into()));
    let now = world.voucher(&body, DEPOSIT, |voucher| voucher.call.time = NOW);
    assert_eq!(world.chat(&body, Some(&now)).await.status(), 200);

    set(&world, |view| view.struck = true);
    assert_eq!(world.refusal(&body, None).await, refused);
    assert_eq!(listed(&world).await["earning_from"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_load_a_model_whose_index_was_struck() {
    let world = World::start().await;
    set(&world, |view| view.struck = true);
    let engine = &world.api.serving.parts().engine;
    let dirs = [Files::shared().model_dir()];
    let refused = Catalog::load(engine, &base_dir(), &dirs, &world.registry).unwrap_err();
    assert!(refused.to_string().contains("index was struck"), "{refused}");
}

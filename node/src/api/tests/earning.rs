//! Models are called once their influence index is accepted.

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

use super::world::{DEPOSIT, Files, NOW, World, base_dir};
use crate::{
    catalog::Catalog,
    registry::{FigureKind, FigureView, IndexView, Mix, ReportView},
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

#[tokio::test(flavor = "multi_thread")]
async fn a_model_says_how_far_pay_follows_its_influence() {
    let world = World::start().await;
    let whole = json!({ "bps": 10_000, "credit_share_bps": 10_000, "report": null });
    assert_eq!(listed(&world).await["influence"], whole, "no contract says how much");

    let mut batch = WriteBatch::default();
    batch.put_row(Table::DefaultInfluence, 0_u64.to_be_bytes(), &5_000_u16);
    world.api.store.write(batch).unwrap();
    let default = json!({ "bps": 5_000, "credit_share_bps": 5_000, "report": null });
    assert_eq!(listed(&world).await["influence"], default);

    let report =
        ReportView { lds_low: 6_000, lds: 6_500, lds_high: 7_000, ceiling: 5_000, retrainings: 8 };
    let view = FigureView {
        kind: FigureKind::Influence,
        subject: world.model,
        hash: B256::repeat_byte(5),
        poster: Address::repeat_byte(6),
        bps: 7_200,
        in_force_from: Some(NOW),
        report: Some(report),
    };
    let key = |from: u64| {
        [&[FigureKind::Influence as u8], world.model.as_slice(), &from.to_be_bytes()].concat()
    };
    let mut batch = WriteBatch::default();
    batch.put_row(Table::Figures, 4_u64.to_be_bytes(), &view);
    batch.put_row(Table::FiguresInForce, key(NOW), &4_u64);
    // Announced and not in force yet.
    batch.put_row(Table::FiguresInForce, key(NOW + 1), &5_u64);
    world.api.store.write(batch).unwrap();
    let expected = json!({
        "bps": 7_200,
        "credit_share_bps": 7_200,
        "report": {
            "figure": 4,
            "hash": B256::repeat_byte(5),
            "in_force_from": NOW,
            "lds_bps": 6_500,
            "lds_interval_bps": [6_000, 7_000],
            "ceiling_bps": 5_000,
            "retrainings": 8,
        },
    });
    assert_eq!(listed(&world).await["influence"], expected);

    // Of a mix that pays 60% by spans and citations, 40% go by the report.
    let mut batch = WriteBatch::default();
    let key = [world.model.as_slice(), &0_u64.to_be_bytes()].concat();
    batch.put_row(Table::ModelMixes, key, &Mix::new(4_000, 2_000).unwrap());
    world.api.store.write(batch).unwrap();
    let mixed = listed(&world).await["influence"].clone();
    assert_eq!((&mixed["bps"], &mixed["credit_share_bps"]), (&json!(7_200), &json!(8_880)));
}

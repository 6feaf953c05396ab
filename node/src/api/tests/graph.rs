//! The graph's questions over HTTP; what its answers add up to is tested on a chain.

use alloy::primitives::B256;
use serde_json::{Value, json};

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn rankings_of_nothing_are_empty_and_pages_have_bounds() {
    let world = World::start().await;
    for board in ["contributors", "datanets"] {
        let (status, text) = world.get(&format!("/v1/graph/{board}?limit=100&after=7")).await;
        let expected = json!({
            "object": format!("graph.{board}"),
            "data": [],
            "total": "0",
            "unplaced": "0",
            "batches": 0,
            "is_behind": false,
            "left_out": [],
        });
        assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (200, expected));
        for wrong in ["limit=0", "limit=101", "limit=x", "top=3"] {
            let (status, text) = world.get(&format!("/v1/graph/{board}?{wrong}")).await;
            assert_eq!(status, 400, "{wrong}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_batch_has_is_unknown_and_one_of_this_node_is_not() {
    let world = World::start().await;
    let unknown = format!("/v1/graph/calls/{}", B256::repeat_byte(7));
    assert_eq!(world.get(&unknown).await.0, 404);
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let answer: Value = world.chat(&body, Some(&voucher)).await.json().await.unwrap();
    let digest = answer["openledger"]["record"]["voucherDigest"].as_str().unwrap();
    let (status, text) = world.get(&format!("/v1/graph/calls/{digest}")).await;
    let graph: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &graph["subject"]), (200, &json!(format!("call:{digest}"))));
    let paid = graph["edges"].as_array().unwrap().iter().filter_map(|edge| edge["gwei"].as_str());
    let fee = answer["openledger"]["receipt"]["fee"].as_str().unwrap();
    let paid: i128 = paid.map(|gwei| gwei.parse::<i128>().unwrap()).sum();
    assert_eq!(paid.to_string(), fee);
}

//! Adapters that are no models: who may list, use, and know of them.

use alloy::primitives::B256;
use serde_json::{Value, json};

use super::world::{World, bearer};
use crate::catalog::adapter_hash;

impl World {
    async fn load(&self, name: &str, path: &str, owner: &str) -> Value {
        let body = json!({"lora_name": name, "lora_path": path, "owner": owner});
        let body = body.to_string();
        let response = self.keyed("/v1/load_lora_adapter", "root", body.as_bytes()).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    async fn get_as(&self, path: &str, name: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.header("authorization", bearer(name)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn base(change: Value) -> Value {
    let mut body = json!({"model": "openledger-tiny"});
    for (field, value) in change.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_adapter_answers_its_owner_unpaid() {
    let world = World::start().await;
    let loaded = world.load("kims-style", "style", "kim").await;
    let hash = adapter_hash(&super::world::adapters_dir().join("style")).unwrap();
    assert_eq!(loaded["hash"], hash.to_string());
    let (_, models) = world.get_as("/v1/models", "kim").await;
    let ids: Vec<&Value> =
        models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert!(ids.contains(&&json!("kims-style")), "{ids:?}");
    assert_eq!(world.get_as("/v1/models/kims-style", "kim").await.0, 200);

    let (status, answer) = world.keyed_chat("kim", json!({"model": "kims-style"})).await;
    assert_eq!(status, 200, "{answer}");
    let statement = json!({"unpaid": true, "adapters": [{"id": hash, "weight": 1.0}]});
    assert_eq!(answer["openledger"], statement);
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    assert_eq!(world.account().await.charged, 0);
    let (_, plain) = world.keyed_chat("kim", base(json!({}))).await;
    assert_ne!(plain["choices"], answer["choices"], "the adapter is not heard");
    // The same by its hash, as LoRAX names it.
    let by_hash = base(json!({"adapter_id": hash.to_string()}));
    let (_, again) = world.keyed_chat("kim", by_hash).await;
    assert_eq!(again["choices"], answer["choices"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_tell_a_private_adapter_from_none() {
    let world = World::start().await;
    let listed = world.get_as("/v1/models", "ana").await;
    let info = world.get_as("/info", "ana").await;
    let loaded = world.load("kims-style", "style", "kim").await;
    let hash = loaded["hash"].as_str().unwrap().to_owned();
    let nothing = B256::repeat_byte(9).to_string();
    // Before it was ever used, and when it is in a slot with a cached prompt.
    for _ in 0..2 {
        assert_eq!(world.get_as("/v1/models", "ana").await, listed);
        assert_eq!(world.get_as("/info", "ana").await, info);
        for (real, absent) in [
            (json!({"model": "kims-style"}), json!({"model": "nobodys"})),
            (json!({"model": hash}), json!({"model": nothing})),
            (base(json!({"adapter_id": "kims-style"})), base(json!({"adapter_id": "nobodys"}))),
            (base(json!({"adapter_id": hash})), base(json!({"adapter_id": nothing}))),
            (
                base(json!({"merged_adapters": {"ids": [hash], "weights": [1.0]}})),
                base(json!({"merged_adapters": {"ids": [nothing], "weights": [1.0]}})),
            ),
        ] {
            for name in ["ana", "poor"] {
                let found = world.keyed_chat(name, real.clone()).await;
                assert_eq!(found.0, 404, "{real}");
                assert_eq!(found, world.keyed_chat(name, absent.clone()).await);
            }
            let anonymous = async |change: &Value| {
                let response = world.chat(&world.body(change.clone()), None).await;
                (response.status(), response.json::<Value>().await.unwrap())
            };
            assert_eq!(anonymous(&real).await, anonymous(&absent).await);
        }
        let one = |name| format!("/v1/models/{name}");
        let found = world.get_as(&one("kims-style"), "ana").await;
        assert_eq!(found, world.get_as(&one("nobodys"), "ana").await);
        assert_eq!(world.keyed_chat("kim", json!({"model": "kims-style"})).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_record_can_name_is_not_sold() {
    let world = World::start().await;
    world.load("anas", "other", "ana").await;
    let (status, answer) = world.keyed_chat("ana", json!({"model": "anas"})).await;
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("adapter_not_recordable")));
    // A voucher does not help either.
    let body = world.body(json!({"model": "anas"}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let header = crate::api::payment::encode(&voucher);
    let request = world.post("/v1/chat/completions", &body).header("x-payment", header);
    let response = request.header("authorization", bearer("ana")).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(world.refusal(&body, Some(&voucher)).await.0, 404);
    assert_eq!(world.account().await.charged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_adapter_named_as_one_is_the_model() {
    let world = World::start().await;
    let hash = adapter_hash(&super::world::Files::shared().model_dir()).unwrap();
    let body = world.body(base(json!({"adapter_id": hash.to_string()})));
    let voucher = world.voucher(&body, 1000, |_| {});
    let answer: Value = world.chat(&body, Some(&voucher)).await.json().await.unwrap();
    assert_eq!(answer["model"], "solidity", "{answer}");
    let adapters = json!([{"id": hash, "weight": 1.0}]);
    assert_eq!(answer["openledger"]["adapters"], adapters);
    let (_, plain) = world.keyed_chat("ana", json!({})).await;
    assert_eq!(plain["choices"], answer["choices"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_tells_the_weight_of_each_adapter() {
    let world = World::start().await;
    world.load("one", "style", "kim").await;
    world.load("two", "other", "kim").await;
    for (strategy, density) in [("linear", None), ("ties", Some(0.5)), ("dare_linear", Some(0.5))] {
        let merged = json!({"ids": ["one", "two", "solidity"], "weights": [0.5, 0.25, 1.0],
                            "merge_strategy": strategy, "density": density});
        let (status, answer) =
            world.keyed_chat("kim", base(json!({"merged_adapters": merged}))).await;
        assert_eq!(status, 200, "{answer}");
        let adapters = answer["openledger"]["adapters"].as_array().unwrap();
        let mut weights: Vec<f64> =
            adapters.iter().map(|adapter| adapter["weight"].as_f64().unwrap()).collect();
        weights.sort_by(f64::total_cmp);
        assert_eq!(weights, [0.25, 0.5, 1.0], "{strategy}");
    }
    for merged in [
        json!({"ids": ["one"], "weights": []}),
        json!({"ids": ["one", "one"], "weights": [1.0, 1.0]}),
        json!({"ids": ["one", "two"], "weights": [1.0, 1.0], "merge_strategy": "ties"}),
        json!({"ids": ["one", "two"], "weights": [1.0, 1.0], "merge_strategy": "slerp"}),
        json!({"ids": ["one", "two"], "weights": [1.0, 99.0]}),
    ] {
        let (status, answer) =
            world.keyed_chat("kim", base(json!({"merged_adapters": merged}))).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!("merged_adapters")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adapters_are_loaded_and_unloaded_by_administrators_only() {
    let world = World::start().await;
    let load = json!({"lora_name": "style", "lora_path": "style", "owner": "kim"}).to_string();
    for (path, body) in
        [("/v1/load_lora_adapter", &load[..]), ("/v1/unload_lora_adapter", r#"{"lora_name":"a"}"#)]
    {
        let refused = world.keyed(path, "kim", body.as_bytes()).await;
        assert_eq!(refused.status(), 403);
        assert_eq!(world.post(path, body.as_bytes()).send().await.unwrap().status(), 401);
    }
    assert_eq!(world.get_as("/admin/adapters", "kim").await.0, 403);
    assert_eq!(world.get("/admin/adapters").await.0, 401);
    for (field, value, status) in [
        ("lora_path", json!("../model"), 400),
        ("lora_path", json!("/etc"), 400),
        ("lora_path", json!("nowhere"), 400),
        ("lora_name", json!("solidity"), 400),
        ("lora_name", json!("auto"), 400),
        ("owner", json!("nobody"), 400),
        ("source", json!("ftp"), 400),
    ] {
        let mut body: Value = serde_json::from_str(&load).unwrap();
        body[field] = value;
        let body = body.to_string();
        let refused = world.keyed("/v1/load_lora_adapter", "root", body.as_bytes()).await;
        assert_eq!(refused.status(), status, "{body}");
    }
    let far = json!({"lora_name": "far", "lora_path": "owner/name", "source": "hub"}).to_string();
    let refused = world.keyed("/v1/load_lora_adapter", "root", far.as_bytes()).await;
    let (status, body) = (refused.status(), refused.json::<Value>().await.unwrap());
    assert_eq!((status.as_u16(), &body["error"]["code"]), (403, &json!("host_not_allowed")));

    world.load("style", "style", "kim").await;
    let (_, list) = world.get_as("/admin/adapters", "root").await;
    let mine = |list: &Value| {
        let data = list["data"].as_array().unwrap().clone();
        data.into_iter().filter(|adapter| adapter["owner"] == "kim").count()
    };
    assert_eq!(mine(&list), 1, "{list}");
    let unload = json!({"lora_name": "style", "owner": "kim"}).to_string();
    let gone = world.keyed("/v1/unload_lora_adapter", "root", unload.as_bytes()).await;
    assert_eq!(gone.status(), 200);
    let again = world.keyed("/v1/unload_lora_adapter", "root", unload.as_bytes()).await;
    assert_eq!(again.status(), 404);
    assert_eq!(mine(&world.get_as("/admin/adapters", "root").await.1), 0);
    assert_eq!(world.keyed_chat("kim", json!({"model": "style"})).await.0, 404);
    // A model's adapter is the chain's business.
    let model = json!({"lora_name": "solidity"}).to_string();
    let refused = world.keyed("/v1/unload_lora_adapter", "root", model.as_bytes()).await;
    assert!(refused.status().is_client_error());
    assert_eq!(world.keyed_chat("ana", json!({})).await.0, 200);
}

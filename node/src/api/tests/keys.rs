//! Calls of callers with keys, whose vouchers the node signs.

use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};

use super::world::{World, bearer};

impl World {
    /// Posts a body with a key.
    pub(super) async fn keyed(&self, path: &str, name: &str, body: &[u8]) -> Response {
        self.post(path, body).header("authorization", bearer(name)).send().await.unwrap()
    }

    /// Status and body of a chat with a key.
    pub(super) async fn keyed_chat(&self, name: &str, change: Value) -> (u16, Value) {
        let response = self.keyed("/v1/chat/completions", name, &self.body(change)).await;
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn fee(answer: &Value) -> u64 {
    answer["openledger"]["receipt"]["fee"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_paid_for_from_its_payers_channel() {
    let world = World::start().await;
    let (status, answer) = world.keyed_chat("ana", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let record = &answer["openledger"]["record"];
    assert_eq!(record["channelId"], world.channel.to_string());
    let account = world.account().await;
    assert_eq!((account.charged, account.reserved), (fee(&answer), 0));

    // The record is one as any other: with the payer's voucher over the body that was sent.
    let digest = record["voucherDigest"].as_str().unwrap();
    let (status, text) = world.get(&format!("/v1/records/{digest}")).await;
    let stored: Value = serde_json::from_str(&text).unwrap();
    let hash = alloy::primitives::keccak256(world.body(json!({})));
    assert_eq!((status, &stored["voucher"]["voucher"]["call"]["promptHash"]), (200, &json!(hash)));
    assert_eq!(stored["receipt"], answer["openledger"]["receipt"]);
    assert_eq!(stored["adapters"], answer["openledger"]["adapters"]);
    assert_eq!(stored["adapters"][0]["weight"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_stream_is_the_plain_answer_in_pieces() {
    let world = World::start().await;
    let (_, plain) = world.keyed_chat("ana", json!({"seed": 5, "temperature": 1})).await;
    let body = world.body(json!({"seed": 5, "temperature": 1, "stream": true}));
    let response = world.keyed("/v1/chat/completions", "ana", &body).await;
    let text = response.text().await.unwrap();
    let pieces = text.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    let chunks: Vec<Value> =
        pieces.map(|piece| serde_json::from_str(&format!("{{{piece}")).unwrap()).collect();
    let content = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str());
    let streamed: String = content.collect();
    assert_eq!(plain["choices"][0]["message"]["content"], streamed);
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_key_is_401_and_no_key_is_402() {
    let world = World::start().await;
    let body = world.body(json!({}));
    for (path, body) in [
        ("/v1/chat/completions", &body[..]),
        ("/v1/completions", b"{}"),
        ("/v1/embeddings", b"{}"),
        ("/v1/load_lora_adapter", b"{}"),
    ] {
        for header in ["Bearer nobody", "Bearer ", "Basic c2VjcmV0", "secret-of-ana"] {
            let request = world.post(path, body).header("authorization", header);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {header}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let answer: Value = response.json().await.unwrap();
            assert_eq!(answer["error"]["code"], "invalid_api_key");
        }
    }
    assert_eq!(world.refusal(&body, None).await, (402, "payment_required".into()));
    let models = world.http.get(format!("{}/v1/models", world.url));
    let refused = models.header("authorization", "Bearer nobody").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let (status, answer) = world.keyed_chat("root", json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (402, &json!("no_payer")));
    assert_eq!(world.account().await.charged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_one_payer_do_not_overtake_each_other() {
    let world = World::start().await;
    let calls = (0..8).map(|i| world.keyed_chat(if i % 2 == 0 { "ana" } else { "ben" }, json!({})));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let fees: u64 = answers.iter().map(|(_, answer)| fee(answer)).sum();
    let account = world.account().await;
    assert_eq!((account.charged, account.reserved), (fees, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_choices_is_a_call_with_a_record() {
    let world = World::start().await;
    let change = json!({"n": 3, "seed": 40, "temperature": 1.0});
    let (status, answer) = world.keyed_chat("ana", change.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let choices = answer["choices"].as_array().unwrap();
    let calls = answer["openledger"]["calls"].as_array().unwrap();
    assert_eq!((choices.len(), calls.len()), (3, 3));
    let mut tokens = 0;
    for (place, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], place);
        let (_, alone) =
            world.keyed_chat("ana", json!({"seed": 40 + place, "temperature": 1.0})).await;
        assert_eq!(alone["choices"][0]["message"], choice["message"]);
        let hash = alloy::primitives::keccak256(choice["message"]["content"].as_str().unwrap());
        assert_eq!(calls[place]["record"]["outputHash"], hash.to_string());
        tokens += calls[place]["record"]["tokensOut"].as_u64().unwrap();
    }
    assert_eq!(answer["usage"]["completion_tokens"], tokens);
    let mut stream = change;
    stream["stream"] = json!(true);
    let response = world.keyed("/v1/chat/completions", "ana", &world.body(stream)).await;
    let text = response.text().await.unwrap();
    let mut streamed = vec![String::new(); 3];
    for piece in text.split("\n\n").filter_map(|event| event.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{piece}")).unwrap();
        let choice = &chunk["choices"][0];
        let place = choice["index"].as_u64().unwrap() as usize;
        streamed[place] += choice["delta"]["content"].as_str().unwrap_or("");
    }
    let plain = choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap());
    assert_eq!(streamed, plain.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_spend_more_than_its_limit() {
    let world = World::start().await;
    let (status, first) = world.keyed_chat("poor", json!({})).await;
    assert_eq!(status, 200, "{first}");
    let (status, second) = world.keyed_chat("poor", json!({})).await;
    assert_eq!((status, &second["error"]["code"]), (429, &json!("insufficient_quota")));
    assert_eq!(world.account().await.charged, fee(&first));
    // Another key of the same payer is not held up by it.
    assert_eq!(world.keyed_chat("ana", json!({})).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_is_the_one_model() {
    let world = World::start().await;
    let (status, answer) = world.keyed_chat("ana", json!({"model": "auto"})).await;
    assert_eq!((status, &answer["model"]), (200, &json!("solidity")));
    let body = world.body(json!({"model": "auto"}));
    let quote: Value = world.chat(&body, None).await.json().await.unwrap();
    assert_eq!(quote["modelId"], world.model.to_string());
}

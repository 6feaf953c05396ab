//! Embeddings: paid calls of the base model.

use alloy::primitives::{B256, keccak256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::world::World;
use crate::{
    api::payment,
    attributor::AttributorHandle,
    recorder::recorded,
    votes::{Rerun, Reruns},
};

impl World {
    async fn embed(&self, body: &Value) -> (u16, Value) {
        let response = self.keyed("/v1/embeddings", "ana", body.to_string().as_bytes()).await;
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_have_length_one_and_the_same_bits_in_both_encodings() {
    let world = World::start().await;
    let mut body = json!({"model": "auto", "input": ["contract Token", "function f"]});
    let (status, list) = world.embed(&body).await;
    assert_eq!(status, 200, "{list}");
    body["encoding_format"] = json!("base64");
    let (_, packed) = world.embed(&body).await;
    for (one, other) in [0, 1].map(|at| (&list["data"][at], &packed["data"][at])) {
        let values = floats(&one["embedding"]);
        let length: f32 = values.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
        let bytes = STANDARD.decode(other["embedding"].as_str().unwrap()).unwrap();
        let again: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, again);
        body["dimensions"] = json!(values.len());
    }
    assert_ne!(list["data"][0]["embedding"], list["data"][1]["embedding"]);
    assert_eq!(world.embed(&body).await.0, 200);
    // Prompt tokens at 1000 gwei a thousand, and the platform's 50.
    let tokens = list["usage"]["prompt_tokens"].as_u64().unwrap();
    let receipt = &list["openledger"]["receipt"];
    assert_eq!(receipt["fee"], (tokens + 50).to_string());
    assert_eq!(
        (&receipt["tokensOut"], &list["usage"]["total_tokens"]),
        (&json!("0"), &json!(tokens))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_pays_once_and_whoever_runs_it_again_finds_the_same() {
    let world = World::start().await;
    let base = world.api.serving.parts().catalog.models()[0].id;
    let body = json!({"model": "openledger-tiny", "input": "pragma"}).to_string().into_bytes();
    let response = world.post("/v1/embeddings", &body).send().await.unwrap();
    assert_eq!(response.status(), 402);
    let quote: Value = response.json().await.unwrap();
    assert_eq!((&quote["modelId"], &quote["maxTokens"]), (&json!(base), &json!(1)));
    let voucher = world.voucher(&body, 1000, |voucher| {
        voucher.call.modelId = base;
        voucher.call.maxTokens = 1;
    });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = world.post("/v1/embeddings", &body);
        let request = request.header("x-payment", payment::encode(&voucher));
        answers.push(request.send().await.unwrap().json::<Value>().await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    let charged = answers[0]["openledger"]["charged"].as_str().unwrap();
    assert_eq!(world.account().await.charged.to_string(), charged);

    let digest: B256 =
        answers[0]["openledger"]["record"]["voucherDigest"].as_str().unwrap().parse().unwrap();
    let kept = recorded(&*world.api.store, digest).unwrap().unwrap();
    let parts = world.api.serving.parts();
    let attributor = AttributorHandle::start(1, 4).unwrap();
    let reruns = Reruns::new(parts.catalog.clone(), parts.engine.clone(), attributor);
    let Rerun::Ran(found) = reruns.run(&kept.call.witness(), &body, &[]).await.unwrap() else {
        panic!("it was not run")
    };
    assert_eq!(keccak256(&found.text), kept.call.output_hash);
    let call = kept.call.record.call();
    assert_eq!((found.tokens_in, found.tokens_out), (u64::from(call.tokens_in), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_out_of_bounds_are_refused_by_field() {
    let world = World::start().await;
    for (field, value) in [
        ("model", json!("solidity")),
        ("dimensions", json!(7)),
        ("encoding_format", json!("int8")),
        ("input", json!([])),
        ("input", json!("")),
        ("input", json!("word ".repeat(200))),
    ] {
        let mut body = json!({"model": "auto", "input": "a"});
        body[field] = value;
        let (status, answer) = world.embed(&body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(field)), "{answer}");
    }
    let (status, _) = world.embed(&json!({"model": "nobodys", "input": "a"})).await;
    assert_eq!(status, 404);
    let (status, _) = world.embed(&json!({"model": "auto", "input": [[1, 2]]})).await;
    assert_eq!(status, 400);
    assert_eq!(world.account().await.charged, 0);
}

//! What is refused, with which status and code; nothing is charged by a refusal.

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use serde_json::{Value, json};

use super::world::{DEPOSIT, NOW, World};
use crate::{
    api::request::Endpoint, metrics::Outcome, serving::MAX_REVEALED_BYTES, voucher::Voucher,
};

/// What is wrong with a voucher.
type Change = fn(&mut Voucher);

#[tokio::test(flavor = "multi_thread")]
async fn requests_out_of_bounds_are_refused_before_payment() {
    let world = World::start().await;
    let long = "uint256 ".repeat(200);
    let cases = [
        (json!({"model": "nobody's"}), 404, "model_not_found"),
        (json!({"model": format!("{}", B256::repeat_byte(9))}), 404, "model_not_found"),
        (json!({"temperature": 3}), 400, "invalid_value"),
        (json!({"top_p": 0}), 400, "invalid_value"),
        (json!({"n": 2}), 400, "invalid_value"),
        (json!({"max_tokens": 0}), 400, "invalid_value"),
        (json!({"max_tokens": 100_000}), 400, "invalid_value"),
        (json!({"messages": [{"role": "user", "content": long}]}), 400, "context_length_exceeded"),
        (json!({"messages": [{"role": "user", "content": "<|end|>"}]}), 400, "invalid_value"),
        (json!({"user": "x".repeat(5000)}), 413, "body_too_large"),
    ];
    for (change, status, code) in cases {
        let body = world.body(change.clone());
        assert_eq!(world.refusal(&body, None).await, (status, code.into()), "{change}");
    }
    assert_eq!(world.refusal(b"{", None).await, (400, "invalid_value".into()));
    assert_eq!(world.api.serving.parts().metrics.count(Outcome::Refused), 11);
    assert_eq!(world.account().await.reserved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_voucher_is_told_its_price() {
    let world = World::start().await;
    let request = world.post("/v1/chat/completions", &world.body(json!({})));
    let response = request.header("x-channel", world.channel.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 402);
    let body: Value = response.json().await.unwrap();
    // 1000 gwei per 1000 prompt tokens and 4000 per 1000 generated, rounded up, and 50 per call.
    let tokens = body["tokensIn"].as_u64().unwrap();
    let fee = tokens + (6 * 4000u64).div_ceil(1000) + 50;
    assert_eq!(body["maxFee"], fee.to_string());
    insta::assert_json_snapshot!("payment_required", redacted(body));
}

/// The ids follow from the model's bytes, which training may change.
fn redacted(mut body: Value) -> Value {
    for field in ["modelId", "tokensIn", "maxFee"] {
        body[field] = json!("[redacted]");
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_for_another_call_are_refused() {
    let world = World::start().await;
    let body = world.body(json!({"seed": 1}));
    let cases: [(&str, Change); 4] = [
        ("model_mismatch", |voucher| voucher.call.modelId = B256::repeat_byte(1)),
        ("prompt_mismatch", |voucher| voucher.call.promptHash = B256::repeat_byte(1)),
        ("max_tokens_mismatch", |voucher| voucher.call.maxTokens = 7),
        ("seed_mismatch", |voucher| voucher.call.seed = 2),
    ];
    for (code, change) in cases {
        let voucher = world.voucher(&body, DEPOSIT, change);
        assert_eq!(world.refusal(&body, Some(&voucher)).await, (400, code.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_that_do_not_pay_are_refused() {
    let world = World::start().await;
    let body = world.body(json!({}));
    let cases: [(u16, &str, u64, Change); 7] = [
        (402, "unknown_channel", 1000, |voucher| voucher.channelId = B256::repeat_byte(1)),
        (402, "other_operator", 1000, |voucher| voucher.channelId = B256::repeat_byte(0x66)),
        (402, "price_version", 1000, |voucher| voucher.call.priceVersion = 2),
        (400, "time_out_of_range", 1000, |voucher| voucher.call.time = NOW - 3600),
        (402, "ceiling_too_low", 10, |_| {}),
        (402, "above_deposit", DEPOSIT + 1, |_| {}),
        (402, "above_deposit", u64::MAX, |_| {}),
    ];
    for (status, code, ceiling, change) in cases {
        let voucher = world.voucher(&body, ceiling, change);
        assert_eq!(world.refusal(&body, Some(&voucher)).await, (status, code.into()));
    }
    let stranger = PrivateKeySigner::from_bytes(&B256::repeat_byte(3)).unwrap();
    let signed = world.voucher(&body, 1000, |_| {});
    let other = world.sign(signed.voucher.clone(), &stranger);
    assert_eq!(world.refusal(&body, Some(&other)).await, (403, "other_payer".into()));
    let mut garbage = signed;
    garbage.signature = vec![0xff; 65];
    assert_eq!(world.refusal(&body, Some(&garbage)).await, (400, "invalid_signature".into()));
    let account = world.account().await;
    assert_eq!((account.charged, account.reserved), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceiling_must_rise_above_what_was_charged() {
    let world = World::start().await;
    let body = world.body(json!({}));
    let first = world.voucher(&body, 1000, |_| {});
    assert_eq!(world.chat(&body, Some(&first)).await.status(), 200);
    let charged = world.account().await.charged;
    let second = world.voucher(&body, charged, |voucher| voucher.call.seed = 2);
    let response = world.chat(&body, Some(&second)).await;
    assert_eq!(response.status(), 402);
    let refusal: Value = response.json().await.unwrap();
    assert_eq!(refusal["error"]["code"], "ceiling_too_low");
    assert_eq!(refusal["given"], charged.to_string());
    assert!(refusal["required"].as_str().unwrap().parse::<u64>().unwrap() > charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_refused_while_the_chain_is_not_heard_of() {
    let world = World::start().await;
    let head = world.registry.head();
    world.registry.publish(crate::registry::ChainState { head, heard: None, synced: true });
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    assert_eq!(world.refusal(&body, Some(&voucher)).await, (503, "chain_unavailable".into()));
    assert_eq!(world.get("/health").await.0, 503);
    assert_eq!(world.account().await.reserved, 0);
}

#[tokio::test]
async fn a_call_that_could_not_be_shown_in_one_transaction_is_refused() {
    let world = World::start().await;
    let serving = &world.api.serving;
    let longest = serving.parts().catalog.longest_token();
    // A body that leaves so many bytes for the answer.
    let body = |left: usize, max_tokens: u64| {
        let bare = world.body(json!({ "user": "", "max_tokens": max_tokens })).len();
        let user = "x".repeat(MAX_REVEALED_BYTES - left - bare);
        world.body(json!({ "user": user, "max_tokens": max_tokens }))
    };
    let prepared = serving.prepare(Endpoint::Chat, &body(3 * longest, 3)).await.unwrap();
    assert_eq!((prepared.max_tokens, prepared.room), (3, 3));
    let refusal = serving.prepare(Endpoint::Chat, &body(3 * longest, 4)).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.param.as_deref()), (400, Some("max_tokens")));
    let refusal = serving.prepare(Endpoint::Chat, &body(longest - 1, 1)).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.code), (413, "body_too_large"));
}

#[tokio::test]
async fn a_body_says_alone_where_it_is_sent() {
    let world = World::start().await;
    let both = world.body(json!({ "prompt": "function" }));
    for endpoint in [Endpoint::Chat, Endpoint::Text] {
        let refusal = world.api.serving.prepare(endpoint, &both).await.unwrap_err();
        assert_eq!(refusal.status.as_u16(), 400, "{endpoint:?}");
    }
    assert_eq!(Endpoint::of(&world.body(json!({}))).unwrap(), Endpoint::Chat);
    assert_eq!(Endpoint::of(br#"{"prompt": ""}"#).unwrap(), Endpoint::Text);
    for neither in [&b"{}"[..], b"[]", b"{"] {
        assert!(Endpoint::of(neither).is_err());
    }
}

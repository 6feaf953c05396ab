//! Calls that are served: plain, streamed, repeated, abandoned.

use std::time::Duration;

use alloy::primitives::{B256, Signature, keccak256};
use serde_json::{Value, json};

use super::world::{World, contracts, operator};
use crate::{
    client::NodeClient,
    metrics::Outcome,
    voucher::{Receipt, digest},
};

/// Replaces what depends on the model's weights or on ids.
fn redact(value: &mut Value) {
    const KEPT: [&str; 14] = [
        "object",
        "model",
        "role",
        "index",
        "finish_reason",
        "time",
        "created",
        "priceVersion",
        "epoch",
        "completion_tokens",
        "tokensOut",
        "tokens_out",
        "earner",
        "channelId",
    ];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.is_object() || field.is_array() {
                    redact(field);
                } else if !KEPT.contains(&name.as_str()) && !field.is_null() {
                    *field = json!("[redacted]");
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_chat_is_answered_recorded_and_signed() {
    let world = World::start().await;
    let body = world.body(json!({"model": world.model.to_string()}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let response = world.chat(&body, Some(&voucher)).await;
    assert_eq!(response.status(), 200);
    let mut answer: Value = response.json().await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let receipt = &answer["openledger"]["receipt"];
    let number = |field: &str| receipt[field].as_str().unwrap().parse::<u64>().unwrap();
    let receipt = Receipt {
        voucherDigest: digest(&voucher.voucher, &contracts().voucher_domain()),
        fee: number("fee"),
        charged: number("charged"),
        tokensIn: number("tokensIn"),
        tokensOut: number("tokensOut"),
        outputHash: keccak256(text),
        sketchHash: receipt["sketchHash"].as_str().unwrap().parse().unwrap(),
    };
    let signature = answer["openledger"]["signature"].as_str().unwrap();
    let signature = Signature::from_raw(&alloy::hex::decode(signature).unwrap()).unwrap();
    let signed = digest(&receipt, &contracts().voucher_domain());
    let signer = signature.recover_address_from_prehash(&signed).unwrap();
    assert_eq!(signer, operator().address());
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], receipt.tokensIn);
    assert_eq!(usage["completion_tokens"], receipt.tokensOut);
    let fee = receipt.tokensIn + (receipt.tokensOut * 4000).div_ceil(1000) + 50;
    assert_eq!((receipt.fee, receipt.charged), (fee, fee));
    let credits = answer["openledger"]["contributors"].as_array().unwrap();
    assert!(!credits.is_empty() && credits.len() <= 3);
    let account = world.account().await;
    assert_eq!((account.charged, account.reserved), (fee, 0));
    answer["openledger"]["contributors"] = json!([]);
    answer["model"] = json!("[redacted]");
    redact(&mut answer);
    insta::assert_json_snapshot!("chat_completion", answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_openais_chunks_and_the_plain_answers_text() {
    let world = World::start().await;
    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    let body = world.body(stream);
    let voucher = world.voucher(&body, 1000, |_| {});
    let response = world.chat(&body, Some(&voucher)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.last().unwrap(), "[DONE]");
    let mut chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    let usage = chunks.pop().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 6);
    let last = chunks.pop().unwrap();
    assert_eq!(last["openledger"]["record"]["outputHash"], keccak256(&text).to_string());
    assert!(chunks.iter().all(|chunk| chunk["openledger"].is_null()));
    let mut shape = vec![chunks[0].clone(), chunks[1].clone(), last, usage];
    shape[2]["openledger"] = json!({});
    shape.iter_mut().for_each(redact);
    insta::assert_json_snapshot!("chat_stream", shape);

    let plain = world.body(json!({}));
    let voucher = world.voucher(&plain, 1000, |_| {});
    let answer: Value = world.chat(&plain, Some(&voucher)).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_is_answered_the_same_and_charged_once() {
    let world = World::start().await;
    let body = world.body(json!({"stream": true, "temperature": 1}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let text = |events: Vec<String>| -> String {
        let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks
            .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect()
    };
    let (first, second) =
        tokio::join!(world.chat(&body, Some(&voucher)), world.chat(&body, Some(&voucher)));
    let first = text(events(&first.text().await.unwrap()));
    let second = text(events(&second.text().await.unwrap()));
    let charged = world.account().await.charged;
    let third = text(events(&world.chat(&body, Some(&voucher)).await.text().await.unwrap()));
    assert!(!first.is_empty());
    assert_eq!([&second, &third], [&first, &first]);
    assert_eq!(world.account().await.charged, charged);
    let metrics = &world.api.serving.parts().metrics;
    assert_eq!(metrics.count(Outcome::Served), 1);
    assert_eq!(metrics.count(Outcome::Repeated), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_is_not_charged_and_may_come_back() {
    let world = World::start().await;
    let body = world.body(json!({"stream": true, "max_tokens": 400, "temperature": 1}));
    let voucher = world.voucher(&body, 10_000, |voucher| voucher.call.maxTokens = 400);
    let mut response = world.chat(&body, Some(&voucher)).await;
    assert!(response.chunk().await.unwrap().is_some());
    assert!(world.account().await.reserved > 0);
    drop(response);
    for _ in 0..200 {
        if world.account().await.reserved == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let account = world.account().await;
    assert_eq!((account.charged, account.reserved), (0, 0));
    assert_eq!(world.api.serving.parts().metrics.count(Outcome::Abandoned), 1);
    let again = world.chat(&body, Some(&voucher)).await;
    assert!(again.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    assert!(world.account().await.charged > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_completions_and_the_base_model_answer_too() {
    let world = World::start().await;
    let base = world.api.serving.parts().catalog.models()[0].id;
    let body = json!({"model": "openledger-tiny", "prompt": "function ", "max_tokens": 6});
    let body = body.to_string().into_bytes();
    let voucher = world.voucher(&body, 1000, |voucher| voucher.call.modelId = base);
    let header = crate::api::payment::encode(&voucher);
    let request = world.post("/v1/completions", &body).header("x-payment", header);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["choices"][0]["text"].is_string());
    assert_eq!(answer["openledger"]["contributors"], json!([]));
    let empty = keccak256([]).to_string();
    assert_eq!(answer["openledger"]["receipt"]["sketchHash"], empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_waits_for_its_node_and_reads_the_whole_answer() {
    let world = World::start().await;
    let address = world.url.trim_start_matches("http://").to_owned();
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = relay.local_addr().unwrap();
    // The first two connections are lost: one at once, one in the middle of the answer.
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut client, _) = relay.accept().await.unwrap();
            let address = address.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(address).await.unwrap();
                let relayed = tokio::io::copy_bidirectional(&mut client, &mut server);
                let allowed = match connection {
                    0 => Duration::ZERO,
                    1 => Duration::from_millis(60),
                    _ => Duration::from_secs(60),
                };
                let _ = tokio::time::timeout(allowed, relayed).await;
            });
        }
    });
    let body = world.body(json!({
        "stream": true, "max_tokens": 60, "temperature": 1,
        "stream_options": {"include_usage": true},
    }));
    let voucher = world.voucher(&body, 10_000, |voucher| voucher.call.maxTokens = 60);
    let node = NodeClient::new(&format!("http://{late}")).unwrap();
    let mut seen = String::new();
    let mut on_text = |piece: &str| seen.push_str(piece);
    let path = "/v1/chat/completions";
    let deadline = Duration::from_secs(30);
    let reply = node.call(path, &body, &voucher, deadline, &mut on_text).await.unwrap().unwrap();
    assert_eq!(seen, reply.text);
    assert_eq!(reply.statement.record.output_hash, keccak256(&reply.text));
    assert_eq!(world.account().await.charged, reply.statement.receipt.fee.0);
    let _: B256 = reply.statement.record.voucher_digest;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_and_its_adapters_are_in_the_metrics() {
    let world = World::start().await;
    let metric = async |name: &str| -> f64 {
        let (_, text) = world.get("/metrics").await;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = metric("openledger_engine_started_total").await;
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    assert_eq!(world.chat(&body, Some(&voucher)).await.status(), 200);
    for (name, expected) in [
        ("openledger_engine_started_total", before + 1.0),
        ("openledger_engine_waiting", 0.0),
        ("openledger_engine_preemptions_total", 0.0),
        ("openledger_engine_queue_seconds_count", before + 1.0),
        ("openledger_engine_queue_seconds_bucket{le=\"+Inf\"}", before + 1.0),
        ("openledger_adapters_resident", metric("openledger_adapters_loads_total").await),
        ("openledger_adapters_evictions_total", 0.0),
    ] {
        assert_eq!(metric(name).await, expected, "{name}");
    }
    let (blocks, free, used) = (
        metric("openledger_engine_kv_blocks").await,
        metric("openledger_engine_kv_blocks_free").await,
        metric("openledger_engine_kv_blocks_used").await,
    );
    assert!(blocks > 0.0 && blocks == free + used, "{blocks} blocks, {free} free, {used} used");
    for name in [
        "openledger_engine_running",
        "openledger_engine_prefix_hits_total",
        "openledger_adapters_host_bytes",
        "openledger_engine_first_token_seconds_sum",
    ] {
        assert!(metric(name).await >= 0.0, "{name}");
    }
}

//! Explanations: who sees what of them, and that a change of any of it is found.

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, keccak256},
    signers::local::PrivateKeySigner,
};
use serde_json::{Value, json};
use sha2::Digest;

use super::world::{KEYS, NOW, World, bearer, contracts};
use crate::{
    api::{Api, router},
    attributor::AttributorHandle,
    config::KeyConfig,
    explain::{Checker, Claimed, Explanation, Report, SignedReading, Verdict},
    keys::Keys,
    votes::Reruns,
};

/// A paid call and its digest.
async fn served(world: &World) -> (Vec<u8>, Value, B256) {
    let body = world.body(json!({ "temperature": 0.7 }));
    let voucher = world.voucher(&body, 1000, |_| {});
    let answer: Value = world.chat(&body, Some(&voucher)).await.json().await.unwrap();
    let digest = answer["openledger"]["record"]["voucherDigest"].as_str().unwrap();
    let digest = digest.parse().unwrap();
    (body, answer, digest)
}

async fn explained(
    world: &World,
    url: &str,
    digest: B256,
    header: Option<(&str, String)>,
) -> (u16, Value) {
    let request = world.http.get(format!("{url}/v1/records/{digest}/explanation?rows=3"));
    let request = match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn reading(digest: B256, until: u64, signer: &PrivateKeySigner) -> Option<(&'static str, String)> {
    let domain = contracts().voucher_domain();
    Some(("x-reader", SignedReading::sign(digest, until, signer, &domain).unwrap().encode()))
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_sees_scores_and_money_but_the_text_is_its_payers_and_operators() {
    let world = World::start().await;
    let (body, answer, digest) = served(&world).await;
    let authorization = |name: &str| Some(("authorization", bearer(name)));

    let (status, open) = explained(&world, &world.url, digest, None).await;
    assert_eq!(status, 200);
    let said: Explanation = serde_json::from_value(open.clone()).unwrap();
    assert_eq!(open["text"], Value::Null);
    assert!(!open.to_string().contains("transfer"), "{open}");
    assert_eq!(open["receipt"], answer["openledger"]["receipt"]);
    assert_eq!(said.rows.len(), 3);
    assert_eq!(said.model.index_rows, 4);
    assert_eq!(said.model.methods, ["influence"]);
    let shares: u64 = said.money.shares.iter().map(|share| share.amount.0).sum();
    assert_eq!(shares + said.money.pool.0, said.money.fee.0);
    let credits: u64 = said.contributors.iter().map(|one| one.credit.0.max(0) as u64).sum();
    assert_eq!(said.money.flat.0, said.money.pool.0 - credits);
    assert!(said.batch.is_none());

    // The tests' keys but the administrator's share a payer, and a record does not say who asked.
    for name in KEYS {
        let (_, seen) = explained(&world, &world.url, digest, authorization(name)).await;
        assert_eq!(seen["text"].is_object(), name == "root", "{name}");
    }
    let (_, seen) = explained(&world, &world.url, digest, authorization("root")).await;
    let text = seen["text"]["request"].as_str().unwrap();
    assert_eq!(text.as_bytes(), body);
    assert_eq!(seen["text"]["answer"], answer["choices"][0]["message"]["content"]);

    let (_, seen) =
        explained(&world, &world.url, digest, reading(digest, NOW + 60, &world.payer)).await;
    assert!(seen["text"].is_object());
    let stranger = PrivateKeySigner::random();
    let (status, seen) =
        explained(&world, &world.url, digest, reading(digest, NOW + 60, &stranger)).await;
    assert_eq!((status, &seen["text"]), (200, &Value::Null));
    // A reading of another call recovers to somebody else.
    let other = reading(B256::repeat_byte(7), NOW + 60, &world.payer);
    assert_eq!(explained(&world, &world.url, digest, other).await.1["text"], Value::Null);
    for header in [
        reading(digest, NOW - 1, &world.payer),
        reading(digest, NOW + 4_000, &world.payer),
        Some(("x-reader", "?".to_owned())),
    ] {
        let (status, seen) = explained(&world, &world.url, digest, header).await;
        assert_eq!((status, seen["error"]["code"].as_str()), (403, Some("invalid_reading")));
    }
    assert_eq!(explained(&world, &world.url, B256::ZERO, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_alone_has_the_payer_reads_what_it_paid_for() {
    let world = World::start().await;
    let (_, _, digest) = served(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let payer = folder.path().join("payer.hex");
    std::fs::write(&payer, keccak256("payer").to_string()).unwrap();
    let config = KeyConfig {
        name: "ana".into(),
        sha256: hex::encode(sha2::Sha256::digest("secret-of-ana")),
        payer_key_file: Some(payer),
        deposit_gwei: None,
        daily_limit_gwei: None,
        adapters: Vec::new(),
        datanets: Vec::new(),
        admin: false,
        unrecorded: false,
    };
    let keys = Keys::new(&[config], &world.api.store, &world.registry).unwrap();
    let api = Api { keys, ..world.api.clone() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router(api)).await.unwrap() });
    let header = Some(("authorization", bearer("ana")));
    let (_, seen) = explained(&world, &url, digest, header).await;
    assert!(seen["text"].is_object(), "{seen}");
}

async fn checked(checker: &Checker, said: &Explanation, request: &[u8], answer: &[u8]) -> Report {
    let claimed = Claimed { explanation: said, request: Some(request), answer: Some(answer) };
    checker.check(claimed).await.unwrap()
}

fn checker(world: &World) -> Checker {
    let parts = world.api.serving.parts();
    let attributor = AttributorHandle::start(1, 4).unwrap();
    let reruns = Reruns::new(Arc::clone(&parts.catalog), parts.engine.clone(), attributor);
    Checker::new(world.registry.clone(), Some(reruns), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_record_agrees_and_any_change_of_it_is_found() {
    let world = World::start().await;
    let (request, answer, digest) = served(&world).await;
    let answer = answer["choices"][0]["message"]["content"].as_str().unwrap().as_bytes();
    let said = explained(&world, &world.url, digest, None).await.1;
    let said: Explanation = serde_json::from_value(said).unwrap();
    let checker = checker(&world);

    let report = checked(&checker, &said, &request, answer).await;
    assert!(report.agrees(), "{report:#?}");
    let all = [
        "voucher",
        "receipt",
        "record",
        "request",
        "answer",
        "model",
        "scores",
        "rows",
        "fee",
        "shares",
        "credits",
        "flat",
        "answer again",
        "tokens again",
        "sketch again",
    ];
    for what in all {
        assert_eq!(report.of(what).unwrap().verdict, Verdict::Agrees, "{what}");
    }
    // Nothing of it is on a chain here.
    assert_eq!(report.of("batch").unwrap().verdict, Verdict::Unchecked);

    type Change = fn(&mut Explanation);
    let sketch: Change = |said| {
        let mut witness = said.witness.to_vec();
        let last = witness.len() - 1;
        let value = witness[last].cast_signed();
        witness[last] = if value > 0 { value - 2 } else { value + 2 }.cast_unsigned();
        said.witness = witness.into();
    };
    let changes: [(&str, Change); 19] = [
        ("scores", |said| said.contributors[0].score.0 += 1),
        ("scores", |said| said.contributors[0].earner = 77),
        ("credits", |said| said.contributors[0].credit.0 += 1),
        ("credits", |said| said.contributors.truncate(1)),
        ("credits", |said| said.money.pool.0 -= 1),
        ("rows", |said| said.rows[0].score.0 -= 1),
        ("rows", |said| said.rows[1].hash = B256::ZERO),
        ("rows", |said| said.rows[2].credit.0 += 1),
        ("fee", |said| said.money.fee.0 += 1),
        ("shares", |said| said.money.shares[1].amount.0 += 1),
        ("flat", |said| said.money.flat.0 += 1),
        ("receipt", |said| said.receipt.fee.0 += 1),
        ("receipt", |said| said.operator = Address::ZERO),
        ("tokens again", |said| said.record.tokens_out += 1),
        ("record", |said| said.record.output_hash = B256::ZERO),
        ("record", |said| said.model.id = B256::ZERO),
        ("voucher", |said| said.record.voucher_digest = B256::ZERO),
        ("record", sketch),
        ("sketch again", sketch),
    ];
    for (what, change) in changes {
        let mut changed = said.clone();
        change(&mut changed);
        let report = checked(&checker, &changed, &request, answer).await;
        let found = report.of(what).unwrap();
        assert_eq!(found.verdict, Verdict::Differs, "{what}: {report:#?}");
    }
    let mut other = request.clone();
    other.push(b' ');
    let report = checked(&checker, &said, &other, b"another answer").await;
    assert_eq!(report.of("request").unwrap().verdict, Verdict::Differs);
    assert_eq!(report.of("answer").unwrap().verdict, Verdict::Differs);
    assert_eq!(report.of("answer again").unwrap().verdict, Verdict::Unchecked);

    let blind = Checker::new(world.registry.clone(), None, None);
    let claimed = Claimed { explanation: &said, request: None, answer: None };
    let report = blind.check(claimed).await.unwrap();
    assert!(report.agrees(), "{report:#?}");
    for what in ["scores", "request", "answer again"] {
        assert_eq!(report.of(what).unwrap().verdict, Verdict::Unchecked, "{what}");
    }
    assert_eq!(report.of("credits").unwrap().verdict, Verdict::Agrees);
}

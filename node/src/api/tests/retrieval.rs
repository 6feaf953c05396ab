//! Answers from rows: what they cite, what is paid for it, who may see them, and running them again.

use alloy::primitives::{B256, keccak256};
use attribution::settle::Ground;
use serde_json::{Value, json};

use super::world::{World, bearer, datanet_dir};
use crate::{
    api::{answer::Statement, sources::RetrievalJson},
    attributor::AttributorHandle,
    client::NodeClient,
    recorder::{Recorded, recorded},
    registry::DatanetRef,
    retrieval::{DatanetRows, Document, Retrieval},
    serving::StoredAnswer,
    votes::{Outcome, Rerun, Reruns},
    voucher::SignedVoucher,
};

const QUESTION: &str = "deposit assets into the vault";
const MAX_TOKENS: u64 = 60;

/// The text's words.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

impl World {
    fn datanet() -> B256 {
        keccak256("datanet")
    }

    async fn retrieve(&self, change: Value, key: Option<&str>) -> (u16, Value) {
        let mut body = json!({ "question": QUESTION });
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let request = self.post("/v1/retrieve", body.to_string().as_bytes());
        let request = match key {
            Some(name) => request.header("authorization", bearer(name)),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A request for an answer from two rows whose form lets the model say one thing: the words of the
    /// second row, which it cites.
    async fn citing(&self, change: Value, key: Option<&str>) -> Vec<u8> {
        let (status, found) = self.retrieve(json!({ "limit": 2, "model": "solidity" }), key).await;
        assert_eq!(status, 200, "{found}");
        let said = format!("{} [2].", words(found["data"][1]["text"].as_str().unwrap()));
        let schema = json!({ "name": "said", "schema": { "enum": [said] } });
        let mut fields = json!({
            "messages": [{ "role": "user", "content": QUESTION }],
            "max_tokens": MAX_TOKENS,
            "retrieval": { "limit": 2 },
            "response_format": { "type": "json_schema", "json_schema": schema },
        });
        for (field, value) in change.as_object().unwrap() {
            fields[field] = value.clone();
        }
        self.body(fields)
    }

    fn paying(&self, body: &[u8], seed: u64) -> SignedVoucher {
        self.voucher(body, 100_000, |voucher| {
            (voucher.call.maxTokens, voucher.call.seed) = (MAX_TOKENS, seed);
        })
    }

    fn recorded(&self, digest: B256) -> Recorded {
        recorded(&*self.api.store, digest).unwrap().unwrap()
    }

    fn reruns(&self, folders: &[std::path::PathBuf]) -> Reruns {
        let parts = self.api.serving.parts();
        let attributor = AttributorHandle::start(1, 4).unwrap();
        Reruns::new(parts.catalog.clone(), parts.engine.clone(), attributor)
            .with_rows(DatanetRows::new(self.registry.clone(), folders))
            .with_relevance(parts.retrieval.as_ref().map(Retrieval::relevance))
    }
}

fn statement(answer: &Value) -> (Statement, RetrievalJson) {
    let statement: Statement = serde_json::from_value(answer["openledger"].clone()).unwrap();
    let retrieval = statement.retrieval.clone().unwrap();
    (statement, retrieval)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_an_answer_cites_are_named_and_paid() {
    let world = World::retrieving(|_| {}).await;
    let body = world.citing(json!({}), None).await;
    let response = world.chat(&body, Some(&world.paying(&body, 1))).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    let answer: Value = response.json().await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let (statement, retrieval) = statement(&answer);

    assert!(text.contains("[2]"), "{text}");
    assert_eq!(statement.record.output_hash, keccak256(retrieval.document(text).to_bytes()));
    assert!(retrieval.has_sources && retrieval.unsupported.is_empty(), "{retrieval:?}");
    assert_eq!(retrieval.sources.len(), 2);
    let (_, found) = world.retrieve(json!({ "limit": 2 }), None).await;
    let row = &found["data"][1];
    let [cited] = &retrieval.citations[..] else { panic!("{retrieval:?}") };
    assert_eq!(cited.source, retrieval.sources[1]);
    assert_eq!((cited.source.mark, cited.uses), (2, 1));
    assert_eq!(json!(cited.source.row_hash), row["rowHash"]);
    assert_eq!(json!(cited.source.relevance), row["relevance"]);
    assert_eq!(json!(cited.source.contributor), row["contributor"]);
    assert_eq!((cited.source.datanet, cited.source.version), (World::datanet(), 1));

    // 40% of the contributors' half of the fee, all of it to the one row.
    let record = world.recorded(statement.record.voucher_digest).call.record;
    let [section] = record.sections() else { panic!("{record:?}") };
    let share = record.fee() * 5_000 / 10_000;
    assert_eq!(section.pool, share * 4_000 / 10_000);
    let [credit] = &section.credits[..] else { panic!("{section:?}") };
    assert_eq!((credit.credit, cited.credit.0), (section.pool, section.pool));
    assert!(section.pool > 0);
    assert_eq!(Some(credit.of.earner.0), cited.earner);
    let Ground::Citation(citation) = credit.of.ground else { panic!("{credit:?}") };
    assert_eq!((citation.datanet, citation.row, citation.uses), (0, cited.source.row, 1));
    assert_eq!(citation.relevance, cited.source.relevance);

    // The row can be looked up by its hash, and the record tells the same, to whom it may.
    let (status, row) = world.get(&format!("/v1/rows/{}", cited.source.row_hash)).await;
    let row: Value = serde_json::from_str(&row).unwrap();
    assert_eq!((status, row["index"].as_u64()), (200, Some(cited.source.row)));
    let path = format!("/v1/records/{}", statement.record.voucher_digest);
    let kept: Value = serde_json::from_str(&world.get(&path).await.1).unwrap();
    assert_eq!(kept["retrieval"], Value::Null);
    let request = world.http.get(format!("{}{path}", world.url));
    let response = request.header("authorization", bearer("root")).send().await.unwrap();
    let kept: Value = response.json().await.unwrap();
    assert_eq!(kept["retrieval"], answer["openledger"]["retrieval"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_carries_the_same_marks_and_sources() {
    let world = World::retrieving(|_| {}).await;
    let body = world.citing(json!({}), None).await;
    let plain: Value = world.chat(&body, Some(&world.paying(&body, 1))).await.json().await.unwrap();
    let body = world.citing(json!({ "stream": true }), None).await;
    let body = String::from_utf8(body)
        .unwrap()
        .replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    let body = body.into_bytes();
    let voucher = world.paying(&body, 1);
    let client = NodeClient::new(&world.url).unwrap();
    let mut pieces = Vec::new();
    let mut on_text = |piece: &str| pieces.push(piece.to_owned());
    let deadline = std::time::Duration::from_secs(60);
    let reply = client
        .call("/v1/chat/completions", &body, &voucher, deadline, &mut on_text)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(plain["choices"][0]["message"]["content"], reply.text);
    assert_eq!(pieces.concat(), reply.text);
    let (expected, found) = (statement(&plain).1, reply.statement.retrieval.clone().unwrap());
    assert_eq!((expected.sources, expected.unsupported), (found.sources.clone(), vec![]));
    let hash = keccak256(found.document(&reply.text).to_bytes());
    assert_eq!(reply.statement.receipt.output_hash, hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nothing_fits_is_answered_without_sources_and_says_so() {
    let world = World::retrieving(|settings| settings.min_cosine_bps = 10_000).await;
    let plain = world.body(json!({}));
    let usage = async |body: &[u8], seed: u64| -> Value {
        let voucher = world.voucher(body, 100_000, |voucher| voucher.call.seed = seed);
        world.chat(body, Some(&voucher)).await.json().await.unwrap()
    };
    let without = usage(&plain, 1).await;
    let body = world.body(json!({ "retrieval": {} }));
    let answer = usage(&body, 2).await;
    let (statement, retrieval) = statement(&answer);
    assert!(!retrieval.has_sources && retrieval.citations.is_empty());
    assert_eq!(answer["usage"], without["usage"], "the question alone");
    assert_eq!(answer["choices"], without["choices"]);
    let document = Document {
        text: answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned(),
        sources: vec![],
    };
    assert_eq!(statement.record.output_hash, keccak256(document.to_bytes()));
    assert!(without["openledger"].get("retrieval").is_none());
    // Nobody is credited for citations; the pool goes by the flat rule.
    let record = world.recorded(statement.record.voucher_digest).call.record;
    assert!(record.sections().iter().all(|section| section.credits.is_empty()), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_rows_runs_an_answer_again_and_sees_changed_sources() {
    let world = World::retrieving(|_| {}).await;
    let body = world.citing(json!({}), None).await;
    let answer: Value =
        world.chat(&body, Some(&world.paying(&body, 1))).await.json().await.unwrap();
    let kept = world.recorded(statement(&answer).0.record.voucher_digest);
    let witness = kept.call.witness();
    let output = StoredAnswer::from_bytes(&kept.answer).unwrap().output();
    let reruns = world.reruns(&[datanet_dir()]);
    let run = async |output: &[u8]| reruns.run(&witness, &body, output).await.unwrap();

    let Rerun::Ran(found) = run(&output).await else { panic!() };
    let call = kept.call.record.call();
    let expected = Outcome {
        text: output.clone(),
        tokens_in: call.tokens_in.into(),
        tokens_out: call.tokens_out.into(),
        sketch: kept.call.sketch.clone(),
        spans: Vec::new(),
        citations: Some(kept.call.record.uses().citations.clone()),
    };
    assert_eq!(found, expected);

    // Other sources are another prompt; the first of them alone too.
    let document = Document::read(&output).unwrap();
    let changed = |change: &dyn Fn(&mut Document)| {
        let mut other = document.clone();
        change(&mut other);
        other.to_bytes()
    };
    for other in [
        changed(&|document| document.sources.reverse()),
        changed(&|document| document.sources.truncate(1)),
        changed(&|document| document.sources.clear()),
    ] {
        let Rerun::Ran(found) = run(&other).await else { panic!() };
        assert_ne!((found.tokens_in, &found.sketch), (expected.tokens_in, &expected.sketch));
    }
    // The text is what the model says, and relevance what the vectors give, whatever is claimed.
    for other in [
        changed(&|document| document.text.push('!')),
        changed(&|document| document.sources[1].relevance += 1),
        changed(&|document| document.sources[0].relevance = 0),
    ] {
        assert_ne!(other, output);
        assert_eq!(run(&other).await, Rerun::Ran(expected.clone()));
    }

    for (other, why) in [
        (changed(&|document| document.sources[0].row_hash = B256::ZERO), "has no row"),
        (changed(&|document| document.sources[0].row = 99), "has no row"),
        (changed(&|document| document.sources[0].version = 2), "not asked for"),
        (changed(&|document| document.sources[0].datanet = B256::ZERO), "not asked for"),
        (changed(&|document| document.sources[1] = document.sources[0].clone()), "twice"),
        (
            changed(&|document| {
                let more = document.sources[0].clone();
                document.sources.push(more);
            }),
            "3 sources, 2 were asked for",
        ),
        (document.text.clone().into_bytes(), "not a document"),
        (b"{}".to_vec(), "not a document"),
    ] {
        let Rerun::Impossible(found) = run(&other).await else { panic!("{why}") };
        assert!(found.contains(why), "{found}");
    }

    let blind = world.reruns(&[]);
    let of = DatanetRef { id: World::datanet(), version: 1 };
    let found = blind.run(&witness, &body, &output).await.unwrap();
    assert_eq!(found, Rerun::UnknownRows(of));
    let unmeasured = world.reruns(&[datanet_dir()]).with_relevance(None);
    assert_eq!(unmeasured.run(&witness, &body, &output).await.unwrap(), Rerun::NoEncoder);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_rows_reach_only_keys_that_were_granted_them() {
    let id = World::datanet();
    let world = World::retrieving(|settings| {
        settings.private.insert(id);
    })
    .await;
    let (status, found) = world.retrieve(json!({}), Some("kim")).await;
    assert_eq!(status, 200, "{found}");
    let row = found["data"][0]["rowHash"].as_str().unwrap().to_owned();

    // To others it is as one that does not exist, however it is asked for.
    let unknown = B256::repeat_byte(0x99);
    for key in [None, Some("ana"), Some("root")] {
        for named in [json!({}), json!({ "model": "solidity" })] {
            let (status, body) = world.retrieve(named, key).await;
            assert_eq!((status, &body["error"]["code"]), (404, &json!("datanet_not_found")));
        }
        let private = world.retrieve(json!({ "datanets": [id] }), key).await;
        assert_eq!(private, world.retrieve(json!({ "datanets": [unknown] }), key).await);
    }
    assert_eq!(world.get(&format!("/v1/rows/{row}")).await.0, 404);
    let body = world.body(json!({ "retrieval": {}, "max_tokens": MAX_TOKENS }));
    let refused = (404, "datanet_not_found".to_owned());
    assert_eq!(world.refusal(&body, None).await, refused);
    assert_eq!(world.refusal(&body, Some(&world.paying(&body, 1))).await, refused);

    // An answer to kim, who shows a voucher too, is not given again to somebody else with the voucher.
    let body = world.citing(json!({}), Some("kim")).await;
    let voucher = world.paying(&body, 2);
    let payment = crate::api::payment::encode(&voucher);
    let request = world.post("/v1/chat/completions", &body);
    let request = request.header("authorization", bearer("kim")).header("x-payment", payment);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let (statement, retrieval) = statement(&answer);
    assert_eq!(retrieval.citations.len(), 1, "{answer}");
    assert_eq!(world.refusal(&body, Some(&voucher)).await, refused);
    let path = format!("/v1/records/{}", statement.record.voucher_digest);
    let (status, told) = world.get(&path).await;
    assert_eq!(status, 200);
    assert!(!told.contains(&row) && !told.contains(".sol"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_from_rows_is_refused_by_name() {
    let world = World::retrieving(|settings| settings.free_per_second = 3).await;
    for (change, param, what) in [
        (json!({ "retrieval": { "limit": 5 } }), "retrieval.limit", "limit 5 is not 1 to 4"),
        (json!({ "retrieval": {}, "model": "openledger-tiny" }), "retrieval", "no Datanets"),
        (json!({ "retrieval": {}, "max_tokens": 450 }), "retrieval", "do not fit"),
        (json!({ "retrieval": 3 }), "body", "retrieval"),
    ] {
        let response = world.chat(&world.body(change.clone()), None).await;
        assert_eq!(response.status(), 400, "{change}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["param"], param, "{body}");
        assert!(
            body["error"]["message"].as_str().unwrap().contains(what) || param == "body",
            "{body}"
        );
    }
    // At once, so that a slow machine does not spread them.
    let asked = futures::future::join_all((0..12).map(|_| world.retrieve(json!({}), None))).await;
    let statuses: Vec<u16> = asked.into_iter().map(|(status, _)| status).collect();
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 3, "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");

    let world = World::start().await;
    let refused = (400, "invalid_value".to_owned());
    assert_eq!(world.refusal(&world.body(json!({ "retrieval": {} })), None).await, refused);
    let (status, body) = world.retrieve(json!({}), None).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("retrieval")));
}

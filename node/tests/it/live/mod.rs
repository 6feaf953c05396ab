//! An answer that was served, settled and paid by influence, spans and citations, looked at with the
//! command line: everything agrees, and whatever is altered afterwards is told from it.

mod altered;
mod stand;

use node::graph::LeadersAnswer;
use serde_json::Value;

use self::stand::{Said, Stand};
use crate::binary::Process;

/// Every finding about a settled answer whose request is known.
const FINDINGS: [&str; 22] = [
    "voucher",
    "receipt",
    "record",
    "request",
    "answer",
    "model",
    "scores",
    "fee",
    "shares",
    "credits",
    "spans",
    "citations",
    "flat",
    "rows",
    "answer again",
    "tokens again",
    "sketch again",
    "spans again",
    "citations again",
    "batch",
    "inclusion",
    "paid",
];

/// The set-up takes half a minute, so that everything that does not change it comes in one test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_answer_agrees_in_all_its_parts_and_altered_ones_are_told() {
    let (stand, node) = Stand::open().await;
    agrees(&stand, &node).await;
    audited(&stand).await;
    altered::explanations(&stand).await;
    stand.finalise(&node).await;
    agrees_when_final(&stand, &node).await;
    ranked(&stand, &node).await;
    node.stop();
    altered::stores(&stand).await;
    altered::indexes(&stand).await;
}

fn json(said: &Said) -> Value {
    assert!(said.is_right, "{said:?}");
    serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}", said.text))
}

/// Whoever paid computes all of it again: rows, spans, citations and money.
async fn agrees(stand: &Stand, node: &Process) {
    let attribute = ["attribute", &stand.id, "--node-url", &node.url];
    let whole = ["--config", "openledger.toml", "--api-key", "ana.key"];
    let body = json(&stand.run(&[&attribute[..], &whole, &["--json"]].concat()).await);
    assert_eq!(body["agrees"], true, "{body:#}");
    let findings = body["report"]["findings"].as_array().unwrap();
    for what in FINDINGS {
        let finding = findings.iter().find(|finding| finding["what"] == what);
        let finding = finding.unwrap_or_else(|| panic!("no {what} in {findings:#?}"));
        assert_eq!(finding["verdict"], "agrees", "{finding}");
    }
    let said = &body["explanation"];
    assert_eq!(said["batch"]["status"], "posted");
    let kinds: Vec<_> =
        said["sections"].as_array().unwrap().iter().map(|section| &section["kind"]).collect();
    assert_eq!(kinds, ["span", "citation"]);
    let text = &stand.answer["choices"][0]["message"]["content"];
    assert_eq!(&said["text"]["answer"], text);

    // People read the same, and without the request less is computed and nothing disagrees.
    let said = stand.run(&[&attribute[..], &whole].concat()).await;
    assert!(said.is_right && said.text.contains("AGREES: "), "{said:?}");
    for part in ["by influence", "by spans (", "by citations (", "sources (", "(posted)"] {
        assert!(said.text.contains(part), "{part}: {said:?}");
    }
    let said = stand.run(&[&attribute[..], &whole[..2]].concat()).await;
    assert!(said.is_right && said.text.contains("the request is not here"), "{said:?}");
}

/// The node does not have the request any more: whoever sent it gives it.
async fn agrees_when_final(stand: &Stand, node: &Process) {
    let attribute = ["attribute", &stand.id, "--node-url", &node.url];
    let whole = ["--config", "openledger.toml", "--api-key", "ana.key"];
    let given = ["--request", "request.json", "--json"];
    let body = json(&stand.run(&[&attribute[..], &whole, &given].concat()).await);
    assert_eq!(body["explanation"]["batch"]["status"], "final");
    let findings = body["report"]["findings"].as_array().unwrap();
    for what in FINDINGS {
        let finding = findings.iter().find(|finding| finding["what"] == what);
        assert_eq!(finding.unwrap_or(&Value::Null)["verdict"], "agrees", "{what}: {findings:#?}");
    }
}

/// The operator leaves sources out, and is told how that agrees with what they are paid.
async fn audited(stand: &Stand) {
    let attribute = ["attribute", &stand.id, "--config", "openledger.toml", "--ablate"];
    let body = json(&stand.run(&[&attribute[..], &["--json"]].concat()).await);
    assert_eq!(body["agrees"], true, "{body:#}");
    let audit = &body["ablation"];
    // All four subsets of two sources, and eight more that tell how good the fit is.
    assert_eq!(audit["passes"], 12, "{audit}");
    let scores = audit["scores"].as_array().unwrap();
    assert!(scores.len() == 2 && scores.iter().all(|score| score.as_f64().unwrap().is_finite()));
    let weights: Vec<u64> =
        audit["weights"].as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
    assert!(weights[0] > 0 && weights[1] == 0, "only [1] is cited: {audit}");
    assert!(audit["tokens"].as_u64().unwrap() > 8, "{audit}");

    let said = stand.run(&attribute).await;
    assert!(said.is_right && said.text.contains("rank correlation with pay"), "{said:?}");
    assert!(said.text.contains("what each source adds, by leaving them out"), "{said:?}");
}

/// Rankings are equal to the earnings that the chain committed to.
async fn ranked(stand: &Stand, node: &Process) {
    let board = async |kind: &str| -> LeadersAnswer {
        let said = stand.run(&["graph", kind, "--json", "--node-url", &node.url]).await;
        serde_json::from_value(json(&said)).unwrap()
    };
    let (contributors, datanets) = (board("contributors").await, board("datanets").await);
    let earnings = node.client().get("/v1/earnings", crate::binary::PATIENCE).await.unwrap();
    let earned = |role: &str| -> Vec<(String, i128)> {
        let all = earnings["data"].as_array().unwrap().iter().filter(|one| one["role"] == role);
        let gwei = |one: &Value| one["cumulative"].as_str().unwrap().parse().unwrap();
        all.map(|one| (format!("earner:{}", one["earner"]), gwei(one)))
            .filter(|(_, gwei)| *gwei > 0)
            .collect()
    };
    let mut ranked: Vec<_> =
        contributors.data.iter().map(|one| (one.id.clone(), one.gwei.0)).collect();
    ranked.sort();
    let mut earned = earned("contributor");
    earned.sort();
    assert!(!earned.is_empty());
    assert_eq!(ranked, earned);
    assert_eq!(datanets.total.0 + datanets.unplaced.0, contributors.total.0);
    assert_eq!((datanets.data.len(), datanets.unplaced.0), (1, 0), "{datanets:?}");

    let said = stand.run(&["graph", "contributors", "--node-url", &node.url]).await;
    let total = format!("{} gwei in 1 batches", contributors.total.0);
    assert!(said.is_right && said.text.contains(&total), "{said:?}");
    let said = stand.run(&["graph", "call", &stand.id, "--node-url", &node.url]).await;
    for why in ["quotes row:", "cites row:", "taught by row:"] {
        assert!(said.is_right && said.text.contains(why), "{why}: {said:?}");
    }
}

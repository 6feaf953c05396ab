//! What the program says of an answer, asked of its node and of its store.

use std::{path::Path, process::Command};

use alloy::primitives::keccak256;
use node::committer::Kzg;
use serde_json::{Value, json};

use super::{EPOCH, WINDOW};
use crate::{
    anvil::{self, KEYS, PAGE_SIZE},
    binary::{Files, PATIENCE, SECRET, SECRET_HASH, write_key},
    market::Market,
    votes::publish,
};

/// Runs the program; what it says, and whether it succeeds.
fn openledger(folder: &Path, arguments: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_openledger"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env_remove("OPENLEDGER_API_KEY")
        .env_remove("OPENLEDGER_KEY")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said + &String::from_utf8_lossy(&output.stderr), output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_explains_an_answer_by_the_node_and_by_its_store() {
    let mut market = Market::bare(EPOCH, WINDOW, 1_000).await;
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs");
    let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
    let layer = market.layer(&blobs);
    market.model = publish(&market, folder.path(), layer, kzg, WINDOW).await;
    write_key(&folder.path().join("payer.hex"), &KEYS[3].parse().unwrap());
    let settings = format!(
        "[[keys]]\nname = \"ana\"\nsha256 = \"{SECRET_HASH}\"\npayer_key_file = \"../payer.hex\"\n\
         deposit_gwei = 20_000_000_000\n[da]\nattestor_key_file = \"attestor.hex\"\n"
    );
    let (home, model) = (folder.path().join("node"), folder.path().join("model"));
    let files =
        Files::write(&home, &market.anvil, &market.operator, &model, Some(&blobs), &settings);
    std::fs::write(home.join("ana.key"), SECRET).unwrap();
    let node = files.start();
    let body = json!({
        "model": market.model,
        "messages": [{ "role": "user", "content": "function transfer" }],
        "max_tokens": 12,
    });
    let answer = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = answer
        .post(format!("{}/v1/chat/completions", node.url))
        .header("authorization", format!("Bearer {SECRET}"))
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer: Value =
        serde_json::from_slice(&answer.send().await.unwrap().bytes().await.unwrap()).unwrap();
    let id = answer["id"].as_str().unwrap().to_owned();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let (url, here) = (node.url.clone(), home.clone());

    let run = async |arguments: Vec<String>| {
        let here = here.clone();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            openledger(&here, &arguments)
        })
        .await
        .unwrap()
    };
    let to =
        |arguments: &[&str]| arguments.iter().map(|one| (*one).to_owned()).collect::<Vec<String>>();
    // Anyone sees scores and money, and checks them without the text.
    let (said, is_right) = run(to(&["attribute", &id, "--node-url", &url])).await;
    assert!(is_right, "{said}");
    assert!(said.contains("the answer's text is the payer's"), "{said}");
    let config = ["--config", "openledger.toml"];
    let open = [&["attribute", &id, "--node-url", &url][..], &config].concat();
    let (said, is_right) = run(to(&open)).await;
    assert!(is_right && said.contains("AGREES"), "{said}");
    assert!(said.contains("the request is not here"), "{said}");
    // Whoever paid runs it again.
    let paid = [&open[..], &["--api-key", "ana.key"]].concat();
    let (said, is_right) = run(to(&paid)).await;
    assert!(is_right && said.contains("AGREES"), "{said}");
    assert!(said.contains("the same text"), "{said}");
    assert!(text.lines().all(|line| said.contains(line)), "{text:?} {said}");
    let payer = ["--payer", "--key", "../payer.hex", "--deployment", "deployment.json", "--rpc"];
    let payer = [&open[..], &payer, &[market.anvil.url.as_str()]].concat();
    let (said, is_right) = run(to(&payer)).await;
    assert!(is_right && said.contains("the same text"), "{said}");
    let (said, is_right) = run(to(&["graph", "call", &id, "--node-url", &url])).await;
    assert!(is_right && said.contains("answered by model:"), "{said}");

    // The operator's store tells it while the node runs and after, and JSON says the same.
    let offline = [&["attribute", &id][..], &config].concat();
    let (said, is_right) = run(to(&offline)).await;
    assert!(is_right && said.contains("the same text"), "{said}");
    node.stop();
    let (said, is_right) = run(to(&[&offline[..], &["--json"]].concat())).await;
    assert!(is_right, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["agrees"], true);
    assert_eq!(said["explanation"]["text"]["answer"], text);
    let request = said["explanation"]["text"]["request"].as_str().unwrap();
    let hash = said["explanation"]["record"]["promptHash"].as_str().unwrap();
    assert_eq!(keccak256(request.as_bytes()).to_string(), hash);

    // Indexes are checked against the chain; one byte is found.
    let verify =
        ["index", "verify", "../model", "--datanet", "../datanet", "--rows", "2", "--base"];
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    let chain = ["--deployment", "deployment.json", "--rpc", market.anvil.url.as_str()];
    let verify = [&verify[..], &[base.to_str().unwrap()], &chain].concat();
    let (said, is_right) = run(to(&verify)).await;
    assert!(is_right && said.contains("2 rows recomputed"), "{said}");
    for what in ["registration", "publication", "datanets", "rows", "seed", "basis", "sketches"] {
        let line = said.lines().find(|line| line.contains(what)).unwrap();
        assert!(line.starts_with("ok"), "{said}");
    }
    let path = model.join("index.olx");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (said, is_right) = run(to(&verify)).await;
    assert!(!is_right && said.contains("DIFFERS index.olx"), "{said}");
    let (said, is_right) = run(to(&offline)).await;
    assert!(!is_right && said.contains("index.olx"), "{said}");
    assert!(said.contains("checksum differs"), "{said}");
}
